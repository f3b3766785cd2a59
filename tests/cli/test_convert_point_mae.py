import pytest
import torch
from point_mae_weights import classifier_weights, save

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.cli import main


@pytest.fixture
def classifier():
    return classifier_weights()


@pytest.fixture
def write(tmp_path):
    return lambda state: save(tmp_path / "published.pth", state)


def test_command_converts_a_classifier(classifier, write, tmp_path):
    flags = ["--num_points", "64", "--num_groups", "8", "--num_attention_heads", "2"]
    main(["convert-point-mae", str(write(classifier)), str(tmp_path / "out"), *flags])
    assert JointMAEForPointCloudClassification.from_pretrained(tmp_path / "out").config.num_labels == 5


@pytest.mark.parametrize("case", ["missing", "foreign", "groups", "folder"])
def test_command_ends_with_one_line_instead_of_a_traceback(classifier, write, tmp_path, capsys, case):
    path = tmp_path / "none.pth" if case == "missing" else write(classifier)
    if case == "foreign":
        torch.save({"model": 3}, path)
    output_dir = tmp_path if case == "folder" else tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        main(["convert-point-mae", str(path), str(output_dir), "--num_points", "64", "--num_groups", "65"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("jointmae: error: ")
