"""Names, order and time limits of the subjects; what measures them is in `worker.py`, whose imports take seconds."""

from dataclasses import dataclass


START_SECONDS = 30.0
"""Limit for the imports of a worker; with the limits of all eager subjects, they make at most 180 seconds."""


@dataclass(frozen=True)
class Subject:
    """Describe one part of the benchmark.

    Args:
        name (`str`):
            Key of its figures in the JSON file, and of its function in `worker.py`.
        seconds (`float`):
            Time limit.
        is_compiled (`bool`, *optional*, defaults to `False`):
            Whether it compiles; such subjects come last.
    """

    name: str
    seconds: float
    is_compiled: bool = False


def list_subjects(batch_sizes: tuple[int, ...], has_point_mae: bool, time_factor: float = 1.0) -> list[Subject]:
    """List the subjects in the order in which they run: the machine, eager steps, parts, compiled steps, memory."""
    middle = batch_sizes[len(batch_sizes) // 2]
    eager = {f"step_{size}": 18.0 for size in batch_sizes} | {f"small_step_{middle}": 17.0}
    eager |= {"point_mae": 15.0} if has_point_mae else {}
    eager |= {"trainer": 12.0, "farthest_point_sampling": 8.0, "neighbors": 5.0, "projection": 5.0}
    eager |= {"attention": 8.0, "gradients": 16.0}
    compiled = {f"compiled_step_{size}": 180.0 for size in (middle, *(size for size in batch_sizes if size != middle))}
    compiled |= {"compiled_point_mae": 180.0} if has_point_mae else {}
    compiled |= {"compiled_trainer": 180.0, "compiled_neighbors": 60.0, "compiled_projection": 60.0}
    return [
        Subject("rates", 8.0 * time_factor),
        *(Subject(name, seconds * time_factor) for name, seconds in eager.items()),
        *(Subject(name, seconds * time_factor, is_compiled=True) for name, seconds in compiled.items()),
        Subject("memory", 60.0 * time_factor),
    ]
