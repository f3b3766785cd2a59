"""Common tests of transformers, from the source archive of the installed version.

Wheels do not contain tests. The archive contains only the common ones, as flat files in `tests/`; stubs replace the
modules that they import from elsewhere, for export backends and text generation, which do not apply to point clouds.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import transformers


PACKAGE_NAME = "transformers_common_tests"

COMMON_ARGUMENTS = {
    "return_dict": False,
    "output_hidden_states": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["JointMAEModel"],
    "id2label": {0: "chair", 1: "table", 2: "lamp"},
    "label2id": {"chair": 0, "table": 1, "lamp": 2},
    "problem_type": "single_label_classification",
}
"""Fields of every configuration, with values that differ from the defaults."""

STUBS = {
    "__init__.py": "",
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": f"config_common_kwargs = {COMMON_ARGUMENTS!r}\n",
}


def common_tests_folder(cache_folder: Path) -> Path:
    """Return a folder for `sys.path` with the package `transformers_common_tests`; download it if it is missing."""
    folder = cache_folder / f"transformers-{transformers.__version__}"
    if not folder.is_dir():
        cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder) as temporary:
            unpack_common_tests(download_archive(Path(temporary)), Path(temporary) / "new" / PACKAGE_NAME)
            try:
                (Path(temporary) / "new").rename(folder)
            except OSError:
                if not folder.is_dir():  # unless another test process was faster
                    raise
    return folder


def download_archive(folder: Path) -> Path:
    """Download the source archive of the installed version from the package index of pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
    subprocess.run([*command, "--dest", str(folder), f"transformers=={transformers.__version__}"], check=True)
    return next(folder.glob("transformers-*.tar.gz"))


def unpack_common_tests(archive: Path, package: Path) -> None:
    """Write the flat test files and the stubs, which take precedence, to a package."""
    package.mkdir(parents=True)
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            path = Path(member.name)
            if path.parts[1:2] == ("tests",) and len(path.parts) == 3 and path.suffix == ".py":
                (package / path.name).write_bytes(opened.extractfile(member).read())
    for name, content in STUBS.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(content)
