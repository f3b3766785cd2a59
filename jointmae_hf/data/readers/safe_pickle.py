"""Unpickle published files without running what they ask for: numpy arrays of numbers and Python's own values.

A pickle is a program that may call any function it names. Here the only names that it can reach are stand-ins for the five
that numpy writes, which check their arguments; they have no attributes to change. Files of Python 2 are read too.
"""

import math
import mmap
import pickle
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .validation import reader_errors


_NUMBER_CODES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


class _Type:
    """Stand-in for `numpy.dtype` of one kind of number."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; the rest of the state must be that of plain numbers."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise pickle.UnpicklingError("a type other than plain numbers")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that checks its content against its shape before it takes it."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without its five fields")
        _, shape, kind, is_fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        _check_size(shape, kind, data)
        checked: Any = (1, shape, kind.dtype, bool(is_fortran), bytes(data))
        super().__setstate__(checked)


def _check_size(shape: Any, kind: Any, data: Any) -> None:
    """Raise unless the data fill an array of that shape and type."""
    if not isinstance(kind, _Type) or not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError("an array of something else than numbers")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError("an array without a shape")
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} in {len(data)} bytes")


class _Call:
    """Stand-in for a function; without attributes, so that a pickle cannot replace any."""

    __slots__ = ()


class _MakeType(_Call):
    """`numpy.dtype(code, align, copy)`."""

    __slots__ = ()

    def __call__(self, code: Any, *_: Any) -> _Type:
        if not isinstance(code, str) or code not in _NUMBER_CODES:
            raise pickle.UnpicklingError(f"numbers of type {reprlib.repr(code)}")
        return _Type(code)


class _MakeArray(_Call):
    """`numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")`: an empty array whose content follows."""

    __slots__ = ()

    def __call__(self, *_: Any) -> _Array:
        return np.empty((0,), np.int8).view(_Array)


class _MakeScalar(_Call):
    """`numpy.core.multiarray.scalar(dtype, data)`."""

    __slots__ = ()

    def __call__(self, kind: Any, data: Any) -> Any:
        data = data.encode("latin1") if isinstance(data, str) else data
        _check_size((), kind, data)
        return np.frombuffer(data, kind.dtype)[0]


class _MakeArrayFromBuffer(_Call):
    """`numpy.core.numeric._frombuffer(data, dtype, shape, order)`, of protocol 5."""

    __slots__ = ()

    def __call__(self, data: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
        _check_size(shape, kind, data)
        return np.frombuffer(data, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


class _Encode(_Call):
    """`_codecs.encode(text, "latin1")`, by which protocols below 3 write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("text of another encoding than latin1")
        return text.encode("latin1")


class _MakeNoBytes(_Call):
    """`bytes()`, by which protocols below 3 write no bytes."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


_STAND_INS: dict[tuple[str, str], object] = {
    ("numpy", "dtype"): _MakeType(),
    ("numpy", "ndarray"): object(),
    ("_codecs", "encode"): _Encode(),
    ("__builtin__", "bytes"): _MakeNoBytes(),
    # numpy 1 and 2 spell the folder differently.
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy.core.multiarray", "scalar"): _MakeScalar(),
    ("numpy._core.multiarray", "scalar"): _MakeScalar(),
    ("numpy.core.numeric", "_frombuffer"): _MakeArrayFromBuffer(),
    ("numpy._core.numeric", "_frombuffer"): _MakeArrayFromBuffer(),
}


def torch_stand_ins() -> list[Any]:
    """Return stand-ins for what a pickled numpy number names, for `torch.serialization.safe_globals`.

    With the real ones, a corrupted file can end the process: `numpy.dtype.__setstate__` believes what it is given.

    Returns:
        `list[Any]`: Pairs of a stand-in and the name it answers to, and the class that `torch.load` may set the state of.
    """
    names = ("dtype", "encode", "scalar")
    return [*((known, ".".join(name)) for name, known in _STAND_INS.items() if name[1] in names), _Type]


class _RestrictedUnpickler(pickle._Unpickler):
    """Unpickler that can reach the stand-ins alone.

    It derives from the one written in Python: the one in C reserves memory for any number that a file gives as a length or
    as an index of its memo.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; nothing is ever imported."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(
                f"the name {module}.{name}, which is refused. Do not load this file elsewhere"
            )
        return _STAND_INS[module, name]

    def load_bytearray8(self: Any) -> None:
        """Read as many bytes as the file has, where the original reserves as many as it promises."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def read_safe_pickle(path: Path, most_bytes: int) -> Any:
    """Read a pickle of numbers, texts, lists, tuples, dictionaries and numeric numpy arrays.

    Args:
        path (`pathlib.Path`):
            File, written by Python 2 or 3.
        most_bytes (`int`):
            Size of the file above which it is refused.

    Returns:
        `Any`: What was pickled. Its arrays own their content and are checked for size.

    Raises:
        ValueError: If the file is larger, cannot be read, is cut off, or asks for anything else; nothing of it is run.
            A file made to do harm can still take all time and memory, see `SECURITY.md`.
    """
    with reader_errors(path, "be a complete pickle of numpy arrays and plain values"):
        size = path.stat().st_size
        if size > most_bytes:
            raise ValueError(f"{size} bytes, more than {most_bytes}")
        # A memory map never gives more than the file has.
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _RestrictedUnpickler(content, encoding="latin1").load()
