"""Each checkpoint of a run loads by `AutoProcessor`: trainers save the feature extractor with the model."""

import torch
from transformers import AutoProcessor, TrainingArguments

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.data import PointCloudTensors
from jointmae_hf.training import (
    FINE_TUNING_RECIPES,
    RECIPES,
    PointSampling,
    build_fine_tuning_trainer,
    build_trainer,
    training_defaults,
    verify_manifest,
)


OPTIONS = {
    "per_device_train_batch_size": 4,
    "max_steps": 1,
    "warmup_steps": 0,
    "save_strategy": "steps",
    "save_steps": 1,
    "eval_strategy": "no",
    "remove_unused_columns": False,
    "disable_tqdm": True,
    "use_cpu": True,
    "report_to": "none",
}


def clouds(num_points=64):
    generator = torch.Generator().manual_seed(0)
    return PointCloudTensors(torch.randn(8, num_points, 3, generator=generator), torch.arange(8) % 2)


def test_pre_training_checkpoint_loads_by_auto_processor(tiny_config, tmp_path):
    recipe = RECIPES["quick"]
    training = TrainingArguments(str(tmp_path / "run"), **training_defaults(recipe) | OPTIONS)
    trainer = build_trainer(tiny_config, recipe, training, {"train": clouds(), "validation": clouds()})
    trainer.train()
    checkpoint = tmp_path / "run" / "checkpoint-1"
    processor = AutoProcessor.from_pretrained(checkpoint)
    assert processor.to_dict() == trainer.processing_class.to_dict()
    assert processor.num_points == tiny_config.num_points
    assert "preprocessor_config.json" in verify_manifest(checkpoint)["files"]
    trainer.save_pretrained(tmp_path / "final")
    assert AutoProcessor.from_pretrained(tmp_path / "final").to_dict() == processor.to_dict()


def test_fine_tuning_checkpoint_loads_by_auto_processor_as_evaluation_prepares_clouds(build_tiny_config, tmp_path):
    training = TrainingArguments(str(tmp_path / "run"), label_names=["labels"], **OPTIONS)
    model = JointMAEForPointCloudClassification(build_tiny_config(num_labels=2))
    sampling = PointSampling(clouds(96), FINE_TUNING_RECIPES["classification"]["quick"], 64, seed=3)
    trainer = build_fine_tuning_trainer(model, training, sampling, clouds(96))
    trainer.train()
    processor = AutoProcessor.from_pretrained(tmp_path / "run" / "checkpoint-1")
    assert processor.to_dict() == trainer.processing_class.to_dict()
    assert (processor.num_points, processor.sampling, processor.seed) == (64, "farthest", 3)
