"""The epoch of datasets and collators that give other samples in each epoch."""

import torch


class SharedEpoch:
    """Hold an epoch in shared memory, so that workers which outlive an epoch see the next one; it is 0 at first."""

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """`int`: The epoch, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is read next, also by workers that are running.

        Args:
            epoch (`int`):
                From 0.
        """
        self._epoch.fill_(epoch)
