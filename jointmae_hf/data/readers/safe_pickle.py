"""Unpickling of published files without running what they ask for: numpy arrays of numbers and Python's own values.

A pickle is a program that may call any function it names. Here the only names that it can reach are stand-ins for the five
that numpy writes, which check their arguments; they have no attributes to change. Files of Python 2 are read too.
"""

import math
import mmap
import pickle
import pickletools
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from .validation import reader_errors


_TUPLE_ENDINGS = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
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
    """Stand-ins for what a pickled numpy number names, for `torch.serialization.safe_globals`.

    With the real ones, a spoiled file can end the process: `numpy.dtype.__setstate__` believes what it is given.

    Returns:
        `list[Any]`: Pairs of a stand-in and the name it answers to, and the class that `torch.load` may set the state of.
    """
    names = ("dtype", "encode", "scalar")
    return [*((known, ".".join(name)) for name, known in _STAND_INS.items() if name[1] in names), _Type]


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickler that knows the stand-ins alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; nothing is ever imported."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(
                f"the name {module}.{name}, which is refused. Do not load this file elsewhere"
            )
        return _STAND_INS[module, name]


def _take(stack: list[bool | None], opcode: pickletools.OpcodeInfo) -> list[bool | None]:
    """Take from the stack what an opcode takes: some items, or all above the last mark."""
    if pickletools.markobject not in opcode.stack_before:
        start = len(stack) - len(opcode.stack_before)
    else:
        mark = next((place for place in reversed(range(len(stack))) if stack[place] is None), -1)
        start = mark - opcode.stack_before.index(pickletools.markobject)
    if start < 0:
        raise pickle.UnpicklingError("an instruction without its arguments")
    taken = stack[start:]
    del stack[start:]
    return taken


def _check_instructions(content: Any, size: int) -> None:
    """Raise for a few bytes that would cost the unpickler memory or time without bound.

    It reserves memory for each place below the largest that is announced. And it hashes keys: that of a tuple of two
    tuples, each of which is the same tuple of two, and so on, would never end. Where an instruction begins a frame within a
    frame or does not end within its own, CPython's unpickler drops bytes that are read here, and so would run instructions
    that nobody has checked.
    """
    stack: list[bool | None] = []  # whether each item is a tuple; None is a mark
    memo: dict[int, bool | None] = {}
    frame_end = 0
    for opcode, argument, position in pickletools.genops(content):
        name, start = opcode.name, position or 0
        if start < frame_end and (name == "FRAME" or content.tell() > frame_end):
            raise pickle.UnpicklingError(f"an instruction at byte {start} that leaves its frame")
        if name == "FRAME":
            frame_end = content.tell() + int(argument or 0)
        if name in ("EMPTY_SET", "ADDITEMS", "FROZENSET"):
            raise pickle.UnpicklingError("a set")
        if name.endswith("PUT") or name == "MEMOIZE":
            place = argument if isinstance(argument, int) else len(memo)
            if place > size:
                raise pickle.UnpicklingError(f"place {place} in a list of what {size} bytes can name")
            memo[place] = stack[-1]
        taken = _take(stack, opcode)
        first_key = {"DICT": 1, "SETITEM": 1, "SETITEMS": 2}.get(name)  # behind the mark, the dictionary, or both
        if first_key is not None and any(taken[first_key::2]):
            raise pickle.UnpicklingError("a tuple as a key")
        results: dict[str, list[bool | None]] = {"MARK": [None], "DUP": taken * 2}
        is_tuple = name.endswith(_TUPLE_ENDINGS) or (name.endswith("GET") and bool(memo[int(argument or 0)]))
        stack += results.get(name) or [is_tuple] * len(opcode.stack_after)
    content.seek(0)


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
    """
    with reader_errors(path, "be a complete pickle of numpy arrays and plain values"):
        size = path.stat().st_size
        if size > most_bytes:
            raise ValueError(f"{size} bytes, more than {most_bytes}")
        # A memory map never gives more than the file has.
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _check_instructions(content, size)
            return _RestrictedUnpickler(content, encoding="latin1").load()
