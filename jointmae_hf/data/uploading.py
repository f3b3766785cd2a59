"""Requests to the Hub that are tried again, and uploads in one commit that is either complete or not there."""

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
"""Seconds before each new attempt."""

_NETWORK_PACKAGES = ("httpx", "httpx2", "httpcore", "httpcore2", "hf_xet")
"""Packages whose exceptions tell of the network; which one huggingface_hub uses depends on its version."""


def try_again(action: Callable[[], Answer], what: str) -> Answer:
    """Do something on the Hub, and again after faults that may pass: overload, a dropped connection.

    Args:
        action (`Callable[[], Answer]`):
            Safe to be done twice.
        what (`str`):
            What it does, for the error.

    Returns:
        `Answer`: What `action` returns.

    Raises:
        ConnectionError: If the last attempt failed too.
        HfHubHTTPError: If the Hub refuses, such as for a missing permission. It is not asked again.
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
    """Upload files to a repository.

    A commit of the Hub is whole or not there. If its answer is lost, the next attempt finds nothing left to change and
    makes no second commit.

    Args:
        api (`HfApi`):
            With endpoint and token.
        repo_id (`str`):
            Repository that exists, `"owner/name"`.
        files (`Mapping[str, pathlib.Path | bytes]`):
            Name in the repository to file or content.
        message (`str`):
            Of the commit.
        replaced (`Sequence[str]`):
            Patterns of files that go, in the same commit, if they are of an older upload and the new one does not have
            them, such as `"data/*.parquet"`. An asterisk stands for no slash.
        repo_type (`str`, *optional*, defaults to `"model"`):
            `"model"` or `"dataset"`.

    Returns:
        `CommitInfo`: The commit.

    Raises:
        ConnectionError: See [`try_again`].
        HfHubHTTPError: See [`try_again`].
    """

    def commit() -> CommitInfo:
        # New objects for each attempt: they keep what the Hub said about the files.
        additions = [
            CommitOperationAdd(name, content if isinstance(content, bytes) else content.resolve())
            for name, content in files.items()
        ]
        present = api.list_repo_files(repo_id, repo_type=repo_type)
        deletions = [CommitOperationDelete(name) for name in present if name not in files and _matches(name, replaced)]
        return api.create_commit(repo_id, [*additions, *deletions], commit_message=message, repo_type=repo_type)

    return try_again(commit, f"commit to {repo_id}")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name in a repository is of one of the patterns, folder by folder."""
    return any(name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern) for pattern in patterns)


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: the Hub is overloaded, or the network failed."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (408, 429) or status >= 500
    return (
        isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.split(".")[0] in _NETWORK_PACKAGES
    )
