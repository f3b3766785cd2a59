from dataclasses import replace

import pytest

from jointmae_hf.cli import main
from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.evaluation.tables import render_results


JOINT = Result("linear_svm", 90.0, "%", "test", "last epoch", 0, 9843, 2468, "modelnet40", pre_training="Joint-MAE")
SCRATCH = replace(JOINT, value=80.5, pre_training="from scratch")


@pytest.fixture
def files(tmp_path):
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    for path, result in zip(paths, (SCRATCH, JOINT), strict=True):
        write_results(path, [result, replace(result, name="loss", unit="squared units")], {})
    return paths


def test_command_prints_the_table_of_several_files(files, capsys):
    main(["results", *files, "--table", "1", "--name", "linear_svm"])
    assert capsys.readouterr().out == render_results([SCRATCH, JOINT], 1)


def test_command_refuses_a_name_that_no_file_has(files, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["results", *files, "--name", "mAP"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "jointmae: error: `--name` must be the name of a result in the files, got mAP.\n"


@pytest.mark.parametrize("flags", [["--table", "1"], ["--name", "loss"]])
def test_results_are_added_to_a_checkpoint_as_a_whole(files, refuse, flags):
    line = refuse(["results", *files, "--add_to", "checkpoint", *flags])
    assert line.startswith("jointmae: error: `--add_to` must stand without `--table` and `--name`")
