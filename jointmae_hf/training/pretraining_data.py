"""Data of pre-training: a dataset, several of them as a mixture, or Parquet files that are streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments

from .arguments import DATASET_NAMES, DatasetArguments, parse_json_object
from .training_flags import Refusal


if TYPE_CHECKING:
    from datasets import DatasetDict

    from jointmae_hf.data import MixtureDataset, ParquetPointClouds


WITHOUT_FOLDER = frozenset({"primitive_shapes", "sample_shapes", "synthetic_shapes"})
"""Datasets that are generated or come with the package."""

ENDLESS = 1 << 40
"""Number of `primitive_shapes` in a mixture, more than any run takes."""

STREAM_OPTIONS = frozenset({"batch_size", "buffer_size", "num_lanes", "revision", "seed"})
"""Options of Parquet files, see [`ParquetPointClouds`]."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_OWN_ORDER = Refusal(("sequential",), "Mixtures and streamed Parquet files are shuffled already. Drop the flag.")
_IN_MEMORY = "With `data_on_device`, the main process takes batches from the memory of the GPU. Drop the flag."
_WITHOUT_LOADER = {
    "dataloader_num_workers": Refusal((0,), _IN_MEMORY),
    "dataloader_pin_memory": Refusal((False,), _IN_MEMORY),
}


@dataclass(frozen=True)
class PreTrainingData:
    """What a run trains and is measured on.

    Attributes:
        name (`str`):
            Name for results.
        splits (`Mapping[str, Any]`):
            `train` and `validation`.
        sources (`Sequence[tuple[str, Any]]`):
            Name and training clouds of each dataset.
        labeled (`DatasetDict`, *optional*):
            Splits of the first dataset with classes, for the linear SVM; none of streamed files.
        labeled_name (`str`, *optional*):
            Its name.
    """

    name: str
    splits: Mapping[str, Any]
    sources: Sequence[tuple[str, Any]]
    labeled: DatasetDict | None = None
    labeled_name: str | None = None

    @property
    def to_draw(self) -> Any:
        """`Any`: Held-out clouds for figures, those of `test` where there is one."""
        return self.splits.get("test", self.splits["validation"])

    def shares(self, num_clouds: int) -> list[dict[str, Any]]:
        """Return what each dataset contributed.

        Args:
            num_clouds (`int`):
                Clouds that the run has taken, counted again each time.

        Returns:
            `list[dict[str, Any]]`: For each dataset of a mixture `share`, its share of the training clouds, `num_drawn`, how
            many it contributed, and `num_samples`, how many of them were different. Empty dictionaries without a mixture.
        """
        train = self.splits["train"]
        if len(self.sources) == 1:
            return [{}]
        drawn = [int(count) for count in train.counts(num_clouds)]
        sizes = [len(clouds) for _, clouds in self.sources]
        return [
            {"share": share, "num_drawn": count, "num_samples": min(count, size)}
            for share, count, size in zip(train.shares, drawn, sizes, strict=True)
        ]


