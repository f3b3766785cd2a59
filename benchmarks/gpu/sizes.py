"""Sizes of the subjects: the paper's model on a large GPU, and tiny ones to try everything on a CPU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from benchmarks.bm_training_step import Sizes


@dataclass(frozen=True)
class GpuSizes:
    """Hold the sizes shared by all subjects.

    Args:
        batch_sizes (`tuple[int, ...]`):
            Batch sizes in ascending order.
        num_points (`int`):
            Points per cloud.
        num_samples (`int`):
            Fine centers per cloud.
        num_layers (`int`):
            Encoder blocks.
        image_size (`int`):
            Height and width of the depth maps.
        num_rounds (`int`):
            Counted rounds.
        num_calls (`int`):
            Calls per round of a part of a step.
        num_step_calls (`int`):
            Training steps per round.
        matrix_size (`int`):
            Rows of the square matrices for the rate of matrix products.
        copy_bytes (`int`):
            Bytes copied for the rate of memory.
        max_batch_size (`int`):
            Limit of the search for the largest batch.
        compile_backend (`str`):
            Backend of `torch.compile`.
        num_gradient_clouds (`int`):
            Clouds in the comparison of gradients with float64 on the CPU.
        time_factor (`float`):
            Factor of the time limits, which are those of an H100.
    """

    batch_sizes: tuple[int, ...] = (128, 256, 512)
    num_points: int = 2048
    num_samples: int = 256
    num_layers: int = 12
    image_size: int = 224
    num_rounds: int = 5
    num_calls: int = 10
    num_step_calls: int = 4
    matrix_size: int = 8192
    copy_bytes: int = 2**32
    max_batch_size: int = 8192
    compile_backend: str = "inductor"
    num_gradient_clouds: int = 1
    time_factor: float = 1.0

    def step_sizes(self, batch_size: int, preset: str = "jointmae-base") -> "Sizes":
        """Return the sizes of a training step of `benchmarks.bm_training_step`."""
        # Imported here, since the runner, which measures nothing, does not need the trainers.
        from benchmarks.bm_training_step import Sizes
        from jointmae_hf import JointMAEConfig

        num_layers = min(self.num_layers, JointMAEConfig.from_preset(preset).num_hidden_layers)
        return Sizes(batch_size, self.num_points, num_layers, self.image_size, self.num_rounds)

    @property
    def extreme_batch_sizes(self) -> tuple[int, int]:
        """`tuple[int, int]`: The smallest and the largest batch size."""
        return self.batch_sizes[0], self.batch_sizes[-1]

    @property
    def middle_batch_size(self) -> int:
        """`int`: Batch size of a typical training run."""
        return self.batch_sizes[len(self.batch_sizes) // 2]


SIZES = {
    "full": GpuSizes(),
    "tiny": GpuSizes((1, 2), 256, 256, 1, 32, 1, 1, 1, 64, 2**16, 4, "aot_eager", time_factor=20.0),
}
"""Values of `--size`."""


def find_device() -> torch.device:
    """Return the GPU, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
