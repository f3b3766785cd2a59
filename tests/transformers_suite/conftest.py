"""Run the common tests of transformers with `pytest -m suite`; otherwise nothing is downloaded.

They are cached in the folder given by the environment variable `JOINTMAE_SUITE_CACHE`, or in the cache of pytest.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path


def is_selected(config):
    expression = config.getoption("markexpr")
    return not expression or "suite" in expression.replace("not suite", "")


def load_harness():
    """Load the module next to this file; test folders are no packages."""
    spec = importlib.util.spec_from_file_location("common_tests", Path(__file__).with_name("common_tests.py"))
    harness = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(harness)
    return harness


def pytest_configure(config):
    if not is_selected(config):
        return
    cache_folder = os.environ.get("JOINTMAE_SUITE_CACHE") or config.cache.mkdir("transformers_suite")
    harness = load_harness()
    folder = harness.common_tests_folder(Path(cache_folder))
    sys.path.insert(0, str(folder))
    source = (folder / harness.PACKAGE_NAME / "test_modeling_common.py").read_text()
    for name in sorted(set(re.findall(r"\bmark\.(\w+)", source))):
        config.addinivalue_line("markers", f"{name}: a marker of the tests of transformers")


def pytest_ignore_collect(collection_path, config):
    return True if collection_path.suffix == ".py" and not is_selected(config) else None
