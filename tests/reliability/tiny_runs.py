"""Runs of a tiny model that tests and their child processes build alike, and what is left of them."""

import multiprocessing
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments, set_seed
from transformers.trainer_pt_utils import safe_globals

from jointmae_hf import JointMAEConfig, JointMAEForPointCloudClassification, JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, RandomRotate
from jointmae_hf.training import ClassificationTrainer, JointMAETrainer


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
SHAPES = {"num_points": 64, "num_groups": [16, 8], "group_size": [4, 4], "image_size": 32, "target_group_size": 4}
NUM_CLOUDS, BATCH_SIZE = 8, 2
STEPS_IN_EPOCH = NUM_CLOUDS // BATCH_SIZE

PROCESSES = multiprocessing.get_context("forkserver")
"""Children of a clean process that has imported everything."""
PRELOADED = ["pretraining", "finetuning"]  # `jointmae_hf.training` itself imports nothing yet
PROCESSES.set_forkserver_preload([f"jointmae_hf.training.{name}" for name in PRELOADED])


def clouds(count=NUM_CLOUDS):
    """Samples of two classes."""
    points = torch.randn(count, 64, 3, generator=torch.Generator().manual_seed(0)).numpy()
    return [{"points": cloud, "index": index, "labels": index % 2} for index, cloud in enumerate(points)]


def build_trainer(output_dir, task="pre-training", dataset=None, stop_on_signals=False, **arguments):
    """Build a trainer that saves at every step; two calls build equal ones."""
    torch.set_num_threads(1)
    set_seed(0)
    options = {
        "output_dir": str(output_dir),
        "per_device_train_batch_size": BATCH_SIZE,
        "per_device_eval_batch_size": BATCH_SIZE,
        "max_steps": 6,
        "learning_rate": 1e-2,
        "logging_steps": 3,
        "save_strategy": "steps",
        "save_steps": 1,
        "remove_unused_columns": False,
        "label_names": ["points"] if task == "pre-training" else ["labels"],
        "prediction_loss_only": task == "pre-training",
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "use_cpu": True,
        "report_to": "none",
    }
    is_pre_training = task == "pre-training"
    config = JointMAEConfig(**SIZES, **SHAPES, drop_path_rate=0.2, num_labels=2, classifier_hidden_sizes=[16, 16])
    model = (JointMAEForPreTraining if is_pre_training else JointMAEForPointCloudClassification)(config)
    return (JointMAETrainer if is_pre_training else ClassificationTrainer)(
        model=model,
        args=TrainingArguments(**options | arguments),
        train_dataset=clouds() if dataset is None else dataset,
        eval_dataset=clouds()[:4],
        data_collator=PointCloudCollator(),
        transform=RandomRotate(),
        stop_on_signals=stop_on_signals,
    )


def train(output_dir, resume=None, **arguments):
    """Train in this process; return the trainer, whose `batches` are the indices of each batch."""
    trainer = build_trainer(output_dir, **arguments)
    trainer.batches, step = [], trainer.training_step

    def training_step(model, inputs, *others):
        trainer.batches.append(inputs["index"].tolist())
        return step(model, inputs, *others)

    trainer.training_step = training_step
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def start(function, *arguments):
    """Start a function of an importable module in a child process."""
    process = PROCESSES.Process(target=function, args=arguments)
    process.start()
    return process


def log_of(trainer):
    """Log history without what depends on the clock."""
    timed = ("_runtime", "_per_second")
    return [
        {key: value for key, value in entry.items() if not key.endswith(timed)} for entry in trainer.state.log_history
    ]


def steps_of(output_dir):
    """Steps of the published checkpoints."""
    return sorted(int(path.name.rpartition("-")[2]) for path in Path(output_dir).glob("checkpoint-*"))


def state_of(checkpoint):
    """All that a run goes on from: weights, optimizer, scheduler, random states, window of the log."""
    with safe_globals():
        states = {path.name: torch.load(path, weights_only=True) for path in Path(checkpoint).glob("*.pt*")}
    for name in states:
        if name.startswith("position"):
            states[name].pop("seconds")
    return {"weights": load_file(Path(checkpoint) / "model.safetensors"), **states}


def assert_same(first, second, name="state"):
    """Compare nested containers bit by bit, and say where they differ."""
    assert type(first) is type(second), name
    if isinstance(first, dict):
        assert first.keys() == second.keys(), name
        for key in first:
            assert_same(first[key], second[key], f"{name}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), name
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{name}[{index}]")
    elif isinstance(first, torch.Tensor | np.ndarray):
        assert first.dtype == second.dtype, name
        assert (first == second).all(), name
    else:
        assert first == second, name
