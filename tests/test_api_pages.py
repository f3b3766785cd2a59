"""Pages of `docs/api/`: every public name is on one, and every name on a page exists."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import jointmae_hf


PAGES = sorted((Path(__file__).parents[1] / "docs" / "api").glob("*.md"))
NAME = re.compile(r"^::: (jointmae_hf[\w.]*)(?:\n    options:\n      members: \[([\w, ]*)\])?", flags=re.MULTILINE)
"""`:::`, which the site replaces by the docstring, with the methods to show."""

PACKAGES = ["", *sorted(path.parent.name for path in Path(jointmae_hf.__file__).parent.glob("*/__init__.py"))]
GEOMETRY = ["depth_projection", "farthest_point_sampling", "losses", "masking", "point_ops", "pooling"]


def listed_names(pages):
    """Names on the pages, each with its methods."""
    return [(name, re.findall(r"\w+", methods)) for page in pages for name, methods in NAME.findall(page.read_text())]


def resolve(name):
    """Object of a dotted name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def public_names(package):
    """Dotted names of what a package exports; of `model/` its functions on tensors."""
    if package == "model":
        for file in GEOMETRY:
            module = importlib.import_module(f"jointmae_hf.model.{file}")
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == module.__name__ and not name.startswith("_"):
                    yield f"{module.__name__}.{name}"
        return
    module = importlib.import_module(f"jointmae_hf.{package}" if package else "jointmae_hf")
    yield from (f"{module.__name__}.{name}" for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_on_a_page(package):
    listed = {
        re.sub(r"\.(\w+)\.\1$", r".\1", name) for name, _ in listed_names(PAGES)
    }  # a function in a file of its name
    missing = set(public_names(package)) - listed
    assert not missing, f"add to docs/api/{package or 'models'}.md: " + ", ".join(
        f"::: {name}" for name in sorted(missing)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_a_page_exists_and_is_documented(page):
    for name, methods in listed_names([page]):
        found = resolve(name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__doc__, name
        for method in methods:
            assert getattr(found, method).__doc__, f"{name}.{method}"


def test_no_name_is_on_two_pages():
    names = [name for name, _ in listed_names(PAGES)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_page_without_a_name_is_seen(tmp_path):
    (tmp_path / "a.md").write_text(
        "::: jointmae_hf.JointMAEModel\n    options:\n      members: [forward]\n\n::: jointmae_hf.data.X\n"
    )
    assert listed_names([tmp_path / "a.md"]) == [
        ("jointmae_hf.JointMAEModel", ["forward"]),
        ("jointmae_hf.data.X", []),
    ]