@dataclass
class PreTrainingDataArguments:
    """Flags that name the data of pre-training.

    Args:
        dataset (`list[str]`, *optional*):
            Names of datasets of [`load_point_clouds`], `"parquet"` for a folder of Parquet files, or ids of Parquet datasets
            on the Hub, which are streamed. By default as in [`DatasetArguments`].
        data_dir (`list[str]`, *optional*):
            Folders of those datasets that read one, in their order.
        dataset_options (`str`, *optional*, defaults to `"{}"`):
            Options of the dataset as a JSON object; of several datasets, a JSON list with an object for each.
        dataset_weights (`list[float]`, *optional*):
            Share of each of several datasets, see [`MixtureDataset`].
        data_on_device (`bool`, *optional*, defaults to `False`):
            Whether to keep all clouds of one dataset in the memory of the GPU.
    """

    dataset: list[str] | None = field(
        default=None,
        metadata={
            "help": f"Datasets: {DATASET_NAMES}, parquet, or owner/name on the Hub. By default `folder` with --data_dir, "
            "else embedded shapes."
        },
    )
    data_dir: list[str] | None = field(
        default=None,
        metadata={"help": "Folder of the dataset's files; of several, those of the ones that read files."},
    )
    dataset_options: str = field(
        default="{}",
        metadata={"help": 'Options as JSON: \'{"subset": "obj_bg"}\'; of several datasets, a list of such objects.'},
    )
    dataset_weights: list[float] | None = field(
        default=None, metadata={"help": "Share of each of several datasets: 0.7 0.3."}
    )
    data_on_device: bool = field(
        default=False,
        metadata={"help": "Keep all clouds in the memory of the GPU, from which batches are taken without a copy."},
    )

    def __post_init__(self) -> None:
        names: Sequence[Any] = self.dataset or [None]
        folders = self.data_dir or []
        _check_names([name for name in names if name is not None])
        options = self._parse_options(len(names))
        self._check_weights()
        reading = [place for place, name in enumerate(names) if name is None or _reads_folder(name)]
        if len(folders) != len(reading) and not (names[0] is None and not folders):
            needed = ", ".join(str(names[place]) for place in reading) or "none of them"
            raise ValueError(
                f"`data_dir` must name one folder for each dataset that reads one ({needed}), got {len(folders)}: "
                f"{', '.join(folders) or 'none'}."
            )
        by_place = dict(zip(reading, folders, strict=False))
        self.sources = [
            DatasetArguments(name, by_place.get(place), json.dumps(options[place])) for place, name in enumerate(names)
        ]
        self._check_twice()
        if self.data_on_device and self.has_own_order:
            raise ValueError(
                f"`data_on_device` must be False for mixtures and streamed Parquet files, got True and "
                f"{self.dataset_name}. Drop the flag."
            )
        for source in self.sources:
            unknown = sorted(set(source.options) - STREAM_OPTIONS) if _is_streamed(source) else []
            if unknown:
                raise ValueError(
                    f"`dataset_options` of Parquet files must be of {', '.join(sorted(STREAM_OPTIONS))}, got "
                    f"{', '.join(unknown)} for {_name_of(source)}."
                )

    @property
    def dataset_name(self) -> str:
        """`str`: Name of the data in results and cards."""
        return " + ".join(_name_of(source) for source in self.sources)

    @property
    def has_own_order(self) -> bool:
        """`bool`: Whether the data are shuffled by themselves instead of by a sampler."""
        return len(self.sources) > 1 or _is_streamed(self.sources[0])

    def excluded_flags(self) -> dict[str, Refusal]:
        """Return the flags of `TrainingArguments` that have no effect with these data."""
        if self.data_on_device:
            return _WITHOUT_LOADER
        return {"train_sampling_strategy": _OWN_ORDER} if self.has_own_order else {}

    def load(self, training: TrainingArguments, validation_share: float = 0.05, **defaults: Any) -> PreTrainingData:
        """Load the data.

        Args:
            training (`transformers.TrainingArguments`):
                Arguments of the run: seeds, batch size, processes and workers.
            validation_share (`float`, *optional*, defaults to 0.05):
                Share of `train` to hold out of a dataset without a validation split.
            defaults (`Any`):
                Options of the embedded shapes that `dataset_options` does not set.

        Returns:
            [`PreTrainingData`]: The data.
        """
        if len(self.sources) > 1:
            return self._load_mixture(training, validation_share, defaults)
        (source,) = self.sources
        if _is_streamed(source):
            splits: Any = _stream(source, training, validation_share)
        else:
            splits = source.load(training.seed, validation_share, **defaults)
        is_labeled = not _is_streamed(source) and "label" in splits["train"].features
        labeled = (splits, self.dataset_name) if is_labeled else (None, None)
        return PreTrainingData(self.dataset_name, splits, [(self.dataset_name, splits["train"])], *labeled)

    def _load_mixture(
        self, training: TrainingArguments, validation_share: float, defaults: Mapping[str, Any]
    ) -> PreTrainingData:
        """Load a mixture; its validation split mixes those of its datasets by the same weights."""
        from jointmae_hf.data import MixtureDataset

        names = [_name_of(source) for source in self.sources]
        loaded = [_load_source(source, training, validation_share, defaults) for source in self.sources]
        weights = self.dataset_weights or []
        seed = training.seed if training.data_seed is None else training.data_seed

        def mix(split: str, shuffle: bool) -> MixtureDataset:
            return MixtureDataset([one[split] for one in loaded], weights, seed=seed, shuffle=shuffle, names=names)

        labeled = next(
            ((one, name) for one, name in zip(loaded, names, strict=True) if _has_classes(one)), (None, None)
        )
        splits = {"train": mix("train", shuffle=True), "validation": mix("validation", shuffle=False)}
        sources = [(name, one["train"]) for name, one in zip(names, loaded, strict=True)]
        return PreTrainingData(self.dataset_name, splits, sources, *labeled)

    def _parse_options(self, count: int) -> list[dict[str, Any]]:
        """Return the options of each dataset."""
        if count == 1:
            return [parse_json_object("dataset_options", self.dataset_options)]
        if self.dataset_options == "{}":
            return [{}] * count
        rule = f"`dataset_options` must be a JSON list of {count} objects, one for each dataset"
        try:
            options = json.loads(self.dataset_options)
        except json.JSONDecodeError as error:
            raise ValueError(f"{rule}, got {self.dataset_options!r}.") from error
        if not isinstance(options, list) or len(options) != count or not all(isinstance(one, dict) for one in options):
            raise ValueError(f"{rule}, got {self.dataset_options!r}.")
        return options

    def _check_weights(self) -> None:
        """Raise unless several datasets, and only those, have weights."""
        from jointmae_hf.data.mixtures import check_weights

        names, weights = self.dataset or [], self.dataset_weights
        if len(names) > 1:
            try:
                check_weights(weights or [], names)
            except ValueError as error:
                raise ValueError(str(error).replace("`weights`", "`dataset_weights`")) from error
        elif weights is not None:
            raise ValueError(
                f"`dataset_weights` must come with several datasets, got {weights} for one. Drop the flag."
            )

    def _check_twice(self) -> None:
        """Raise if a dataset is there twice."""
        seen = [(one.dataset, str(Path(one.data_dir or "").resolve()), one.options) for one in self.sources]
        twice = [one for place, one in enumerate(self.sources) if seen[place] in seen[:place]]
        if twice:
            raise ValueError(
                f"`dataset` must name each dataset once, got {_name_of(twice[0])} twice. Add up the weights."
            )


