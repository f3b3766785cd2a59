"""Extend the Markdown of the site: links that also work on GitHub, names of the package, and equations as MathML."""

import posixpath
import re
from functools import cache
from html import unescape
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, fromstring

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.postprocessors import Postprocessor
from markdown.treeprocessors import Treeprocessor
from zensical.extensions.context import ContextPreprocessor


ROOT = Path(__file__).parents[1]
NAME_ON_PAGE = re.compile(r"^::: ([\w.]+)(?:\n +options:\n +members: \[([^\]]*)\])?", flags=re.MULTILINE)
FORMULA = re.compile(r"\\[(\[](.*)\\[)\]]", flags=re.DOTALL)  # as `pymdownx.arithmatex` writes them

INLINE_CODE = re.compile(r"(<code[^>]*>)([^<]*)(?=</code>)")
OPTION = re.compile(r"(?<!\S)--\S+")


@cache
def public_names() -> dict[str, str]:
    """Map what docstrings call a name, such as `JointMAEModel.forward`, to its full name on a page of `docs/api`."""
    names = {}
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        for full_name, members in NAME_ON_PAGE.findall(page.read_text(encoding="utf-8")):
            short_name = full_name.rpartition(".")[2]
            for suffix in ("", *(f".{member}" for member in re.findall(r"\w+", members))):
                names[short_name + suffix] = names[full_name + suffix] = full_name + suffix
    return names


class NameProcessor(InlineProcessor):
    """Link a name in brackets and backticks, as transformers writes them; a name of others becomes code."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:  # noqa: N802
        """Return the element of a name."""
        name = m[1].lstrip("~")
        link = Element("autoref", {"identifier": public_names()[name]}) if name in public_names() else Element("span")
        is_short = m[1].startswith("~") or name.startswith("jointmae_hf.")
        SubElement(link, "code").text = name.rpartition(".")[2] if is_short else name
        return link, m.start(0), m.end(0)


class RepositoryLinkProcessor(Treeprocessor):
    """Point relative links to folders, and to files outside `docs/`, at the repository."""

    def run(self, root: Element) -> None:
        """Replace such links in place."""
        context = ContextPreprocessor.from_markdown(self.md)
        folder = posixpath.join("docs", posixpath.dirname(context.page.path))
        for link in root.iter("a"):
            target, separator, anchor = link.get("href", "").partition("#")
            path = posixpath.normpath(posixpath.join(folder, target))
            if re.match(r"[a-z]+:|/|$", target):
                continue
            if not (ROOT / path).exists():
                raise ValueError(f"a link of docs/{context.page.path} must lead somewhere, got {target}.")
            is_folder = (ROOT / path).is_dir()
            if is_folder or not path.startswith("docs/"):
                kind = "tree" if is_folder else "blob"
                link.set("href", f"{context.config['repo_url']}/{kind}/main/{path}{separator}{anchor}")


def to_mathml(formula: str, display: str) -> Element:
    """Return the MathML of a formula, which is TeX in brackets, escaped as HTML."""
    tex = FORMULA.fullmatch(unescape(formula).strip())[1]
    return fromstring(convert(tex, display=display, xmlns=""))


class EquationProcessor(Treeprocessor):
    """Turn the TeX that `pymdownx.arithmatex` has found into MathML, which browsers set without a script."""

    def run(self, root: Element) -> None:
        """Replace equations in place."""
        for element in root.iter():
            if element.get("class") == "arithmatex":
                is_block = element.tag == "div"
                element.text, element[:] = None, [to_mathml(element.text, "block" if is_block else "inline")]


class OptionProcessor(Postprocessor):
    """Keep options of commands in one piece; browsers break a line behind a hyphen."""

    def run(self, text: str) -> str:
        """Return the page with each option in an element of its own."""
        return INLINE_CODE.sub(lambda m: m[1] + OPTION.sub(r'<span class="option">\g<0></span>', m[2]), text)


class SiteExtension(Extension):
    """The four processors."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register them: names before links of Markdown, links and equations when inline elements exist."""
        md.inlinePatterns.register(NameProcessor(r"\[`(~?[\w.]+)`\](?![\[(])", md), "public_names", 200)
        md.treeprocessors.register(RepositoryLinkProcessor(md), "repository_links", 15)
        md.treeprocessors.register(EquationProcessor(md), "equations", 14)
        md.postprocessors.register(OptionProcessor(md), "options", 5)  # code is written by then


def makeExtension(**options: object) -> SiteExtension:  # noqa: N802
    """Return the extension to Markdown."""
    return SiteExtension(**options)
