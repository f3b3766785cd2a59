"""Licenses and credits of the clouds of a dataset: counted for cards, and what a license asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any


_WAIVED = re.compile(r"cc0|cc-zero|pddl|unlicense|wtfpl|0bsd|mit-0|public-domain")
_SHARED = re.compile(
    r"cc-by-(sa-)?[1-4]|cc-by(-sa)?$|mit|apache|bsd|zlib|isc|bsl|odc-by|odbl|ofl|gpl|lgpl|agpl|mpl|ecl|artistic"
)
_RESTRICTED = re.compile(
    r"\b(nc|nd)\b|non-?commercial|no-?deriv|research|academic|education|(no|not-be|non)-?redistribut"
)


def license_terms(license: str) -> str:
    """Return what a license means for those who share data, or weights that were trained on them.

    The text is compared with the names of common licenses, in any spelling of SPDX and the Hub. It is no legal advice.

    Args:
        license (`str`):
            Name or text of a license; empty if it is not known.

    Returns:
        `str`: `"waived"` (may be shared without credit), `"credit"` (may be shared with credit), `"restricted"` (sharing,
        changes or commercial use are forbidden) or `"unknown"`.

    Example:
        >>> [license_terms(name) for name in ("CC0-1.0", "CC BY 2.0", "CC-BY-NC-4.0", "mine")]
        ['waived', 'credit', 'restricted', 'unknown']
    """
    name = "-".join(re.findall(r"[a-z0-9.]+", license.lower()))
    if _RESTRICTED.search(name):
        return "restricted"
    if _WAIVED.match(name):
        return "waived"
    return "credit" if _SHARED.match(name) else "unknown"


def count_licenses(split: Any) -> Counter[tuple[str, str]]:
    """Count the clouds of each license and credit.

    Args:
        split (`datasets.Dataset`, `datasets.IterableDataset` or [`ParquetPointClouds`]):
            A split; of files, only the columns `license` and `credit` are read.

    Returns:
        `Counter[tuple[str, str]]`: Number of clouds by license and credit; nothing if there are no such columns.

    Raises:
        ValueError: If there is only one of the columns, or a cloud has no license or no text as its credit; the message has
            its position.
    """
    names = {"license", "credit"} & set(getattr(split, "column_names", None) or ())
    if len(names) == 1:
        raise ValueError(f"`split` must have both columns `license` and `credit`, or none, got {names.pop()!r} alone.")
    counts: Counter[tuple[str, str]] = Counter()
    for position, (license, credit) in enumerate(_license_rows(split) if names else ()):
        if not isinstance(license, str) or not isinstance(credit, str) or not license.strip():
            raise ValueError(
                f"`split` must hold a license, and a credit or an empty text, for each cloud, got {license!r} and {credit!r} "
                f"at position {position}."
            )
        counts[license.strip(), credit.strip()] += 1
    return counts


def _license_rows(split: Any) -> Iterator[tuple[Any, Any]]:
    """Yield license and credit of each cloud."""
    names = ["license", "credit"]
    if hasattr(split, "read_columns"):
        tables = split.read_columns(names)
    else:
        tables = split.select_columns(names).with_format("arrow").iter(10_000)
    for table in tables:
        yield from zip(table["license"].to_pylist(), table["credit"].to_pylist(), strict=True)


def _count_samples(split: Any) -> int | None:
    """Return the number of clouds, where it is known; an epoch of streamed files leaves some out."""
    return getattr(split, "num_rows", None) or (len(split) if hasattr(split, "__len__") else None)


def describe_licenses(split: Any) -> dict[str, Any]:
    """Describe a split that weights are trained on, for `results.json` and the card of the weights.

    Args:
        split (`datasets.Dataset`, `datasets.IterableDataset`, [`PointCloudTensors`] or [`PrimitiveShapeDataset`]):
            The split. Of clouds in memory, no license is known.

    Returns:
        `dict[str, Any]`: `license` (of the whole dataset), `url` and `num_samples`, and where each cloud has its own license
        `licenses` (number of clouds by license) and `credits` (a list of `license`, `credit` and `num_samples`, without the
        licenses that ask for no credit).

    Raises:
        ValueError: As from [`count_licenses`].
    """
    info, counts = getattr(split, "info", None), count_licenses(split)
    facts = {
        "license": getattr(split if info is None else info, "license", None) or None,
        "url": getattr(info, "homepage", None) or None,
        "num_samples": _count_samples(split) or counts.total() or None,
    }
    if not counts:
        return facts
    licenses: Counter[str] = Counter()
    for (license, _), number in counts.items():
        licenses[license] += number
    credits = [
        {"license": license, "credit": credit, "num_samples": number}
        for (license, credit), number in sorted(counts.items())
        if license_terms(license) != "waived"
    ]
    return {**facts, "licenses": dict(sorted(licenses.items())), "credits": credits}
