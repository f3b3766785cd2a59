"""Fit a linear SVM on frozen features (Table 1), by the standard protocol and by one that chooses nothing on test.

    python examples/run_linear_probe.py
    accelerate launch examples/run_linear_probe.py --model outputs/mine --dataset modelnet40 --data_dir ModelNet40

Without flags it takes less than 2 minutes on 2 CPU cores: the weights in `checkpoints/jointmae-small` (outside a clone, a
small model that is pre-trained first) are measured on the real objects of the package. The standard protocol, that of CrossPoint, sets C = 0.01 and is called "family" in the results; the clean one
chooses C by cross-validation on the train split. Several processes share the extraction of features. Prints a table and writes
`results.json`.
"""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object, tqdm
from datasets import Dataset
from transformers import AutoConfig, set_seed

from jointmae_hf import JointMAEModel
from jointmae_hf.evaluation import (
    CheckpointProvenance,
    LeadingPoints,
    Result,
    collect_run_facts,
    extract_features,
    linear_svm,
    num_cores,
    read_provenance,
    render_results,
    write_results,
)
from jointmae_hf.model.pooling import POOLINGS, check_pooling
from jointmae_hf.training import RECIPES, DatasetArguments, default_checkpoint
from jointmae_hf.training.arguments import parse_flags
from jointmae_hf.training.distributed import share_out_cores
from jointmae_hf.training.recipes import setting_values


STANDARD_C = 0.01
CLOUDS_PER_CALL = 640


@dataclass
class ScriptArguments:
    """Flags of this script in addition to those of the dataset."""

    model: list[str] | None = field(
        default=None,
        metadata={"help": "Checkpoints: folders or Hub ids. By default checkpoints/jointmae-small in a clone."},
    )
    output_dir: str = field(default="outputs/linear_probe", metadata={"help": "Folder for results.json."})
    num_points: int = field(default=1024, metadata={"help": "Number of points of each cloud, the first ones."})
    pooling: str = field(default="sum", metadata={"help": f"Pooling of the tokens: {', '.join(POOLINGS)}."})
    from_scratch: bool = field(default=True, metadata={"help": "Whether to measure random weights as well."})
    max_train: int | None = field(
        default=None, metadata={"help": "Maximum number of training clouds, drawn by --seed."}
    )
    max_test: int | None = field(default=None, metadata={"help": "Maximum number of test clouds, drawn by --seed."})
    batch_size: int = field(default=64, metadata={"help": "Number of clouds per forward pass."})
    seed: int = field(
        default=42,
        metadata={"help": "Seed of random weights, folds, and the clouds drawn by --max_train and --max_test."},
    )

    def __post_init__(self) -> None:
        check_pooling(self.pooling)
        for name in ("num_points", "max_train", "max_test", "batch_size"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


def features_of(model: torch.nn.Module, dataset: Dataset, script: ScriptArguments) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of a split; every process computes a part, all return the whole."""
    state = PartialState()
    share = range(state.process_index, len(dataset), state.num_processes)
    parts = []
    for start in tqdm(range(0, len(share), CLOUDS_PER_CALL), desc="features", leave=False):
        rows = share[start : start + CLOUDS_PER_CALL]
        clouds = LeadingPoints(dataset.select(rows), script.num_points)
        features, labels = extract_features(model, clouds, script.batch_size, script.pooling, device=state.device)
        if labels is None:
            raise ValueError("`dataset` must have classes for a linear SVM, got clouds without labels.")
        parts.append((list(rows), features, labels))
    parts = gather_object(parts)
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]))
    return tuple(np.concatenate([part[column] for part in parts])[order] for column in (1, 2))


def probe(
    model: torch.nn.Module,
    pre_training: CheckpointProvenance,
    splits: dict[str, Dataset],
    script: ScriptArguments,
    name: str,
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Measure one encoder by both protocols on the main process; return results and choices, the others none."""
    train, test = (features_of(model, splits[split], script) for split in ("train", "test"))
    if not PartialState().is_main_process:
        return [], []
    first = f"first {script.num_points:,} points, pooling {script.pooling}"
    protocols = {
        f"standard: C = {STANDARD_C}, {first}": (STANDARD_C, False),
        f"cross-validated: standardized, {first}": (None, True),
    }
    results, choices = [], []
    for protocol, (fixed_c, standardize) in protocols.items():
        measured = linear_svm(
            *train, *test, C=fixed_c, standardize=standardize, seed=script.seed, num_jobs=num_cores()
        )
        facts = {
            "unit": "%",
            "split": "test",
            "selection_rule": f"checkpoint's last step; {measured.selection}",
            "seed": script.seed,
            "num_train": len(train[1]),
            "num_test": len(test[1]),
            "dataset": name,
            "protocol": protocol,
            "pre_training": pre_training.describe(name),
        }
        results.append(Result(name="linear_svm", value=100 * measured.accuracy, **facts))
        results.append(Result(name="linear_svm_class_accuracy", value=100 * measured.class_accuracy, **facts))
        if measured.cross_validation_accuracy is not None:
            chosen = {"C": measured.C, "cross_validation_accuracy": 100 * measured.cross_validation_accuracy}
            choices.append({key: facts[key] for key in ("pre_training", "protocol")} | chosen)
    return results, choices


def limit_split(dataset: Dataset, max_clouds: int | None, seed: int) -> Dataset:
    """Return a split, or a random part of it."""
    return dataset if max_clouds is None else dataset.shuffle(seed=seed).select(range(min(max_clouds, len(dataset))))


def main() -> None:
    """Extract features, fit SVMs, print the table and write the results."""
    start = time.time()
    (script, dataset_arguments), _ = parse_flags((ScriptArguments, DatasetArguments))
    state, output_dir = PartialState(cpu=not torch.accelerator.is_available()), Path(script.output_dir)
    if state.device.type == "cpu":
        share_out_cores()
    with state.local_main_process_first():
        sizes = setting_values(RECIPES["quick"].dataset_sizes)
        splits = dataset_arguments.load(script.seed, validation_share=None, **sizes)
        checkpoints = script.model or [str(default_checkpoint("outputs/demonstration", script.seed))]
    if "test" not in splits:
        raise ValueError(f"`dataset` must have a test split, got {sorted(splits)}.")
    limits = {"train": script.max_train, "test": script.max_test}
    splits = {name: limit_split(splits[name], max_clouds, script.seed) for name, max_clouds in limits.items()}

    measured = []
    if script.from_scratch:
        set_seed(script.seed)
        untrained = JointMAEModel(AutoConfig.from_pretrained(checkpoints[0]), add_2d_branch=False)
        measured.append(probe(untrained, read_provenance(None), splits, script, dataset_arguments.dataset_name))
    for checkpoint in checkpoints:
        model = JointMAEModel.from_pretrained(checkpoint, add_2d_branch=False)
        measured.append(probe(model, read_provenance(checkpoint), splits, script, dataset_arguments.dataset_name))
    results, choices = ([item for found in column for item in found] for column in zip(*measured, strict=True))
    if state.is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        names = {"model": [Path(path).name for path in checkpoints], "output_dir": output_dir.name}
        facts = {"arguments": {**asdict(script), **names}, "cross_validation": choices}
        write_results(output_dir / "results.json", results, collect_run_facts(time.time() - start) | facts)
        print(render_results([result for result in results if result.name == "linear_svm"], table=1))
        print(f"results: {output_dir / 'results.json'}")


if __name__ == "__main__":
    main()
