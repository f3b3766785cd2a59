"""What limits a small model on a GPU, measured on a CPU: operators of a training step, and time of the trainer around it.

    OMP_NUM_THREADS=1 python -m benchmarks.bm_launches

The operators are those of one step of `JointMAETrainer` with recipe `best` on `jointmae-small`: data, augmentation, masks,
forward, backward, clipping, fused AdamW, checks and logs. An operator counts if it computes: no view, no allocation. Farthest
point sampling counts as one, as it is one kernel on a GPU, and distances are computed in one block, as there. Times are
processor time of a tiny model, bare steps and steps of a trainer in turns; `transformers.Trainer` by itself shows what of it is
ours. Takes 2 minutes on a CPU.
"""

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, PointCloudTensors, Transform
from jointmae_hf.model import point_ops
from jointmae_hf.training import RECIPES, JointMAETrainer, pretraining_noise, training_defaults

from .clouds import make_clouds
from .measurement import Measurement, run_benchmark


RECIPE = RECIPES["best"]
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_points": 64,
    "num_groups": [32, 16],
    "group_size": [4, 4],
    "target_group_size": 4,
    "image_size": 32,
}
"""A model whose arithmetic takes next to no time."""

WITH_INPUTS = "bare step with augmentation and masks"

NOT_COUNTED = (
    *("_unsafe_view", "detach", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
    *("promote_types", "scalar_tensor"),
)
"""Operators that compute nothing, besides views; numbers go to kernels as arguments."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    batch_size: int = 32
    tiny_batch_size: int = 8
    num_rounds: int = 9
    num_steps: int = 40


class OperatorCounter(TorchDispatchMode):
    """Count the operators that compute, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, name = function._schema.name.partition("::")
        is_view = any(one.alias_info is not None and not one.alias_info.is_write for one in function._schema.returns)
        if not is_view and name not in NOT_COUNTED and namespace != "profiler":
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


class StepCounter(TrainerCallback):
    """Keep the operators of the third step of a trainer, after optimizer and loader have set up theirs."""

    def __init__(self, counter: OperatorCounter) -> None:
        self.counter = counter
        self.counts: Counter[str] = Counter()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the steps before, or keep this one."""
        if state.global_step == 2:
            self.counter.counts.clear()
        elif state.global_step == 3:
            self.counts = self.counter.counts.copy()


class AlternatingClock(TrainerCallback):
    """Take the processor time of each step of a trainer, and after it that of each bare step."""

    def __init__(self, trainer_name: str, bare_steps: dict[str, Callable[[int], None]]) -> None:
        self.trainer_name, self.bare_steps = trainer_name, bare_steps
        self.seconds: dict[str, list[float]] = {name: [] for name in [*bare_steps, trainer_name]}
        self._start = time.process_time()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """End the step of the trainer, run the bare ones."""
        self.seconds[self.trainer_name].append(time.process_time() - self._start)
        for name, step in self.bare_steps.items():
            start = time.process_time()
            step(state.global_step)
            self.seconds[name].append(time.process_time() - start)
        self._start = time.process_time()


class PlainTrainer(Trainer):
    """`transformers.Trainer` with nothing of ours but augmentation and masks."""

    def __init__(self, transform: Transform, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.transform = transform

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss of a batch."""
        points = self.transform(inputs["points"], epoch=0, index=inputs["index"])
        return model(points=points, **pretraining_noise(model.config, 0, 0, inputs["index"])).loss


def build_trainer(
    trainer_class: type[Trainer],
    config: JointMAEConfig,
    clouds: Tensor,
    batch_size: int,
    num_steps: int,
    output_dir: str,
) -> Trainer:
    """Build a trainer of the recipe on clouds in memory, which logs every 50 steps and saves nothing."""
    set_seed(0)
    chosen = {
        "output_dir": output_dir,
        "per_device_train_batch_size": batch_size,
        "max_steps": num_steps,
        "logging_steps": 50,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    return trainer_class(
        model=JointMAEForPreTraining(config),
        args=TrainingArguments(**training_defaults(RECIPE) | chosen),
        train_dataset=PointCloudTensors(clouds),
        data_collator=PointCloudCollator(config.num_points),
        transform=RECIPE.build_transform(config.num_points, 0),
    )


def count_operators(batch_size: int) -> Counter[str]:
    """Count the operators of a step of the trainer on `jointmae-small`."""
    config, counter = JointMAEConfig.from_preset("jointmae-small"), OperatorCounter()
    in_one_block = mock.patch.object(point_ops, "CPU_PAIRS_PER_BLOCK", point_ops.MAX_PAIRS_PER_BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        clouds = make_clouds(4 * batch_size, config.num_points)
        trainer = build_trainer(JointMAETrainer, config, clouds, batch_size, 4, folder)
        trainer.add_callback(step := StepCounter(counter))
        with in_one_block, counter:
            trainer.train()
    return step.counts


def bare_steps(config: JointMAEConfig, clouds: Tensor, batch_size: int) -> dict[str, Callable[[int], None]]:
    """Return steps without a trainer, each on the clouds of its number: of the model alone, and with all that it is given."""
    set_seed(0)
    model, transform = JointMAEForPreTraining(config).train(), RECIPE.build_transform(config.num_points, 0)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05, fused=True)
    fixed = pretraining_noise(config, 0, 0, torch.arange(batch_size))

    def update(points: Tensor, noise: dict[str, Tensor]) -> None:
        model(points=points, **noise).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()

    def model_alone(number: int) -> None:
        update(clouds[:batch_size], fixed)

    def with_inputs(number: int) -> None:
        index = (torch.arange(batch_size) + number * batch_size) % len(clouds)
        points = transform(clouds[index], epoch=0, index=index)
        update(points, pretraining_noise(config, 0, 0, index))

    return {"bare step, model alone": model_alone, WITH_INPUTS: with_inputs}


def measure_trainer(trainer_class: type[Trainer], sizes: Sizes) -> list[Measurement]:
    """Measure the median step of each round, of bare steps and of a trainer; the first round is a warm-up."""
    config, batch_size = JointMAEConfig(**TINY), sizes.tiny_batch_size
    clouds = make_clouds(16 * batch_size, config.num_points)
    clock = AlternatingClock(trainer_class.__name__, bare_steps(config, clouds, batch_size))
    with tempfile.TemporaryDirectory() as folder:
        num_steps = (sizes.num_rounds + 1) * sizes.num_steps
        trainer = build_trainer(trainer_class, config, clouds, batch_size, num_steps, folder)
        trainer.add_callback(clock)
        trainer.train()
    starts = range(sizes.num_steps, num_steps, sizes.num_steps)
    times = {
        name: [1000 * statistics.median(seconds[start : start + sizes.num_steps]) for start in starts]
        for name, seconds in clock.seconds.items()
    }
    pairs = list(zip(times[trainer_class.__name__], times[WITH_INPUTS], strict=True))
    times[f"{trainer_class.__name__}, beyond that"] = [own - bare for own, bare in pairs]
    return [
        Measurement(name, "ms", values, [own / bare for own, (_, bare) in zip(values, pairs, strict=True)])
        for name, values in times.items()
    ]


def measure(sizes: Sizes) -> list[Measurement]:
    """Count operators, then measure times; print the most frequent operators and the median times."""
    counts = count_operators(sizes.batch_size)
    total = sum(counts.values())
    print(f"{total} operators of a step: {', '.join(f'{name} {count}' for name, count in counts.most_common(12))}")
    measurements = measure_trainer(JointMAETrainer, sizes) + measure_trainer(PlainTrainer, sizes)[-2:]
    for one in measurements:
        print(f"{one.name}: {statistics.median(one.rates):.2f} ms of processor time")
    return [Measurement("operators of a step", "operators", [float(total)], [1.0]), *measurements]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("launches", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
