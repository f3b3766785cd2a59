"""Read docstrings in the style of transformers: types such as "`torch.Tensor` of shape `(2, 3)`" are text."""

import importlib
import re
from inspect import cleandoc
from typing import Any

import griffe


TITLES = {"parameters": "Parameters", "attributes": "Attributes", "returns": "Returns", "yields": "Yields"}


class TransformersDocstring(griffe.Docstring):
    """A docstring whose types are Markdown, so that its sections are written as a list of Markdown."""

    def parse(self, *arguments: Any, **options: Any) -> list[griffe.DocstringSection]:
        """Return the sections."""
        sections = super().parse(*arguments, **options)
        return [as_text(section) if section.kind.value in TITLES else section for section in sections]


def as_text(section: griffe.DocstringSection) -> griffe.DocstringSectionText:
    """Write a section of names, types and descriptions as Markdown."""
    lines = [f"**{TITLES[section.kind.value]}:**\n"]
    for item in section.value:
        kind = item.annotation if isinstance(item.annotation, str) else f"`{item.annotation}`"
        start = f"**`{item.name}`** ({kind})" if item.name else kind
        lines.append(f"- {start} &ndash; {item.description.strip()}".replace("\n", "\n    "))
    return griffe.DocstringSectionText("\n".join(lines))


def rewrite(text: str) -> str:
    """Return a docstring with its example as the section that griffe knows, and without boilerplate of transformers."""
    text = re.sub(r"<Tip>.*?</Tip>\n*", "", text, flags=re.DOTALL)
    text = re.sub(r"^This model (?:inherits from|is also a PyTorch).*?\n\n", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^Example:\n(?=    )", "Examples:\n", text, flags=re.MULTILINE)
    return re.sub(r"^Example:$", "**Examples:**", text, flags=re.MULTILINE)


def runtime_docstring(obj: griffe.Object) -> str | None:
    """Return the docstring that `@auto_docstring` of transformers writes when the module is imported."""
    if not any("auto_docstring" in str(decorator.value) for decorator in getattr(obj, "decorators", [])):
        return None
    found: Any = importlib.import_module(obj.module.path)
    for name in obj.path.removeprefix(f"{obj.module.path}.").split("."):
        found = getattr(found, name)
    return cleandoc(found.__doc__)


class TransformersDocstrings(griffe.Extension):
    """Prepare every docstring."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Replace the docstring of an object."""
        text = runtime_docstring(obj) or (obj.docstring.value if obj.docstring else None)
        if text:
            obj.docstring = TransformersDocstring(
                rewrite(text),
                lineno=obj.docstring.lineno if obj.docstring else obj.lineno,
                parent=obj,
                parser=loader.docstring_parser,
                parser_options=loader.docstring_options,
            )
