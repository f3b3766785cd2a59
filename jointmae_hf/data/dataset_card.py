"""The card of a converted dataset."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from .licenses import count_licenses


_UNNAMED = "<this repository>"
_HUB_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def write_dataset_card(name: str, splits: Mapping[str, Dataset], options: Mapping[str, Any], num_bytes: int) -> str:
    """Return the `README.md` of a converted dataset, whose `num_bytes` of files are `data/{split}-*.parquet`."""
    first, counts = next(iter(splits.values())), _count_licenses(splits)
    sections = [
        f"# {name}",
        _first_line(first.info.description or "Point clouds."),
        _usage(list(splits)),
        _columns(first.features),
        _counts(splits),
        _terms(first.info, counts),
        *_credits(counts),
        _origin(name, options),
    ]
    return f"---\n{_metadata(name, splits, num_bytes)}\n---\n\n" + "\n\n".join(sections) + "\n"


def name_repository(card: str, repo_id: str) -> str:
    """Put the name of the repository into a card, which did not know it when it was written."""
    return card.replace(f'load_dataset("{_UNNAMED}"', f'load_dataset("{repo_id}"')


def _first_line(text: str) -> str:
    """Return the first paragraph of a description in one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def _metadata(name: str, splits: Mapping[str, Dataset], num_bytes: int) -> str:
    """Return the head of the card in YAML: license, files of every split, features and counts."""
    first = next(iter(splits.values()))
    licenses = sorted({license for license, _ in _count_licenses(splits)})
    terms = first.info.license or (licenses[0].lower() if len(licenses) == 1 else "other" if licenses else "")
    data = DatasetCardData(
        pretty_name=name,
        license=(terms if _HUB_LICENSE.fullmatch(terms) else "other") if terms else None,
        tags=["3d", "point-cloud"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in splits],
            }
        ],
    )
    infos = {
        split: SplitInfo(name=split, num_bytes=dataset.data.nbytes, num_examples=len(dataset))
        for split, dataset in splits.items()
    }
    info = DatasetInfo(
        features=first.features,
        splits=SplitDict(infos),
        download_size=num_bytes,
        dataset_size=sum(split.num_bytes for split in infos.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    return data.to_yaml()


def _usage(splits: list[str]) -> str:
    """Return the code that loads it."""
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'{splits[0]} = load_dataset("{_UNNAMED}", split="{splits[0]}")  # also with streaming=True\n```'
    )


def _columns(features: Features) -> str:
    """Return the table of the columns."""
    rows = ["| column | type |", "|---|---|"]
    for name, feature in features.items():
        kind = f"ClassLabel of {feature.num_classes} names" if isinstance(feature, ClassLabel) else f"`{feature}`"
        rows.append(f"| `{name}` | {kind} |")
    return "\n".join(["## Columns", "", *rows, "", "Points are xyz with y up."])


def _counts(splits: Mapping[str, Dataset]) -> str:
    """Return the table of the clouds of every split, and of every class if there are classes."""
    rows = [["clouds", *splits], ["---"] * (len(splits) + 1), ["all", *(str(len(split)) for split in splits.values())]]
    label = next(iter(splits.values())).features.get("label")
    if isinstance(label, ClassLabel):
        counts = [split.data.column("label").to_numpy() for split in splits.values()]
        for number, class_name in enumerate(label.names):
            escaped = class_name.replace("|", "\\|")
            rows.append([escaped, *(str(int((labels == number).sum())) for labels in counts)])
    return "\n".join(["## Counts", "", *(f"| {' | '.join(row)} |" for row in rows)])


def _count_licenses(splits: Mapping[str, Dataset]) -> Counter[tuple[str, str]]:
    """Count the clouds of each license and credit in all splits."""
    return sum((count_licenses(split) for split in splits.values()), Counter())


def _credits(counts: Counter[tuple[str, str]]) -> list[str]:
    """Return the section of the credits that the licenses of single clouds ask for, if there are any."""
    items = [f"- {credit}, {terms} ({number})" for (terms, credit), number in sorted(counts.items()) if credit]
    return ["\n".join(["## Credits", "", "Credit, license and number of clouds:", "", *items])] if items else []


def _terms(info: DatasetInfo, counts: Counter[tuple[str, str]]) -> str:
    """Return license and source, as far as they are known, or the licenses of single clouds."""
    licenses: Counter[str] = Counter()
    for (terms, _), number in counts.items():
        licenses[terms] += number
    if licenses:
        own = [f"- {terms} ({number})" for terms, number in sorted(licenses.items())]
        text = "Each cloud has its license and credit in columns. License and number of clouds:"
        return "\n".join(["## Terms", "", text, "", *own])
    terms = info.license or "The license is not known to the converter. Name it here before you share this repository."
    source = [f"Source: {info.homepage}"] if info.homepage else []
    return "\n\n".join(["## Terms", terms, *source])


def _origin(name: str, options: Mapping[str, Any]) -> str:
    """Return the command that wrote it, without the folders of this machine."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sorted(options.items())}
    values = {key: Path(value).name if Path(value).is_absolute() else value for key, value in values.items()}
    config = [shlex.quote(f"{key}={value}") for key, value in values.items()]
    command = " ".join(["jointmae convert", name, *(["--config", *config] if config else [])])
    return f"## Origin\n\nWritten by `{command}`."
