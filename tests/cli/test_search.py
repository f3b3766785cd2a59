import re

import numpy as np
import pytest

from jointmae_hf import JointMAEFeatureExtractor, JointMAEModel
from jointmae_hf.cli import main
from jointmae_hf.evaluation import shape_index


@pytest.fixture(scope="module")
def model(tmp_path_factory, build_tiny_config):
    folder = tmp_path_factory.mktemp("model")
    JointMAEModel(build_tiny_config()).save_pretrained(folder)
    JointMAEFeatureExtractor(num_points=64).save_pretrained(folder)
    return folder


@pytest.fixture
def parts(tmp_path, model, monkeypatch):
    """A folder of four clouds, two of which are the same up to scale; the working directory is next to it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(8, 80, 3)) * rng.uniform(0.2, 3.0, size=(8, 1, 3))
    reference = clouds[3:, :64].astype(np.float32)
    monkeypatch.setattr(shape_index, "reference_clouds", lambda num_points: reference)
    (tmp_path / "parts").mkdir()
    shapes = {"bolt": clouds[0], "nut": clouds[1], "plate": clouds[2], "bolt in inches": clouds[0] / 25.4}
    for name, cloud in shapes.items():
        np.save(f"parts/{name}.npy", cloud)
    return tmp_path / "parts"


def search(model, *flags):
    main(["search", "parts", "--model", str(model), "--device", "cpu", *flags])


def test_search_prints_the_nearest_shapes_of_every_query_without_the_query(parts, model, capsys):
    search(model, "--query", "parts/bolt.npy", "parts/nut.npy", "--top_k", "2")
    first, second = capsys.readouterr().out.split("parts/nut.npy\n")
    assert first.startswith("parts/bolt.npy\n  1.000  bolt in inches.npy\n  ")
    assert len(first.splitlines()) == len(second.splitlines()) + 1 == 3
    assert "nut.npy" not in second


def test_page_shows_the_query_and_what_was_found(parts, model):
    search(model, "--query", "parts/bolt.npy", "--top_k", "2", "--output", "found.html")
    page = (parts.parent / "found.html").read_text()
    assert page.count("<img") == 3
    assert re.search(r"<h1>Search in parts</h1>\s*<p>4 shapes, features of model\d*</p>", page)


def test_duplicates_are_a_table_of_pairs(parts, model, capsys):
    search(model, "--duplicates", "0.999")
    assert capsys.readouterr().out == "1.000  bolt in inches.npy  bolt.npy\n"
    assert (parts.parent / "search.html").read_text().count("<img") == 2


def test_search_without_duplicates_says_so_and_writes_no_page(parts, model, capsys, caplog):
    (parts / "bolt.npy").unlink()
    with caplog.at_level("INFO"):
        search(model, "--duplicates", "1")
    assert capsys.readouterr().out == ""
    assert "no pair has a score of 1 or more" in caplog.text
    assert not (parts.parent / "search.html").exists()


def test_index_is_kept_and_refreshed(parts, model, caplog):
    flags = ("--query", "parts/nut.npy", "--index", "index.parquet")
    with caplog.at_level("INFO"):
        search(model, *flags)
        np.save(parts / "ring.npy", np.random.default_rng(1).normal(size=(70, 3)))
        search(model, *flags)
    assert "index: 4 shapes, 4 new, 0 changed, 0 removed" in caplog.text
    assert "index: 5 shapes, 1 new, 0 changed, 0 removed" in caplog.text


def test_files_that_cannot_be_read_are_named_with_skip_errors(parts, model, caplog):
    (parts / "bad.npy").write_bytes(b"nothing")
    search(model, "--query", "parts/nut.npy", "--skip_errors")
    assert "skipped: bad.npy:" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "one of the arguments --query --duplicates is required"),
        (("--query", "a", "--duplicates", "1"), "not allowed with argument --query"),
        (("--query", "missing.npy"), "missing.npy"),
        (("--duplicates", "98"), "argument --duplicates: must be within (0, 1], got 98"),
        (("--duplicates", "1", "--output", "page.txt"), "`--output` must end in .html, got page.txt"),
        (("--query", "parts/nut.npy", "--index", "parts/i.parquet"), "`index` must lie outside `folder`"),
    ],
)
def test_search_ends_with_one_line(parts, model, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        search(model, *flags)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
