"""Train, validation and test of a dataset for the scripts: what is chosen is chosen on `validation`, never on `test`."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from .loading import load_point_clouds


def load_splits(
    name: str,
    data_dir: str | Path | None = None,
    validation_share: float = 0.1,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    **config: Any,
) -> DatasetDict:
    """Load a dataset and hold out a validation part of `train` where the dataset has none.

    Most datasets of the field come without a validation split, and papers choose their epoch on `test`. Here `test` stays
    untouched. The part is drawn class by class where there are classes, so that each keeps its share.

    Args:
        name (`str`):
            Name of a dataset, see [`load_point_clouds`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of its files.
        validation_share (`float`, *optional*, defaults to 0.1):
            Share of `train` to hold out, within (0, 1).
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice, not negative.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            As in [`load_point_clouds`].
        num_proc (`int`, *optional*):
            As in [`load_point_clouds`].
        config (`Any`, *optional*):
            Options of the dataset.

    Returns:
        `datasets.DatasetDict`: `train`, `validation` and, where the dataset has one, `test`, with its other splits.

    Raises:
        ValueError: If an argument breaks its rule, there is no `train`, or it is too small to be divided.
    """
    if not 0.0 < validation_share < 1.0:
        raise ValueError(f"`validation_share` must be within (0, 1), got {validation_share}.")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative, got {seed}.")
    splits = load_point_clouds(name, data_dir, cache_dir=cache_dir, num_proc=num_proc, **config)
    if "train" not in splits:
        raise ValueError(f"`name` must be a dataset with a split `train`, got {name!r} with {sorted(splits)}.")
    if "validation" in splits:
        return splits
    train, validation = hold_out(splits["train"], validation_share, seed)
    return DatasetDict({**splits, "train": train, "validation": validation})


def hold_out(dataset: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Divide a split in two; rows keep their order.

    Args:
        dataset (`datasets.Dataset`):
            The split.
        share (`float`):
            Share of the second part, within (0, 1). Of every class `floor(share * size + u)` rows go there, with one u
            out of [0, 1) for each class, so that rare classes are represented in the mean.
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice.

    Returns:
        `tuple[datasets.Dataset, datasets.Dataset]`: The larger part and the one that was held out.

    Raises:
        ValueError: If one of the parts would be empty.
    """
    labels = np.asarray(dataset["label"]) if "label" in dataset.features else np.zeros(len(dataset), dtype=int)
    generator = np.random.default_rng(seed)
    is_held_out = np.zeros(len(dataset), dtype=bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        is_held_out[rows[: int(share * len(rows) + generator.random())]] = True
    if is_held_out.all() or not is_held_out.any():
        raise ValueError(
            f"`share` must leave samples in both parts, got {share} of {len(dataset)} samples. Choose another share."
        )
    return dataset.select(np.flatnonzero(~is_held_out)), dataset.select(np.flatnonzero(is_held_out))
