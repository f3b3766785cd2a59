import numpy as np
import pytest

from jointmae_hf.data.label_checks import check_class_list, check_labels


def test_check_labels_returns_integers(tmp_path):
    assert check_labels(np.array([0, 39], np.uint8), 40, tmp_path) == [0, 39]


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_check_labels_names_file_range_and_cloud(tmp_path, label):
    with pytest.raises(ValueError, match=rf"a\.h5` must hold labels from 0 to 2, got {label} at cloud 1"):
        check_labels(np.array([0, label]), 3, tmp_path / "a.h5")


def test_check_class_list_takes_the_classes_and_a_missing_list(tmp_path):
    check_class_list(tmp_path / "names.txt", ["bed", "car"])
    (tmp_path / "names.txt").write_text("bed\ncar\n")
    check_class_list(tmp_path / "names.txt", ["bed", "car"])


@pytest.mark.parametrize("text", ["car\nbed\n", "bed\n", "bed\ncar\ncup\n"])
def test_check_class_list_refuses_another_list(tmp_path, text):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ValueError, match=r"names\.txt` must list the 2 classes of the dataset in order"):
        check_class_list(tmp_path / "names.txt", ["bed", "car"])
