"""Steps of the trainer with clouds on the device, augmentation, masks and clipping, compared with bare steps."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import TrainerCallback, TrainingArguments

from benchmarks.bm_training_step import build
from benchmarks.clouds import make_clouds
from benchmarks.measurement import Measurement, repeat_calls, wait_for
from jointmae_hf.data import PointCloudCollator, PointCloudTensors
from jointmae_hf.training import RECIPES, JointMAETrainer, training_defaults

from .batches import to_records
from .sizes import GpuSizes, find_device
from .throughput import compiled_step


class AlternatingTimer(TrainerCallback):
    """Measure rounds of `num_calls` steps of the trainer and of bare steps in turns; the first round is a warm-up."""

    def __init__(self, bare_steps: Callable[[], int], batch_size: int, num_calls: int) -> None:
        self.bare_steps, self.batch_size, self.num_calls = bare_steps, batch_size, num_calls
        self.bare_rates: list[float] = []
        self.trainer_rates: list[float] = []
        self._start = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Finish a round of the trainer and run one of bare steps."""
        if state.global_step % self.num_calls:
            return
        wait_for(args.device)
        middle = time.perf_counter()
        self.trainer_rates.append(self.num_calls * self.batch_size / (middle - self._start))
        count = self.bare_steps()
        self._start = time.perf_counter()
        self.bare_rates.append(count / (self._start - middle))

    def measurements(self, unit: str) -> list[Measurement]:
        """Return the counted rounds, bare steps first."""
        bare, trainer = self.bare_rates[1:], self.trainer_rates[1:]
        ratios = [own / other for own, other in zip(trainer, bare, strict=True)]
        return [Measurement("bare step", unit, bare, [1.0] * len(bare)), Measurement("trainer", unit, trainer, ratios)]


def build_trainer(sizes: GpuSizes, clouds: Tensor, output_dir: str) -> JointMAETrainer:
    """Build a trainer of recipe `best` on clouds on the device."""
    recipe, device = RECIPES["best"], find_device()
    model, _, _ = build(sizes.step_sizes(1), device)
    chosen = {
        "output_dir": output_dir,
        "per_device_train_batch_size": sizes.middle_batch_size,
        "max_steps": (sizes.num_rounds + 1) * sizes.num_calls,
        "logging_steps": 50,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": device.type == "cpu",
        "bf16": device.type == "cuda",
        "torch_compile_backend": sizes.compile_backend,
    }
    return JointMAETrainer(
        model=model,
        args=TrainingArguments(**training_defaults(recipe) | chosen),
        train_dataset=PointCloudTensors(clouds.to(device)),
        data_collator=PointCloudCollator(sizes.num_points),
        transform=recipe.build_transform(sizes.num_points, 0),
    )


def measure(sizes: GpuSizes) -> dict[str, Any]:
    """Measure at the middle batch, the bare step first; the goal is a ratio of 0.9."""
    device, batch_size = find_device(), sizes.middle_batch_size
    model, optimizer, points = build(sizes.step_sizes(batch_size), device)
    bare = compiled_step(model, optimizer, points, sizes.compile_backend)
    timer = AlternatingTimer(repeat_calls(bare, device, batch_size, sizes.num_calls), batch_size, sizes.num_calls)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(sizes, make_clouds(4 * batch_size, sizes.num_points), folder)
        trainer.add_callback(timer)
        trainer.train()
    return {"measurements": to_records(timer.measurements(f"clouds/s, batch {batch_size}"))}
