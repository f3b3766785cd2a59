"""Mixtures of datasets: exact shares, and each dataset without repeats until all of it was seen."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .counter_rng import RandomStream, counter_permutation
from .dataset import PointCloudSamples, as_clouds
from .shared_epoch import SharedEpoch


MAX_PERIOD = 10_000
"""Maximum number of clouds after which the order of the datasets repeats; weights are exact to one of that many."""


def check_weights(weights: Sequence[float], names: Sequence[str]) -> None:
    """Raise `ValueError` unless there is one positive weight for each dataset, large enough to be ever chosen."""
    if len(weights) != len(names):
        raise ValueError(
            f"`weights` must have one number for each dataset, got {len(weights)} for {len(names)}: {', '.join(names)}."
        )
    for weight, name in zip(weights, names, strict=True):
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"`weights` must be positive and finite, got {weight} for {name}. Leave the dataset out.")
    for weight, name in zip(weights, names, strict=True):
        if weight / sum(weights) < 1 / MAX_PERIOD:
            raise ValueError(
                f"`weights` must be at least 1/{MAX_PERIOD:,} of their sum, got {weight} of {sum(weights)} for {name}."
            )


def _counts_of_period(weights: Sequence[float]) -> np.ndarray:
    """Return how many clouds of each dataset one period has, in the shortest period that is exact."""
    shares = np.asarray(weights, dtype=np.float64) / math.fsum(weights)
    periods = np.arange(1, MAX_PERIOD + 1)[:, None]
    distances = np.abs(periods * shares - np.rint(periods * shares)).max(axis=1)
    exact = np.flatnonzero(distances < 1e-9 * periods[:, 0])
    period = int(exact[0]) + 1 if len(exact) else MAX_PERIOD
    counts = np.floor(period * shares + 1e-6).astype(np.int64)
    remainders = period * shares - counts
    counts[np.argsort(-remainders, kind="stable")[: period - counts.sum()]] += 1
    return counts


def _order_of_period(counts: np.ndarray) -> np.ndarray:
    """Return the dataset of each cloud of a period: after any number of clouds, none is off its share by a whole cloud.

    Source: Tijdeman, "The chairman assignment problem", 1980. Integers only: `due` counts in 1 / period of a cloud.
    """
    period, num_datasets = int(counts.sum()), len(counts)
    margin = period / max(2 * num_datasets - 2, 1)
    due, order = np.zeros(num_datasets, dtype=np.int64), np.empty(period, dtype=np.int64)
    for slot in range(period):
        due += counts
        deadline = np.where(due >= margin, (period - margin - due) / counts, np.inf)
        order[slot] = deadline.argmin() if num_datasets > 1 else 0
        due[order[slot]] -= period
    return order


class MixtureDataset(SharedEpoch, torch.utils.data.Dataset):
    """Several datasets as one, with the samples and batches of [`PointCloudDataset`] but without labels.

    Sample `index` is a function of `index`, the epoch and the arguments: nothing depends on the number of workers or
    processes, and a resumed run needs no state. Read in order (`--train_sampling_strategy sequential`), it is shuffled and
    its shares are exact: among the first clouds, however many, no dataset is off its share by a whole cloud. Each dataset
    is read in a random order, and no cloud of it comes again before all have come; the next epoch goes on where this one
    ends. `set_epoch`, which the loaders of accelerate and [`JointMAETrainer`] call, chooses the epoch.

    `index` of a sample is its place in the epoch, so a cloud that comes twice in an epoch gets new random numbers.

    Args:
        datasets (sequence of datasets):
            `datasets.Dataset`, [`PointCloudTensors`], [`PrimitiveShapeDataset`] or another map-style dataset of samples.
        weights (`Sequence[float]`):
            Share of each dataset, positive; their sum does not matter. Shares that are not fractions of a period of at most
            10,000 clouds are rounded to 1/10,000.
        length (`int`, *optional*):
            Clouds of an epoch. By default the epoch ends when the first dataset has been seen once, like
            `datasets.interleave_datasets`; a larger dataset goes on in the next epoch.
        seed (`int`, *optional*, defaults to 0):
            Seed of the order within the datasets.
        shuffle (`bool`, *optional*, defaults to `True`):
            Whether datasets are shuffled. Otherwise each is read in its order, the same in every epoch, for evaluation.
        names (`Sequence[str]`, *optional*):
            Names of the datasets for errors and reports.

    Raises:
        TypeError: If a dataset is a stream of unknown length.
        ValueError: If `weights` do not fit, a dataset is empty or there twice, or `length` is not positive.

    Example:
        >>> from jointmae_hf.data import PointCloudTensors, PrimitiveShapeDataset
        >>> mine = PointCloudTensors(torch.rand(30, 64, 3))
        >>> mixture = MixtureDataset([PrimitiveShapeDataset(2**40, num_points=64), mine], weights=[0.7, 0.3])
        >>> len(mixture), mixture.counts(50).tolist(), mixture[3]["points"].shape
        (100, [35, 15], (64, 3))
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        weights: Sequence[float],
        length: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
        names: Sequence[str] | None = None,
    ) -> None:
        self.names = [f"dataset {number}" for number in range(len(datasets))] if names is None else list(names)
        if not datasets or len(self.names) != len(datasets):
            raise ValueError(f"`names` must name each of the datasets, got {len(self.names)} for {len(datasets)}.")
        check_weights(weights, self.names)
        if length is not None and length < 1:
            raise ValueError(f"`length` must be at least 1, got {length}.")
        super().__init__()
        self.datasets = [as_clouds(dataset) for dataset in datasets]
        self._check_datasets(datasets)
        self.seed, self.shuffle = seed, shuffle
        self._counts = _counts_of_period(weights)
        self._order = _order_of_period(self._counts)
        chosen = self._order[:, None] == np.arange(len(self._counts))
        self._counts_before = np.concatenate([np.zeros((1, len(self._counts)), np.int64), chosen.cumsum(axis=0)])
        lengths = [
            len(clouds) * len(self._order) // int(count)
            for clouds, count in zip(self.datasets, self._counts, strict=True)
        ]
        self.length = max(1, min(lengths)) if length is None else length
        sizes = {getattr(clouds, "num_points", None) for clouds in self.datasets}
        self.num_points = sizes.pop() if len(sizes) == 1 else None

    @property
    def shares(self) -> list[float]:
        """`list[float]`: Share of each dataset."""
        return (self._counts / len(self._order)).tolist()

    @property
    def files(self) -> list[str]:
        """`list[str]`: Files of all datasets."""
        return [name for clouds in self.datasets for name in getattr(clouds, "files", ())]

    def counts(self, num_clouds: int) -> np.ndarray:
        """Count the clouds of each dataset among the first clouds of a run, over all epochs.

        Args:
            num_clouds (`int`):
                Number of clouds.

        Returns:
            `np.ndarray`: int64 of shape `(num_datasets,)`.
        """
        periods, rest = divmod(num_clouds, len(self._order))
        return periods * self._counts + self._counts_before[rest]

    def locate(self, index: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which clouds of which datasets some samples of the current epoch are.

        Args:
            index (`Sequence[int]` or `np.ndarray` of shape `(batch_size,)`):
                Places in the epoch; negative ones count from its end.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: Number of the dataset, and position in it; int64 of shape `(batch_size,)`.
        """
        numbers, visits = self._visits(np.asarray(index, dtype=np.int64), self.epoch)
        positions = np.empty_like(visits)
        for number in np.unique(numbers).tolist():
            rows = numbers == number
            positions[rows] = self._positions(number, visits[rows])
        return numbers, positions

    def select(self, rows: Sequence[int] | np.ndarray) -> torch.utils.data.Subset:
        """Return some of the samples.

        Args:
            rows (`Sequence[int]` or `np.ndarray`):
                Their places in the epoch.

        Returns:
            `torch.utils.data.Subset`: The samples.
        """
        return torch.utils.data.Subset(self, [int(row) for row in rows])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end of the epoch."""
        return self._read([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def _check_datasets(self, given: Sequence[Any]) -> None:
        """Raise if a dataset has no length, is empty or is there twice."""
        for number, (clouds, name) in enumerate(zip(self.datasets, self.names, strict=True)):
            if not hasattr(clouds, "__len__"):
                raise TypeError(f"`datasets` must have a length each, got the stream {name}. Name its Parquet files.")
            if len(clouds) == 0:
                raise ValueError(f"`datasets` must hold at least one cloud each, got none in {name}.")
            earlier = [other for other in range(number) if given[other] is given[number]]
            if earlier:
                raise ValueError(f"`datasets` must be different, got {self.names[earlier[0]]} again as {name}.")

    def _visits(self, index: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the datasets of some samples, and how many clouds of theirs came before, over all epochs."""
        outside = index[(index < -self.length) | (index >= self.length)]
        if len(outside):
            raise IndexError(f"`index` must be between {-self.length} and {self.length - 1}, got {outside[0]}.")
        first = epoch * self.length if self.shuffle else 0
        periods, slots = np.divmod(first + index % self.length, len(self._order))
        numbers = self._order[slots]
        return numbers, periods * self._counts[numbers] + self._counts_before[slots, numbers]

    def _positions(self, number: int, visits: np.ndarray) -> np.ndarray:
        """Return the positions in a dataset that its visits read; one that has its own order keeps it."""
        size = len(self.datasets[number])
        rounds, places = np.divmod(visits, size)
        if not self.shuffle or hasattr(self.datasets[number], "set_epoch"):
            return places
        positions = np.empty_like(places)
        for one in np.unique(rounds).tolist():
            rows = rounds == one
            epoch = one * len(self.datasets) + number  # another order for each dataset
            positions[rows] = counter_permutation(self.seed, epoch, places[rows], size, RandomStream.ORDER)
        return positions

    def _clouds(self, number: int, visits: np.ndarray) -> list[np.ndarray]:
        """Read clouds of one dataset; those of one size together."""
        clouds, positions = self.datasets[number], self._positions(number, visits)
        is_stacked = getattr(clouds, "num_points", None) is not None
        if not hasattr(clouds, "set_epoch"):
            if is_stacked:  # on a device, perhaps
                return list(torch.as_tensor(clouds._stack(positions)["points"]).cpu().numpy())
            return [clouds[position]["points"] for position in positions.tolist()]
        read: list[Any] = [None] * len(visits)
        rounds = visits // len(clouds)
        for one in np.unique(rounds).tolist():
            rows = np.flatnonzero(rounds == one)
            samples = clouds._read(positions[rows], epoch=one)
            for row, sample in zip(rows, samples, strict=True):
                read[row] = sample["points"]
        return read

    def _read(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None) -> list[dict[str, Any]]:
        """Return samples one by one."""
        index = np.asarray(indices, dtype=np.int64)
        points: list[Any] = [None] * len(index)
        numbers, visits = self._visits(index, self.epoch if epoch is None else epoch)
        for number in np.unique(numbers).tolist():
            rows = np.flatnonzero(numbers == number)
            for row, cloud in zip(rows, self._clouds(number, visits[rows]), strict=True):
                points[row] = cloud
        places = (index % self.length).tolist()
        return [{"points": cloud, "index": place} for cloud, place in zip(points, places, strict=True)]

    def _stack(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Return samples as arrays; see `PointCloudSamples.stack`."""
        if self.num_points is None:
            raise ValueError("`datasets` must hold clouds of one size to be stacked, got several.")
        points = np.stack([sample["points"] for sample in self._read(index)])
        return {"points": points, "index": index % self.length}
