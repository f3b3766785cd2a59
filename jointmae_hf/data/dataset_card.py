"""The card of a converted dataset: `README.md` with the data that the Hub and `datasets` read from its head."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData


_UNNAMED = "<this repository>"
_HUB_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def write_dataset_card(name: str, splits: Mapping[str, Dataset], options: Mapping[str, Any], num_bytes: int) -> str:
    """Describe a dataset that lies in `data/{split}-*.parquet`.

    Args:
        name (`str`):
            Name of the dataset.
        splits (`Mapping[str, datasets.Dataset]`):
            All splits, with equal features; licence and source are taken from their `info`.
        options (`Mapping[str, Any]`):
            Options that the dataset was built with.
        num_bytes (`int`):
            Size of all files.

    Returns:
        `str`: Text of `README.md`.
    """
    first = next(iter(splits.values()))
    sections = [
        f"# {name}",
        _first_line(first.info.description or "Point clouds."),
        _usage(list(splits)),
        _columns(first.features),
        _counts(splits),
        _terms(first.info),
        _origin(name, options),
    ]
    return f"---\n{_metadata(name, splits, num_bytes)}\n---\n\n" + "\n\n".join(sections) + "\n"


def name_repository(card: str, repo_id: str) -> str:
    """Put the name of the repository into the usage of a card, which did not know it when it was written.

    Args:
        card (`str`):
            From [`write_dataset_card`].
        repo_id (`str`):
            Data set on the Hub, `"owner/name"`.

    Returns:
        `str`: The card.
    """
    return card.replace(f'load_dataset("{_UNNAMED}"', f'load_dataset("{repo_id}"')


def _first_line(text: str) -> str:
    """A description without what follows its first paragraph."""
    return " ".join(text.strip().split("\n\n")[0].split())


def _metadata(name: str, splits: Mapping[str, Dataset], num_bytes: int) -> str:
    """Head of the card in YAML: licence, files of every split, features and counts."""
    first = next(iter(splits.values()))
    licence = first.info.license or ""
    data = DatasetCardData(
        pretty_name=name,
        license=(licence if _HUB_LICENCE.fullmatch(licence) else "other") if licence else None,
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
    """How to read it."""
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'{splits[0]} = load_dataset("{_UNNAMED}", split="{splits[0]}")  # also with streaming=True\n```'
    )


def _columns(features: Features) -> str:
    """Table of the columns."""
    rows = ["| column | type |", "|---|---|"]
    for name, feature in features.items():
        kind = f"ClassLabel of {feature.num_classes} names" if isinstance(feature, ClassLabel) else f"`{feature}`"
        rows.append(f"| `{name}` | {kind} |")
    return "\n".join(["## Columns", "", *rows, "", "Points are xyz with y up."])


def _counts(splits: Mapping[str, Dataset]) -> str:
    """Table of the clouds of every split, and of every class if there are classes."""
    rows = [["clouds", *splits], ["---"] * (len(splits) + 1), ["all", *(str(len(split)) for split in splits.values())]]
    label = next(iter(splits.values())).features.get("label")
    if isinstance(label, ClassLabel):
        counts = [split.data.column("label").to_numpy() for split in splits.values()]
        for number, class_name in enumerate(label.names):
            escaped = class_name.replace("|", "\\|")
            rows.append([escaped, *(str(int((labels == number).sum())) for labels in counts)])
    return "\n".join(["## Counts", "", *(f"| {' | '.join(row)} |" for row in rows)])


def _terms(info: DatasetInfo) -> str:
    """Licence and source, as far as they are known."""
    licence = info.license or "Not known to the converter. Name it here before you share this repository."
    source = [f"Source: {info.homepage}"] if info.homepage else []
    return "\n\n".join(["## Terms", licence, *source])


def _origin(name: str, options: Mapping[str, Any]) -> str:
    """The command that made it, without the folders of this machine."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sorted(options.items())}
    values = {key: Path(value).name if Path(value).is_absolute() else value for key, value in values.items()}
    config = [shlex.quote(f"{key}={value}") for key, value in values.items()]
    command = " ".join(["python -m jointmae_hf.data convert", name, *(["--config", *config] if config else [])])
    return f"## Origin\n\nWritten by `{command}`."
