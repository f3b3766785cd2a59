import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest

from jointmae_hf.data.readers import safe_pickle as safe_pickle
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle


ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


def read(tmp_path, content, most_bytes=1 << 20):
    (tmp_path / "a.pkl").write_bytes(content)
    return read_safe_pickle(tmp_path / "a.pkl", most_bytes)


def python_2_text(content):
    return b"T" + struct.pack("<i", len(content)) + content


def python_2_array(array):
    """What Python 2 and numpy 1 write at protocol 2: texts of bytes, and the names of then."""
    kind = b"cnumpy\ndtype\n" + python_2_text(array.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
    kind += b"(K\x03" + python_2_text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(b"K" + bytes([size]) for size in array.shape) + b"t"
    empty = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85" + python_2_text(b"b") + b"\x87R"
    return empty + b"(K\x01" + shape + kind + b"\x89" + python_2_text(array.tobytes()) + b"tb"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [ARRAY, np.asfortranarray(ARRAY), ARRAY.astype(">f8"), ARRAY > 3, np.array([3], np.int32), np.zeros((0, 3))],
    ids=["float32", "fortran", "big_endian", "bool", "label", "empty"],
)
def test_read_returns_arrays_of_every_protocol(tmp_path, protocol, array):
    result = read(tmp_path, pickle.dumps([array, array[::-1]], protocol))
    np.testing.assert_array_equal(result[0], array)
    np.testing.assert_array_equal(result[1], array[::-1])
    assert result[0].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", range(6))
def test_read_returns_plain_values(tmp_path, protocol):
    value = {"train": [(1, 2.5, "é", None, True)], "bytes": b"\xff", "scalar": np.int64(7), "large": 10**30}
    assert read(tmp_path, pickle.dumps(value, protocol)) == value


def test_read_returns_arrays_of_python_2(tmp_path):
    array = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(read(tmp_path, b"\x80\x02" + python_2_array(array) + b"."), array)


class Evil:
    def __init__(self, function, *arguments):
        self.result = (function, arguments)

    def __reduce__(self):
        return self.result


@pytest.mark.parametrize("protocol", range(6))
def test_read_runs_nothing_of_a_malicious_pickle(tmp_path, protocol):
    target = tmp_path / "touched"
    evil = [ARRAY, Evil(exec, f"open({str(target)!r}, 'w').close()")]
    content = pickle.dumps(evil, protocol)
    with pytest.raises(ValueError, match=r"a\.pkl` must be a complete pickle.*the name \w+\.exec, which is refused"):
        read(tmp_path, content)
    assert not target.exists()
    pickle.loads(content)
    assert target.exists()


