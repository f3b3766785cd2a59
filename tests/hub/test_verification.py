"""Tests of the checks before publishing: no secrets in files, and a checkpoint that loads without the package."""

import struct
import zlib

import pytest
import torch
from safetensors.torch import save_file

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEModel
from jointmae_hf.hub import verify_loads, write_remote_code
from jointmae_hf.hub.verification import check_contents


@pytest.fixture
def checkpoint(tiny_config, tmp_path):
    folder = tmp_path / "checkpoint"
    JointMAEModel(tiny_config).save_pretrained(folder)
    return folder


def test_code_of_the_model_passes_the_check(checkpoint):
    check_contents(write_remote_code(checkpoint))


@pytest.mark.parametrize(
    "line",
    [
        '"checkpoint": "/home/someone/runs/1"',
        "trained on /mnt/clouds/shapenet",
        "(/scratch/user/x.npy)",
        "see file:///data/clouds",
        '{"path": "C:\\\\Users\\\\me\\\\clouds"}',
    ],
)
def test_local_path_is_rejected(tmp_path, line):
    (tmp_path / "results.json").write_text(f"{{\n{line}\n}}")
    with pytest.raises(ValueError, match=r"must hold no path of this machine, got .* in results\.json, line 2"):
        check_contents([tmp_path / "results.json"])


def test_working_folder_is_rejected_anywhere(tmp_path, monkeypatch):
    own = tmp_path / "odd" / "place"
    own.mkdir(parents=True)
    monkeypatch.chdir(own)
    (tmp_path / "README.md").write_text(f"trained in {own}")
    with pytest.raises(ValueError, match="must hold no path of this machine"):
        check_contents([tmp_path / "README.md"])


@pytest.mark.parametrize(
    "line",
    [
        "https://example.org/home/user/file",
        "num_points N/8 and N/32, 3D/2D, and/or",
        "[figure](figures/tmp/a.png), ../data/x, ~/data/x",
        "python run.py --data_dir shapenet --output_dir out",
        "/ and // and a / b",
    ],
)
def test_text_that_is_no_local_path_passes(tmp_path, line):
    (tmp_path / "README.md").write_text(line)
    check_contents([tmp_path / "README.md"])


@pytest.mark.parametrize("secret", ["hf_" + "Ab1" * 12, "ghp_" + "a" * 36, "-----BEGIN RSA PRIVATE KEY-----"])
def test_secret_is_rejected_and_not_repeated(tmp_path, secret):
    (tmp_path / "config.json").write_text(f'{{"token": "{secret}"}}')
    with pytest.raises(ValueError, match=r"must hold no access token, got one in config\.json, line 1") as raised:
        check_contents([tmp_path / "config.json"])
    assert secret not in str(raised.value)


def test_header_of_weights_is_searched(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"from": "/home/someone/run"})
    with pytest.raises(ValueError, match=r"must hold no path of this machine, got '/home/someone/run'"):
        check_contents([tmp_path / "model.safetensors"])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"tEXt", b"Comment\0/home/someone/run"),
        (b"iTXt", b"Comment\0\0\0\0\0/home/someone/run"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"/home/someone/run")),
    ],
)
def test_metadata_of_a_png_file_are_searched(tmp_path, kind, data):
    (tmp_path / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(kind, data) + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"must hold no path of this machine, got '/home/someone/run' in figure\.png"):
        check_contents([tmp_path / "figure.png"])


def test_pixels_of_a_png_file_are_not_searched(tmp_path):
    """100,000 random bytes often contain something that looks like a Windows drive."""
    (tmp_path / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b" C:\\Users\\me /home/x/y"))
    check_contents([tmp_path / "figure.png"])


def test_verify_loads_rejects_missing_weights(tiny_config, tmp_path):
    model = JointMAEForPointCloudClassification(tiny_config)
    model.save_pretrained(tmp_path)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("classifier.out")}
    assert len(state) < len(model.state_dict())
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"must hold exactly the weights of .*Classification, got missing_keys"):
        verify_loads(tmp_path)


def test_verify_loads_rejects_outputs_that_are_not_finite(checkpoint):
    model = JointMAEModel.from_pretrained(checkpoint)
    model.layernorm.weight.data[0] = float("nan")
    model.save_pretrained(checkpoint)
    write_remote_code(checkpoint)
    with pytest.raises(ValueError, match="must give finite outputs, got NaN or infinity in `last_hidden_state`"):
        verify_loads(checkpoint)


def test_verify_loads_rejects_code_that_imports_the_package(checkpoint):
    write_remote_code(checkpoint)
    (checkpoint / "masking.py").write_text("import jointmae_hf\n")
    with pytest.raises(RuntimeError, match="must load without the package by trust_remote_code, got ModuleNotFound"):
        verify_loads(checkpoint)
