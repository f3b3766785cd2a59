"""What all commands have in common: help, version, errors, and their page."""

import argparse
import re
from pathlib import Path

import pytest

import jointmae_hf
from jointmae_hf import cli
from jointmae_hf.cli import build_parser, main


PAGE = Path(__file__).parents[2] / "docs" / "api" / "command_line.md"


def commands():
    (action,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return action.choices


COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_sentence_an_example_and_a_word_on_each_flag(name):
    parser = COMMANDS[name]
    assert re.fullmatch(r"[A-Z].*\.", parser.description)
    assert parser.epilog.startswith("example:\n  ")
    assert f"jointmae {name} " in f"{parser.epilog} ".replace("\n", " ")
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_every_default(name):
    for action in COMMANDS[name]._actions:
        if action.default not in (None, False, argparse.SUPPRESS, []):
            assert "(default: %(default)s)" in action.help, action.dest


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_a_section_on_its_page(name):
    assert f"\n## {name}\n" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^jointmae .*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
def test_command_of_the_page_has_flags_that_exist(line):
    words = line.partition("  #")[0].split()[1:]
    assert callable(build_parser().parse_args(words).run)


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"jointmae {jointmae_hf.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "jointmae: error: the following arguments are required: COMMAND; `jointmae --help` shows"),
        (["publish"], "jointmae publish: error: the following arguments are required: folder, repo_id; `jointmae pub"),
        (["verify", "a", "--fast"], "jointmae: error: unrecognized arguments: --fast; `jointmae --help` shows"),
        (["cards", "--output", "a"], "jointmae: error: unrecognized arguments: --output a"),  # not --output_dir
        (["embed", "a", "--output", "b.parquet", "--batch_size", "0"], "must be an integer of at least 1, got '0'"),
    ],
)
def test_wrong_arguments_end_with_one_line(refuse, arguments, message):
    assert message in refuse(arguments)


def run_with(error, monkeypatch):
    """Run a command that raises an error."""

    def fail(options):
        raise error

    monkeypatch.setattr(cli.verify, "run", fail)
    main(["verify", "folder"])


@pytest.mark.parametrize("error", [ValueError("bad\n  input"), OSError("bad input"), ImportError("bad input")])
def test_bad_input_ends_with_one_line(capsys, monkeypatch, error):
    with pytest.raises(SystemExit) as stopped:
        run_with(error, monkeypatch)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "jointmae: error: bad input\n"


@pytest.mark.parametrize("error", [RuntimeError("fault"), KeyError("fault"), AttributeError("fault")])
def test_fault_of_the_program_keeps_its_traceback(monkeypatch, error):
    with pytest.raises(type(error), match="fault"):
        run_with(error, monkeypatch)


def test_interrupt_has_its_own_status(capsys, monkeypatch):
    with pytest.raises(SystemExit) as stopped:
        run_with(KeyboardInterrupt(), monkeypatch)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "jointmae: interrupted\n"
