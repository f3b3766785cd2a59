"""Steps of the trainer with clouds on the device, augmentation, masks and clipping, compared with bare steps."""

import functools
import tempfile
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import TrainerCallback, TrainingArguments

from benchmarks.bm_training_step import build, training_step
from benchmarks.clouds import make_clouds
from benchmarks.measurement import Measurement, repeat_calls, wait_for
from jointmae_hf.data import PointCloudCollator, PointCloudTensors
from jointmae_hf.training import RECIPES, JointMAETrainer, training_defaults

from .batches import Record, summarize
from .sizes import GpuSizes, find_device
from .throughput import compile_step


class AlternatingTimer(TrainerCallback):
    """Measure rounds of `num_calls` steps of the trainer and of bare steps in turns; the first round is a warm-up."""

    def __init__(self, bare_steps: Callable[[], int], batch_size: int, num_calls: int, record: Record) -> None:
        self.bare_steps, self.batch_size, self.num_calls, self.record = bare_steps, batch_size, num_calls, record
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
        self.bare_rates.append(count / (time.perf_counter() - middle))
        if len(self.bare_rates) > 1:
            self.record(f"batch_{self.batch_size}", summarize(self.measurements()))
        self._start = time.perf_counter()

    def measurements(self) -> list[Measurement]:
        """Return the counted rounds, bare steps first."""
        bare, trainer, unit = self.bare_rates[1:], self.trainer_rates[1:], f"clouds/s, batch {self.batch_size}"
        ratios = [own / other for own, other in zip(trainer, bare, strict=True)]
        return [Measurement("bare step", unit, bare, [1.0] * len(bare)), Measurement("trainer", unit, trainer, ratios)]


def build_trainer(sizes: GpuSizes, clouds: Tensor, output_dir: str, is_compiled: bool) -> JointMAETrainer:
    """Build a trainer of recipe `best` on clouds on the device."""
    recipe, device = RECIPES["best"], find_device()
    model, _, _ = build(sizes.step_sizes(1), device)
    chosen = {
        "output_dir": output_dir,
        "per_device_train_batch_size": sizes.middle_batch_size,
        "max_steps": (sizes.num_rounds + 1) * sizes.num_step_calls,
        "logging_steps": 50,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": device.type == "cpu",
        "bf16": device.type == "cuda",
        "torch_compile": is_compiled,
    }
    if is_compiled:
        chosen["torch_compile_backend"] = sizes.compile_backend
    return JointMAETrainer(
        model=model,
        args=TrainingArguments(**training_defaults(recipe) | chosen),
        train_dataset=PointCloudTensors(clouds.to(device)),
        data_collator=PointCloudCollator(sizes.num_points),
        transform=recipe.build_transform(sizes.num_points, 0),
    )


def measure(sizes: GpuSizes, record: Record, is_compiled: bool = False) -> None:
    """Measure at the middle batch, the bare step first; the goal is a ratio of 0.9."""
    device, batch_size = find_device(), sizes.middle_batch_size
    model, optimizer, points = build(sizes.step_sizes(batch_size), device)
    bare: Callable[[], int] = functools.partial(training_step, model, optimizer, points)
    if is_compiled:
        bare = compile_step(model, optimizer, points, sizes.compile_backend, record)
    bare_steps = repeat_calls(bare, device, batch_size, sizes.num_step_calls)
    timer = AlternatingTimer(bare_steps, batch_size, sizes.num_step_calls, record)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(sizes, make_clouds(4 * batch_size, sizes.num_points), folder, is_compiled)
        trainer.add_callback(timer)
        trainer.train()