@pytest.mark.parametrize(
    "name",
    ["os system", "posix system", "subprocess Popen", "builtins eval", "builtins getattr", "builtins __import__",
     "numpy load", "numpy.core.multiarray fromfile", "numpy._core.multiarray _reconstruct.__globals__",
     "numpy ndarray.__class__", "jointmae_hf.data.readers.safe_pickle pickle", "functools partial", "copyreg _reconstructor",
     "numpy.testing._private.utils runstring", "numpy matrix", "__main__ anything"],
)  # fmt: skip
@pytest.mark.parametrize("opcode", ["global", "stack_global", "inst"])
def test_read_refuses_every_other_name(tmp_path, name, opcode):
    module, attribute = name.split()
    content = {
        "global": f"c{module}\n{attribute}\n.".encode(),
        "stack_global": b"\x80\x04" + pickle.dumps(module, 4)[11:-2] + pickle.dumps(attribute, 4)[11:-2] + b"\x93.",
        "inst": f"(i{module}\n{attribute}\n.".encode(),
    }[opcode]
    with pytest.raises(ValueError, match="which is refused"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RECONSTRUCT + b"N}V__class__\nNs\x86b.", id="attribute_of_a_function"),
        pytest.param(b"cnumpy\ndtype\nN}V__call__\nNs\x86b.", id="attribute_of_a_type"),
        pytest.param(b"cnumpy\nndarray\n}V__doc__\nVx\nsb.", id="attribute_of_the_array_type"),
        pytest.param(b"cnumpy\nndarray\n(I9999\ntR.", id="call_of_the_array_type"),
        pytest.param(b"\x80\x02cnumpy\nndarray\n(I9999\nt\x81.", id="new_array"),
        pytest.param(RECONSTRUCT + b")R}V__class__\nNsb.", id="state_of_another_kind"),
        pytest.param(b"cnumpy\ndtype\n(VO\ntR.", id="objects"),
        pytest.param(b"cnumpy\ndtype\n(Vf4,O\ntR.", id="records"),
        pytest.param(b"cnumpy\ndtype\n)" + b"2\x86" * 60 + b"\x85R.", id="type_of_a_tuple_without_end"),
        pytest.param(b"cnumpy\ndtype\n(I1\ntR.", id="type_of_no_text"),
        pytest.param(b"cnumpy\ndtype\n(Vf4\ntR(I3\nV<\nVx\nNNI-1\nI-1\nI0\ntb.", id="type_with_fields"),
        pytest.param(b"c_codecs\nencode\n(Vx\nVidna\ntR.", id="another_codec"),
        pytest.param(b"Psomething\n.", id="persistent_name"),
        pytest.param(b"\x80\x02\x82\x01.", id="extension"),
    ],
)
def test_read_refuses_tricks(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.pkl` must be a complete pickle"):
        read(tmp_path, content)


def array_of_size(shape, data):
    kind = b"cnumpy\ndtype\n(Vf4\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
    return b"\x80\x02" + RECONSTRUCT + b")R(I1\n(" + shape + b"t" + kind + b"\x89" + python_2_text(data) + b"tb."


def test_read_takes_an_array_that_its_data_fill(tmp_path):
    assert read(tmp_path, array_of_size(b"I2\n", bytes(8))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "shape", [b"I1\n", b"I3\n", b"I1000000000000\n", b"I-2\n", b"I-1\nI-2\n", b"F2.0\n", b"L" + b"9" * 30 + b"L\n"]
)
def test_read_refuses_an_array_that_its_data_do_not_fill(tmp_path, shape):
    with pytest.raises(ValueError, match="an array"):
        read(tmp_path, array_of_size(shape, bytes(8)))


def test_read_refuses_arrays_of_objects(tmp_path):
    with pytest.raises(ValueError, match="numbers of type 'O8'"):
        read(tmp_path, pickle.dumps(np.array([None, 1], dtype=object), 4))


def peak_bytes(action):
    """Most memory that Python reserves for an action."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x8d", b"\x96"], ids=["bytes", "text", "bytearray"])
@pytest.mark.parametrize("size", [1 << 28, 1 << 40])
def test_read_reserves_no_memory_for_what_the_file_does_not_have(tmp_path, opcode, size):
    def attempt():
        with pytest.raises(ValueError, match=r"a\.pkl` must be a complete pickle.*EOFError"):
            read(tmp_path, b"\x80\x05" + opcode + struct.pack("<Q", size) + b"abc.")

    assert peak_bytes(attempt) < 1 << 20


@pytest.mark.parametrize("content", [b"\x80\x04Nr\xff\xff\xff\x7f.", b"Np2147483647\n."])
def test_read_reserves_no_memory_for_a_place_that_is_far_away(tmp_path, content):
    assert peak_bytes(lambda: read(tmp_path, content)) < 1 << 20
    assert read(tmp_path, content) is None


def frame(content, length=None):
    return b"\x95" + struct.pack("<Q", len(content) if length is None else length) + content


HIDDEN = b"cos\ngetcwd\n"


@pytest.mark.parametrize(
    "content",
    [frame(frame(b"C\x0b", length=11)) + HIDDEN + b".", frame(b"C\x0d..") + HIDDEN + b"."],
    ids=["nested", "argument"],
)
def test_read_runs_nothing_that_a_frame_hides_from_pickletools(tmp_path, content):
    assert "GLOBAL" not in [opcode.name for opcode, _, _ in pickletools.genops(b"\x80\x04" + content)]
    with pytest.raises(ValueError, match=r"a\.pkl` must be a complete pickle.*(frame|refused)"):
        read(tmp_path, b"\x80\x04" + content)


def test_read_takes_a_length_outside_its_frame_for_what_pickletools_shows(tmp_path):
    assert read(tmp_path, b"\x80\x04" + frame(b"X") + b"\x0b\x00\x00\x00" + HIDDEN + b".") == HIDDEN.decode()


def test_read_takes_frames_that_follow_each_other(tmp_path):
    value = ["a" * 40_000, {"b": [ARRAY] * 3}, b"c" * 100_000, *map(str, range(30_000))]
    content = pickle.dumps(value, 5)
    assert content.count(b"\x95") > 2
    result = read(tmp_path, content)
    np.testing.assert_array_equal(result[1]["b"][2], ARRAY)
    assert result[:1] + result[2:] == value[:1] + value[2:]


@pytest.mark.timeout(20)
def test_read_takes_time_in_proportion_to_the_file(tmp_path):
    assert read(tmp_path, b"(" * 300_000 + b"1" * 300_000 + b"N.") is None


@pytest.mark.parametrize("kept", [0, 1, 10, 60, -1])
def test_read_names_the_file_when_it_is_cut_off(tmp_path, kept):
    with pytest.raises(ValueError, match=r"a\.pkl` must be a complete pickle"):
        read(tmp_path, pickle.dumps([ARRAY], 4)[:kept])


def test_read_refuses_a_file_that_is_too_large(tmp_path):
    with pytest.raises(ValueError, match="bytes, more than 100"):
        read(tmp_path, pickle.dumps(ARRAY), most_bytes=100)


def test_read_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match="absent"):
        read_safe_pickle(tmp_path / "absent.pkl", 100)


def test_stand_ins_have_no_attributes_to_change():
    for stand_in in safe_pickle._STAND_INS.values():
        assert not hasattr(stand_in, "__dict__")
