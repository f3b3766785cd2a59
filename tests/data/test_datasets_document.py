"""`docs/datasets.md` says what the package does."""

import inspect
import json
import re
import shlex
from pathlib import Path

import pytest

from benchmarks.measurement import Measurement, format_table
from jointmae_hf.cli import build_parser
from jointmae_hf.data import loading
from jointmae_hf.data.builders import modelnet40_layouts, scanobjectnn, shapenet55, shapenet_part


ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^jointmae (convert .*)$", TEXT, flags=re.MULTILINE)


def code(section):
    return "\n".join(re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL))


@pytest.mark.parametrize("name", sorted(loading._BUILDERS))
def test_every_dataset_has_a_section_with_one_load_and_one_convert(name):
    section = TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert f'load_point_clouds("{name}"' in code(section)
    assert f"jointmae convert {name} " in section


def test_table_of_purposes_names_every_dataset():
    table = TEXT.split("\nWhich data for which purpose:\n")[1].split("\nTheir sizes:\n")[0]
    assert set(re.findall(r"\[`(\w+)`\]\(#\1\)", table)) == set(loading._BUILDERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_convert_commands_have_options_that_their_dataset_takes(command):
    options = build_parser().parse_args(shlex.split(command))
    builder = loading._BUILDERS[options.name]
    known = set(inspect.signature(builder.__init__).parameters)
    known |= set(getattr(builder.BUILDER_CONFIG_CLASS, "__dataclass_fields__", ()))
    assert options.output_dir
    assert {key for key, _ in options.config} <= known
    assert (options.data_dir is None) == (options.name in ("primitive_shapes", "sample_shapes", "synthetic_shapes"))


def test_batches_and_augmentation_run_as_written(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    section = TEXT.split("\n## Batches and augmentation\n")[1].split("\n## ")[0]
    names = {}
    exec(code(section), names)
    assert tuple(names["points"].shape) == (32, 1024, 3)


@pytest.mark.parametrize(
    "counts",
    [
        shapenet55._OFFICIAL_COUNTS,
        modelnet40_layouts.OFFICIAL_COUNTS[40],
        modelnet40_layouts.OFFICIAL_COUNTS[10],
        modelnet40_layouts.HDF5_COUNTS[40],
        scanobjectnn._OFFICIAL_COUNTS["obj_bg"],
        scanobjectnn._OFFICIAL_COUNTS["pb_t50_rs"],
        shapenet_part._OFFICIAL_COUNTS,
    ],
)
def test_counts_are_those_that_the_builders_expect(counts):
    assert " / ".join(f"{count:,}" for count in counts.values()) in TEXT


def test_speed_is_that_of_the_results_file():
    results = json.loads((ROOT / "docs" / "results" / "data_loading.json").read_text(encoding="utf-8"))
    assert format_table([Measurement(**row) for row in results["measurements"]]) in TEXT
