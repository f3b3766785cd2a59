"""Public names of a package, each imported when it is first used."""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Create `__getattr__` and `__dir__` of a package from the relative imports in its `__init__.py`.

    The imports stand under `if TYPE_CHECKING:`, where type checkers and readers find them. A name then needs only the
    dependencies of its own module: `import datasets` runs when a dataset is first read.

    Args:
        package (`str`):
            `__name__` of the package.
        file (`str`):
            `__file__` of the package.

    Returns:
        `tuple[Callable, Callable]`: `__getattr__` and `__dir__`, see PEP 562.
    """
    modules = {
        alias.asname or alias.name: node.module
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return get, lambda: sorted(modules)