def _check_names(names: Sequence[str]) -> None:
    """Raise if a name is that of no dataset."""
    known = [*DATASET_NAMES.split(", "), "parquet"]
    unknown = [name for name in names if name not in known and not _HUB_ID.fullmatch(name)]
    if unknown:
        raise ValueError(
            f"`dataset` must be one of {', '.join(known)}, or owner/name on the Hub, got {', '.join(unknown)}."
        )


def _reads_folder(name: str) -> bool:
    """Return whether a dataset of this name reads the files of a folder."""
    return name not in WITHOUT_FOLDER and "/" not in name


def _is_streamed(source: DatasetArguments) -> bool:
    """Return whether a dataset is streamed from Parquet files."""
    return source.dataset == "parquet" or "/" in str(source.dataset)


def _name_of(source: DatasetArguments) -> str:
    """Return the name of a dataset in results; that of a folder without its path on this machine."""
    return Path(source.data_dir or "").resolve().name if source.dataset == "parquet" else source.dataset_name


def _has_classes(splits: Any) -> bool:
    """Return whether the splits, not streamed, have class labels."""
    from datasets import DatasetDict

    return isinstance(splits, DatasetDict) and "label" in splits["train"].features


def _load_source(
    source: DatasetArguments, training: TrainingArguments, validation_share: float, defaults: Mapping[str, Any]
) -> Any:
    """Return the splits of one dataset of a mixture."""
    if _is_streamed(source):
        return _stream(source, training, validation_share, num_lanes=1)
    if source.dataset == "primitive_shapes":
        return _generate_endless(source.options)
    return source.load(training.seed, validation_share, **defaults)


def _generate_endless(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `primitive_shapes` that are generated when they are read; without `num_train` they never end."""
    from jointmae_hf.data import PrimitiveShapeDataset, PrimitiveShapesConfig

    unknown = sorted(set(options) - {one.name for one in fields(PrimitiveShapesConfig)})
    if unknown:
        raise ValueError(f"`dataset_options` of primitive_shapes must be its options, got {', '.join(unknown)}.")
    config = PrimitiveShapesConfig(**options)
    sizes = {"train": options.get("num_train", ENDLESS), "validation": config.num_validation}
    return {
        split: PrimitiveShapeDataset(size, config.num_points, config.seed, split, config)
        for split, size in sizes.items()
    }


def _stream(
    source: DatasetArguments, training: TrainingArguments, validation_share: float, num_lanes: int | None = None
) -> dict[str, ParquetPointClouds]:
    """Return the splits of Parquet files, as many lanes as processes and workers, or a multiple of at least 8."""
    from jointmae_hf.data import ParquetPointClouds

    readers = training.world_size * max(1, training.dataloader_num_workers)
    path = source.data_dir if source.dataset == "parquet" else source.dataset
    options = {
        "batch_size": training.per_device_train_batch_size,
        "num_lanes": num_lanes or readers * -(-8 // readers),
        "seed": training.seed if training.data_seed is None else training.data_seed,
        **source.options,
    }
    splits = ParquetPointClouds.from_repository(str(path), **options)
    if "train" not in splits:
        raise ValueError(f"`dataset` must have a split `train`, got {', '.join(splits)} in {path}.")
    if "validation" in splits:
        return splits
    train, validation = splits["train"].hold_out(validation_share, training.seed)
    return {**splits, "train": train, "validation": validation}
