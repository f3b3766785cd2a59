"""Does 2D help 3D? Pre-training, linear SVM, ablations and fine-tuning on one GPU, in pieces of ten minutes.

    python examples/run_study.py --clouds modelnet40.npz --minutes 9.5
    python examples/run_study.py --clouds modelnet40.npz --minutes 9.5 --studies ablations
    python examples/run_study.py --clouds modelnet40.npz --parts parts.npz --studies fine_tuning
    python examples/run_study.py --tiny True        # the whole way on embedded shapes, minutes on 2 CPU cores

A `.npz` file holds `points` (y up), `labels` and `split` (0 train, 1 test), for parts also `part_labels`; `datasets` is not
needed. The clouds lie on the device. Each call stops by itself within `--minutes`, and the same command goes on:
`results.json` in the output folder is written after every stage, the stage that was stopped resumes from its checkpoint in
`--work_dir`. On another machine, the output folder is enough to go on with the next stage. A tenth of train is held out to
choose settings on; test is measured once a stage, by the last step, and nothing is chosen on it. Weights that have seen the train
split of what they are measured on are called in-domain. Budgets: one call of 20 minutes and rows of 2 to 5, without compilation
and linear SVM; `--steps_per_minute` fixes what is measured otherwise. No result yet: no GPU has run it.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import HfArgumentParser

from jointmae_hf.data import (
    SHAPE_CLASSES,
    PointCloudTensors,
    generate_shape,
    hold_out,
    read_point_cloud_tensors,
)
from jointmae_hf.training import (
    STUDIES,
    Deadline,
    PreTrainingStage,
    Study,
    StudyRecord,
    find_steps_per_minute,
    run_fine_tuning,
)


TINY_FIELDS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_groups": [32, 16],
    "image_size": 32,
    "target_group_size": 8,
}


@dataclass
class ScriptArguments:
    """Flags of this script."""

    clouds: str | None = field(
        default=None, metadata={"help": "File of labelled clouds; its name is that of the data."}
    )
    parts: str | None = field(default=None, metadata={"help": "File of clouds with part labels, to fine-tune on."})
    studies: list[str] = field(default_factory=lambda: ["claim"], metadata={"help": f"Out of {', '.join(STUDIES)}."})
    minutes: float | None = field(default=None, metadata={"help": "This call stops by then; without it, at the end."})
    steps_per_minute: float | None = field(default=None, metadata={"help": "Of the reference; measured by default."})
    batch_size: int = field(default=256, metadata={"help": "Clouds of a step of pre-training."})
    scale: float = field(default=1.0, metadata={"help": "Of all budgets, to try a study in seconds."})
    compile: bool = field(default=True, metadata={"help": "Whether pre-training is compiled."})
    tiny: bool = field(default=False, metadata={"help": "A tiny model on embedded shapes, to try everything."})
    output_dir: str = field(default="outputs/study", metadata={"help": "For results.json and exported weights."})
    work_dir: str | None = field(default=None, metadata={"help": "For checkpoints; in the output folder by default."})


def read_splits(path: str, device: torch.device) -> dict[str, PointCloudTensors]:
    """Read clouds and hold out a tenth of train, unless the file has a validation split."""
    splits = read_point_cloud_tensors(path)
    if "validation" not in splits:
        splits["train"], splits["validation"] = hold_out(splits["train"], 0.1)
    return {name: split.to(device) for name, split in splits.items()}


def write_embedded_shapes(path: Path, num_points: int = 128, num_clouds: int = 1600) -> None:
    """Write procedural shapes with classes and parts, a quarter of them for test."""
    shapes = [generate_shape(0, "train", index, num_points=num_points) for index in range(num_clouds)]
    columns = {"points": "points", "labels": "label", "part_labels": "part_labels"}
    arrays = {name: np.stack([getattr(shape, column) for shape in shapes]) for name, column in columns.items()}
    np.savez(path, **arrays, split=(np.arange(num_clouds) // len(SHAPE_CLASSES)) % 4 == 3)


def build_study(script: ScriptArguments, clouds: dict[str, PointCloudTensors], dataset: str) -> Study:
    """What all stages share."""
    is_cuda = clouds["train"].points.is_cuda
    return Study(
        clouds=clouds,
        dataset=dataset,
        output_dir=Path(script.output_dir),
        work_dir=Path(script.work_dir or Path(script.output_dir, "work")),
        training={"bf16": is_cuda, "use_cpu": not is_cuda},
        pretraining={"per_device_train_batch_size": script.batch_size, "torch_compile": script.compile},
        fields=TINY_FIELDS if script.tiny else {},
        scale=script.scale,
    )


def main() -> None:
    """Run stage after stage, until all are finished or the time of this call is up."""
    (script,) = HfArgumentParser(ScriptArguments).parse_args_into_dataclasses()
    deadline = Deadline(script.minutes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    Path(script.output_dir).mkdir(parents=True, exist_ok=True)
    if script.tiny:
        script.clouds = script.parts = str(Path(script.output_dir, "synthetic_shapes.npz"))
        script.scale, script.batch_size, script.compile = 0.005, 32, False
        write_embedded_shapes(Path(script.clouds))
    if script.clouds is None:
        raise SystemExit("--clouds must name a file, or --tiny True")
    study = build_study(script, read_splits(script.clouds, device), Path(script.clouds).stem)
    parts = build_study(script, read_splits(script.parts, device), Path(script.parts).stem) if script.parts else None
    record = StudyRecord(study.output_dir / "results.json", study.describe())
    steps_per_minute = script.steps_per_minute or find_steps_per_minute(study, record)
    print(f"a minute has {steps_per_minute:.0f} steps", flush=True)
    for stage in (stage for name in script.studies for stage in STUDIES[name] if stage.name not in record):
        if isinstance(stage, PreTrainingStage):
            is_finished = study.run(stage, record, deadline, steps_per_minute)
        else:
            is_finished = run_fine_tuning(study, stage, record, deadline, parts)
        if not is_finished:
            print(f"{stage.name}: the time is up; the same command goes on")
            return
        for result in record.to_results(stage.name):
            print(f"{stage.name}: {result.name} on {result.split} {result.value:.2f} {result.unit}", flush=True)
    print("\n".join(f"{gain.protocol} on {gain.split}: {gain.value:+.2f} {gain.unit}" for gain in record.gains()))
    shutil.rmtree(study.work_dir, ignore_errors=True)
    print(f"finished: {study.output_dir}")


if __name__ == "__main__":
    main()
