import pytest

from jointmae_hf.cli import main


def test_error_ends_the_command_with_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["publish", str(tmp_path), "me/mine"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("jointmae: error: `folder` must hold a configuration")
