"""The site builds strictly, renders every public name, and loads nothing from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_api_pages import PAGES, listed_names

import jointmae_hf


pytest.importorskip("zensical", reason='needs pip install -e ".[docs]"')
pytest.importorskip("latex2mathml", reason='needs pip install -e ".[docs]"')
markdown_extension = pytest.importorskip("website.markdown_extension")

ROOT = Path(__file__).parents[1]
LOADS = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("use", "href")}


class Page(HTMLParser):
    """Anchors and links of a page, and what a browser loads for it."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.tags = set(), set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Collect the addresses of a tag."""
        attributes = dict(attrs)
        self.tags.add(tag)
        self.anchors.add(attributes.get("id"))
        for name in ("href", "src"):
            if name in attributes:
                is_loaded = (tag, name) in LOADS and attributes.get("rel") not in ("canonical", "prev", "next", "edit")
                (self.loaded if is_loaded else self.links).add(attributes[name])


def nav_pages(entries):
    """Paths of the pages in the navigation."""
    for entry in entries:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else nav_pages(target)


def build(folder):
    """Build the site of a folder that holds `zensical.toml`."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


def test_every_page_is_in_the_navigation_once():
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages -= {page for page in pages if page.startswith("results/")}  # tables that pages link to
    assert sorted(nav_pages(config["nav"])) == sorted(pages)


def test_addresses_are_those_of_one_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert config["repo_url"] == project["urls"]["Repository"]
    assert config["site_url"] == project["urls"]["Documentation"]
    assert f'repository-code: "{config["repo_url"]}"' in citation
    assert f'url: "{config["site_url"]}"' in citation
    assert f"version: {jointmae_hf.__version__}\n" in citation


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what the site is built from."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "website", "jointmae_hf", "examples", "checkpoints", "model_cards"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("zensical.toml", "NOTICE", *(path.name for path in ROOT.glob("*.md"))):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def site(copy):
    run = build(copy)
    assert run.returncode == 0, run.stdout + run.stderr
    folder = copy / "build" / "site"
    return {path.relative_to(folder).as_posix(): Page(path) for path in folder.rglob("*.html")}


def test_every_public_name_is_rendered(site):
    anchors = set().union(*(page.anchors for page in site.values()))
    names = {name + suffix for name, methods in listed_names(PAGES) for suffix in ("", *(f".{m}" for m in methods))}
    assert names - anchors == set()


@pytest.mark.parametrize(
    "left_over",
    [r"<p>\s*(?:Args|Attributes|Returns|Yields|Raises|Examples?):", r"\[<code>[\w.~]+</code>\]", r"<p>:::"],
)
def test_docstrings_are_read_to_the_end(copy, site, left_over):
    for page in (copy / "build" / "site" / "api").rglob("*.html"):
        assert not re.findall(left_over, page.read_text(encoding="utf-8")), page.parent.name


def test_nothing_is_loaded_from_elsewhere(site, copy):
    loaded = set().union(*(page.loaded for page in site.values()))
    assert loaded
    assert {address for address in loaded if urlsplit(address).netloc} == set()
    styles = [path.read_text(encoding="utf-8") for path in (copy / "build" / "site").rglob("*.css")]
    assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\s]*", "\n".join(styles))


def test_no_script_asks_github_for_stars(copy, site):
    for name in site:
        text = (copy / "build" / "site" / name).read_text(encoding="utf-8")
        assert 'data-md-component="source"' not in text, name


@pytest.mark.parametrize("kind", ["links", "loaded"])
def test_links_within_the_site_lead_somewhere(site, copy, kind):
    folder = copy / "build" / "site"
    for name, page in site.items():
        if name == "404.html":  # its addresses are absolute
            continue
        for address in getattr(page, kind):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (folder / name).parent / unquote(parts.path) if parts.path else folder / name
            target = (target / "index.html" if target.is_dir() else target).resolve()
            assert target.is_file(), f"{name}: {address}"
            if parts.fragment and target.suffix == ".html" and parts.path:
                anchors = site[target.relative_to(folder.resolve()).as_posix()].anchors
                assert unquote(parts.fragment) in anchors, f"{name}: {address}"


def test_links_to_the_repository_lead_to_files_of_it(site):
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    base = config["repo_url"] + "/"
    targets = {link.partition("#")[0] for page in site.values() for link in page.links if link.startswith(base)}
    assert targets
    for target in targets:
        kind, _, path = target.removeprefix(base).partition("/main/")
        assert kind == "edit" or (ROOT / path).is_dir() == (kind == "tree"), target
        assert (ROOT / path).exists(), target


def test_equations_are_mathml(site):
    assert "math" in site["method/index.html"].tags


def test_signs_of_html_in_an_equation_are_signs():
    math = markdown_extension.to_mathml(r"\(a &lt; b \)", "inline")
    assert "".join(math.itertext()) == "a<b"


def test_option_of_a_command_is_one_element():
    text = markdown_extension.OptionProcessor().run("<code>run --model M</code> a -- b <code>a-b</code>")
    assert text == '<code>run <span class="option">--model</span> M</code> a -- b <code>a-b</code>'


@pytest.mark.parametrize(
    "line",
    ["::: jointmae_hf.lazy_names.gone", "[gone](gone.md)", "[gone](../gone.md)", "[gone](#gone)", "[gone](gone.json)"],
)
def test_build_fails_for_a_missing_name_or_page(tmp_path, line):
    shutil.copytree(ROOT / "website", tmp_path / "website", ignore=shutil.ignore_patterns("__pycache__"))
    config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    (tmp_path / "zensical.toml").write_text(re.sub(r"^nav = .*?^\]\n", "", config, flags=re.DOTALL | re.MULTILINE))
    (tmp_path / "docs" / "assets").mkdir(parents=True)
    (tmp_path / "docs" / "assets" / "site.css").touch()
    (tmp_path / "jointmae_hf").mkdir()
    (tmp_path / "jointmae_hf" / "__init__.py").touch()
    (tmp_path / "docs" / "index.md").write_text("# Fine\n")
    assert build(tmp_path).returncode == 0
    (tmp_path / "docs" / "index.md").write_text(f"# Broken\n\n{line}\n")
    run = build(tmp_path)
    assert run.returncode != 0
    assert "gone" in re.sub(r"\x1b\[[\d;]*m", "", run.stdout + run.stderr)  # letter by letter in colors
