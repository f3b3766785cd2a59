"""Sizes of the subjects: those of the paper's model on a large GPU, and tiny ones to try everything on a processor."""

from dataclasses import dataclass

import torch

from benchmarks.bm_training_step import Sizes


@dataclass(frozen=True)
class GpuSizes:
    """What all subjects share.

    Args:
        batch_sizes (`tuple[int, ...]`):
            Batches, from small to large.
        num_points (`int`):
            Points of a cloud.
        num_samples (`int`):
            Fine centres.
        num_layers (`int`):
            Blocks of the encoder.
        image_size (`int`):
            Pixels of a side of a depth map.
        num_rounds (`int`):
            Rounds that are counted.
        num_calls (`int`):
            Calls within a round.
        matrix_size (`int`):
            Rows of the square matrices that give the rate of products.
        copy_bytes (`int`):
            Bytes of the copy that gives the rate of memory.
        max_batch_size (`int`):
            Where the search for the largest batch ends.
        compile_backend (`str`):
            Of `torch.compile`.
    """

    batch_sizes: tuple[int, ...] = (128, 256, 512)
    num_points: int = 2048
    num_samples: int = 256
    num_layers: int = 12
    image_size: int = 224
    num_rounds: int = 5
    num_calls: int = 10
    matrix_size: int = 8192
    copy_bytes: int = 2**32
    max_batch_size: int = 8192
    compile_backend: str = "inductor"

    def step_sizes(self, batch_size: int) -> Sizes:
        """Return the sizes of a training step of `benchmarks.bm_training_step`."""
        return Sizes(batch_size, self.num_points, self.num_layers, self.image_size, self.num_rounds)

    @property
    def middle_batch_size(self) -> int:
        """`int`: The batch that a training run would use."""
        return self.batch_sizes[len(self.batch_sizes) // 2]


SIZES = {
    "full": GpuSizes(),
    "tiny": GpuSizes((1, 2), 256, 256, 1, 32, 1, 1, 64, 2**16, 4, "aot_eager"),
}
"""Sizes by the name that `--size` takes."""


def find_device() -> torch.device:
    """Return the GPU, or the processor where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
