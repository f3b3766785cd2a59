"""The table of licenses and credits of a folder: columns, Parquet files and the card, and what is missing in it."""

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard

from jointmae_hf.data import load_point_clouds
from jointmae_hf.data.builders.credits import read_credits
from jointmae_hf.data.conversion import convert_to_parquet


NAMES = ["chair/a.npy", "chair/b.npy", "table/a.npy", "table/c.npy"]
TABLE = """name,license,credit,source
chair/a.npy,CC0-1.0,,x
chair/b,CC-BY-4.0,"Doe, ""Jane"", artist",x
table/a.npy,CC-BY-4.0,"Doe, ""Jane"", artist",x
table/c.npy,CC-BY-4.0,Joe,x
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "credits.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "credits.csv"


def test_licenses_and_credits_are_columns(cloud_folder, table, tmp_path):
    dataset = load_point_clouds("folder", cloud_folder, "train", cache_dir=tmp_path / "cache", credits_file=str(table))
    assert dataset.column_names == ["points", "label", "license", "credit", "id"]
    assert dataset["license"][:] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-4.0", "CC-BY-4.0"]
    assert dataset["credit"][:] == ["", 'Doe, "Jane", artist', 'Doe, "Jane", artist', "Joe"]


def test_dataset_is_built_again_when_the_table_changes(cloud_folder, table, tmp_path):
    options = {"cache_dir": tmp_path / "cache", "credits_file": str(table)}
    load_point_clouds("folder", cloud_folder, "train", **options)
    table.write_text(TABLE.replace("Joe", "Jim"), encoding="utf-8")
    assert load_point_clouds("folder", cloud_folder, "train", **options)["credit"][3] == "Jim"


def test_licenses_and_credits_are_in_parquet_and_on_the_card(cloud_folder, table, tmp_path):
    output = convert_to_parquet("folder", tmp_path / "out", cloud_folder, tmp_path / "cache", credits_file=str(table))
    assert load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub"))["credit"][3] == "Joe"
    card = (output / "README.md").read_text(encoding="utf-8")
    assert "- CC-BY-4.0 (3)\n- CC0-1.0 (1)\n" in card
    assert '- Doe, "Jane", artist, CC-BY-4.0 (2)\n- Joe, CC-BY-4.0 (1)\n' in card
    assert DatasetCard(card).data.license == "other"
    assert str(tmp_path) not in card


def test_card_names_the_only_license_as_the_hub_does(cloud_folder, table, tmp_path):
    table.write_text(TABLE.replace("CC0-1.0", "CC-BY-4.0"), encoding="utf-8")
    output = convert_to_parquet("folder", tmp_path / "out", cloud_folder, tmp_path / "cache", credits_file=str(table))
    assert DatasetCard((output / "README.md").read_text(encoding="utf-8")).data.license == "cc-by-4.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("table/c.npy,", "table/d.npy,"),
            r"a line for each of 4 files, got none in .*credits\.csv for 1: table/c\.npy\.",
        ),
        (("chair/a.npy,CC0-1.0", "chair/a.npy,"), r"a license for each file, got none in .* for 1: chair/a\.npy\."),
        (("table/c.npy", "table/a.npy"), r"one line for each file, got 'table/a\.npy' twice"),
        (
            ("credit,source", "thanks,source"),
            r"the columns name, license and credit, got \['name', 'license', 'thanks'",
        ),
        (("chair/b,", '"chair"/b,'), "a CSV file in UTF-8, got "),
        (
            ("credit,source", "credit,licence"),
            r"the columns name, .* got \['name', 'license', 'credit', 'licence'\] in",
        ),
        (("Joe,x", "Joe,Jim,x"), r"4 values in each line, got more in entry 5 of .*credits\.csv"),
    ],
)
def test_a_wrong_table_is_refused(table, change, message):
    table.write_text(TABLE.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=f"`credits_file` must (be|have|name) {message}"):
        read_credits(table, NAMES)


def test_a_table_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`credits_file` must be a CSV file in UTF-8, got .*absent"):
        read_credits(tmp_path / "absent.csv", NAMES)


def test_lines_without_a_file_are_named_in_a_warning(table, caplog):
    read_credits(table, NAMES[:3])
    assert "Ignored 1 lines" in caplog.text
    assert "table/c.npy" in caplog.text


def test_british_headings_and_a_byte_order_mark_are_read(table):
    table.write_text("\ufefffile,licence,credit\na.ply,MIT,Ann\n", encoding="utf-8")
    assert read_credits(table, ["a.ply"]) == {"a.ply": ("MIT", "Ann")}


def test_names_keep_their_spaces(table):
    table.write_text("name,license,credit\na  b .ply,MIT,Ann  Lee\n", encoding="utf-8")
    assert read_credits(table, ["a  b .ply"]) == {"a  b .ply": ("MIT", "Ann Lee")}
