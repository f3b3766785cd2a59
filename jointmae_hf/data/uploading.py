"""Uploads to the Hub: requests that are retried, and commits that are complete or absent."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError


logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each retry."""

_NETWORK_PACKAGES = ("httpx", "httpx2", "httpcore", "httpcore2", "hf_xet")
"""Packages whose exceptions mean a network fault; which one huggingface_hub uses depends on its version."""


def try_again(action: Callable[[], Answer], what: str) -> Answer:
    """Run an action on the Hub, and retry it after faults that may pass: overload, a dropped connection.

    `action` must be safe to repeat; `what` names it in errors. A refusal, such as for a missing permission, is not retried.
    """
    for attempt, wait in enumerate((*WAITS, None), start=1):
        try:
            return action()
        except Exception as error:
            if not _may_pass(error):
                raise
            if wait is None:
                raise ConnectionError(
                    f"The Hub must be reachable to {what}, got {type(error).__name__} in each of {attempt} attempts. "
                    "The repository holds what it held before; publish again later."
                ) from error
            logger.warning("Failed to %s (%s), next attempt in %g s", what, error, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def upload_in_one_commit(
    api: HfApi,
    repo_id: str,
    files: Mapping[str, Path | bytes],
    message: str,
    replaced: Sequence[str],
    repo_type: str = "model",
) -> CommitInfo:
    """Upload files, given by their names in an existing repository, in one commit.

    Files of an older upload that match one of the patterns `replaced`, such as `"data/*.parquet"`, and are not in `files`
    are deleted in the same commit; an asterisk matches no slash. A commit of the Hub is complete or absent. If its answer is
    lost, the retry finds nothing left to change and makes no second commit.
    """

    def commit() -> CommitInfo:
        # New objects for each attempt: they store what the Hub answered about the files.
        additions = [
            CommitOperationAdd(name, content if isinstance(content, bytes) else content.resolve())
            for name, content in files.items()
        ]
        present = api.list_repo_files(repo_id, repo_type=repo_type)
        deletions = [CommitOperationDelete(name) for name in present if name not in files and _matches(name, replaced)]
        return api.create_commit(repo_id, [*additions, *deletions], commit_message=message, repo_type=repo_type)

    return try_again(commit, f"commit to {repo_id}")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name in a repository matches one of the patterns, folder by folder."""
    return any(name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern) for pattern in patterns)


def _may_pass(error: Exception) -> bool:
    """Return whether the same request may succeed later: the Hub is overloaded, or the network failed."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (408, 429) or status >= 500
    return (
        isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.split(".")[0] in _NETWORK_PACKAGES
    )
