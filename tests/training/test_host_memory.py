"""Freed memory stays with the process: later steps touch no page for the first time."""

import platform
import subprocess
import sys

import pytest

from jointmae_hf.training import disable_malloc_trim


PROGRAM = """
import resource, sys
import torch
from jointmae_hf.training import disable_malloc_trim

if sys.argv[1] == "keep":
    assert disable_malloc_trim()
for turn in range(12):
    if turn == 8:  # by then small tensors have found places where large ones do not need theirs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensor = torch.ones(64, 2**20)  # 256 MiB
    del tensor
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kind):
    command = [sys.executable, "-c", PROGRAM, kind]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the advice is for the allocator of glibc")
def test_kept_memory_is_soon_not_touched_for_the_first_time_any_more():
    assert page_faults("keep") < 0.01 * page_faults("give back")


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not disable_malloc_trim()
