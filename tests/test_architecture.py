"""What may import what, and what the folder that travels to the Hub may contain.

Each rule is a function from a folder to the lines that break it, so that a test can also break it on purpose.
"""

import ast
import re
import shutil
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_import_files, get_relative_imports

import jointmae_hf


PACKAGE = Path(jointmae_hf.__file__).parent
FLOORS = {
    "": 0,
    "model": 0,
    "data": 1,
    "evaluation": 2,
    "visualization": 2,
    "training": 3,
    "hub": 3,
    "export": 3,
    "cli": 4,
}
"""Floor of each folder of the package; the package's own files hold public names of `model` alone."""

BESIDE = {"examples", "tests", "benchmarks"}
MODEL_DEPENDENCIES = {"torch", "numpy", "transformers", "huggingface_hub"}
ENTRY_FILES = re.compile(r"(modeling|feature_extraction|pipeline)_jointmae\.py")


def python_files(folder):
    return [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]


def imported_modules(path, package):
    """Absolute names of the modules that a file imports, also inside functions, with their lines."""
    parent = [package.name, *path.relative_to(package).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent[: len(parent) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def folder_of(module, package):
    """Folder of the package that a module lies in, `""` for the package itself."""
    second = [*module.split("."), ""][1]
    return second if (package / second).is_dir() else ""


def may_import(own, other):
    """Whether a file of one folder may import another folder of the package; `""` is the package itself."""
    if own in ("", "model"):
        return other in (own, "model")
    return own == other or FLOORS[other] < FLOORS[own]


def upward_imports(package):
    """Imports from a higher floor, from another folder of the same floor, or from beside the package."""
    for path in python_files(package):
        own = path.relative_to(package).parts[0] if path.parent != package else ""
        for module, line in imported_modules(path, package):
            root = module.split(".")[0]
            is_inside = root == package.name
            is_allowed = may_import(own, folder_of(module, package)) if is_inside else root not in BESIDE
            if not is_allowed:
                yield f"{path}:{line}: {module}"


def foreign_imports_of_model(package):
    """Imports of `model/` that remote code cannot have: other packages, parents, sub-packages, `from . import`."""
    siblings = {path.stem for path in (package / "model").glob("*.py")}
    for path in python_files(package / "model"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {node.module.split(".")[0]}
            elif isinstance(node, ast.ImportFrom):
                is_sibling = node.level == 1 and node.module in siblings
                roots = set() if is_sibling else {"." * node.level + (node.module or "")}
            else:
                continue
            for root in sorted(roots - MODEL_DEPENDENCIES - set(sys.stdlib_module_names)):
                yield f"{path}:{node.lineno}: {root}"


def files_that_do_not_travel(package):
    """Files of `model/` that transformers would not upload with any entry file."""
    entries = [path for path in python_files(package / "model") if ENTRY_FILES.fullmatch(path.name)]
    reached = {Path(found).resolve() for entry in entries for found in get_relative_import_files(entry)}
    reached |= {path.resolve() for path in [*entries, package / "model" / "__init__.py"]}
    yield from (str(path) for path in python_files(package / "model") if path.resolve() not in reached)


def misread_imports(package):
    """Files of `model/` whose relative imports transformers reads otherwise than Python does."""
    for path in python_files(package / "model"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        if set(get_relative_imports(path)) != {node.module for node in nodes if node.level}:
            yield str(path)


def prints(package):
    for path in python_files(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"{path}:{node.lineno}"


def docstring_imports(package):
    """Lines inside strings that transformers' loader would read as relative imports."""
    for path in python_files(package):
        for node in ast.walk(ast.parse(path.read_text())):
            is_string = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_string and re.search(r"^\s*(from\s+\.\S*\s+import|import\s+\.)", node.value, flags=re.MULTILINE):
                yield f"{path}:{node.lineno}"


RULES = [
    upward_imports,
    foreign_imports_of_model,
    files_that_do_not_travel,
    misread_imports,
    prints,
    docstring_imports,
]


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps_the_rule(rule):
    assert list(rule(PACKAGE)) == []


def test_every_folder_has_a_floor():
    folders = {path.parent.relative_to(PACKAGE).parts[:1] for path in python_files(PACKAGE)}
    assert {parts[0] for parts in folders if parts} <= FLOORS.keys()


def test_transformers_finds_no_dependency_of_model_that_is_not_installed():
    names = {name for path in python_files(PACKAGE / "model") for name in get_imports(path)}
    assert names <= MODEL_DEPENDENCIES | set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("rule", "file", "line"),
    [
        (upward_imports, "model/masking.py", "from jointmae_hf.data import collator"),
        (upward_imports, "model/masking.py", "from jointmae_hf import JointMAEConfig"),
        (upward_imports, "data/transforms.py", "def late():\n    import jointmae_hf.evaluation.metrics"),
        (upward_imports, "data/transforms.py", "from ..evaluation import metrics"),
        (upward_imports, "evaluation/metrics.py", "from jointmae_hf.visualization import reconstruction_figure"),
        (upward_imports, "evaluation/metrics.py", "from jointmae_hf import hub"),
        (upward_imports, "hub/model_card.py", "from examples import run_pretrain"),
        (upward_imports, "__init__.py", "from .data import load_point_clouds"),
        (foreign_imports_of_model, "model/masking.py", "def late():\n    import scipy"),
        (foreign_imports_of_model, "model/masking.py", "from . import losses"),
        (foreign_imports_of_model, "model/masking.py", "from .. import auto"),
        (foreign_imports_of_model, "model/masking.py", "from ..data import collator"),
        (foreign_imports_of_model, "model/masking.py", "from .sub.module import name"),
        (foreign_imports_of_model, "model/masking.py", "import jointmae_hf"),
        (files_that_do_not_travel, "model/lonely.py", "import torch"),
        (misread_imports, "model/masking.py", '"""Text\nfrom .elsewhere import name\n"""'),
        (prints, "data/transforms.py", "print(1)"),
        (docstring_imports, "data/transforms.py", '"""Text\n    from .name import other\n"""'),
    ],
)
def test_rule_sees_a_deliberate_break(tmp_path, rule, file, line):
    package = tmp_path / "jointmae_hf"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with open(package / file, "a") as opened:
        opened.write(f"\n{line}\n")
    assert list(rule(package))
