"""Lists of a published dataset: the names that they hold, compared with the files that are there and with each other."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath


logger = logging.getLogger(__name__)


def first_of(names: Sequence[str]) -> str:
    """Join the first names of many for a message.

    Args:
        names (`Sequence[str]`):
            Names.

    Returns:
        `str`: At most three of them, and dots for the others.
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def read_names(path: Path) -> list[str]:
    """Read a list of names, one a line.

    Args:
        path (`pathlib.Path`):
            Text file.

    Returns:
        `list[str]`: Names without white space around them.

    Raises:
        ValueError: If the file cannot be read or holds no names, or a name occurs twice or leads out of its folder.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`{path}` must be a list of names, one a line, got: {error}") from error
    return check_names(names, path)


def check_names(names: Sequence[str], path: Path) -> list[str]:
    """Check names that a list of the dataset gives.

    Args:
        names (`Sequence[str]`):
            Names, which may hold folders.
        path (`pathlib.Path`):
            The list, for the message.

    Returns:
        `list[str]`: The names.

    Raises:
        ValueError: If there are none, or a name occurs twice or leads out of its folder.
    """
    if not names:
        raise ValueError(f"`{path}` must hold at least one name, got none.")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"`{path}` must hold every name once, got {name!r} twice.")
        if "\\" in name or "\0" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"`{path}` must hold names within the dataset, got {name!r}.")
        seen.add(name)
    return list(names)


def check_disjoint(names: Mapping[str, Sequence[str]]) -> None:
    """Check that no cloud is in two splits.

    Args:
        names (`Mapping[str, Sequence[str]]`):
            Names of every split.

    Raises:
        ValueError: If one is in two.
    """
    split_of: dict[str, str] = {}
    for split, members in names.items():
        for name in members:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"Splits must be disjoint, got {name!r} in {split_of[name]} and {split}.")


def warn_of_unlisted(dataset: str, present: set[str], listed: set[str]) -> None:
    """Warn of files that no list of the dataset names.

    Args:
        dataset (`str`):
            Name of the dataset.
        present (`set[str]`):
            Files that are there.
        listed (`set[str]`):
            Files that are read.
    """
    unlisted = sorted(present - listed)
    if unlisted:
        logger.warning("%s: %d files are in no list and are left out: %s", dataset, len(unlisted), first_of(unlisted))


def warn_of_shared(dataset: str, names: Mapping[str, Sequence[str]]) -> None:
    """Warn of clouds that are in two splits.

    Args:
        dataset (`str`):
            Name of the dataset.
        names (`Mapping[str, Sequence[str]]`):
            Names of every split, each once.
    """
    counts = Counter(name for members in names.values() for name in members)
    shared = [name for name, count in counts.items() if count > 1]
    if shared:
        logger.warning("%s: %d clouds are in two splits and stay there: %s", dataset, len(shared), first_of(shared))


def warn_of_counts(dataset: str, counts: Mapping[str, int], official: Mapping[str, int]) -> None:
    """Warn when a dataset is not as large as the published one.

    Args:
        dataset (`str`):
            Name of the dataset.
        counts (`Mapping[str, int]`):
            Clouds of every split.
        official (`Mapping[str, int]`):
            Clouds of every split as published.
    """
    if dict(counts) != dict(official):
        logger.warning("%s: the published splits hold %s clouds, these %s.", dataset, dict(official), dict(counts))
