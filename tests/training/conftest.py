"""A trainer of a tiny model on a few clouds."""

import pytest
import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, RandomRotate
from jointmae_hf.training import JointMAETrainer


def build_trainer(config, output_dir, **arguments):
    """Build a trainer of the configuration on eight clouds."""
    set_seed(0)
    generator = torch.Generator().manual_seed(0)
    clouds = torch.randn(8, config.num_points, 3, generator=generator).numpy()
    samples = [{"points": cloud, "index": index} for index, cloud in enumerate(clouds)]
    options = {
        "output_dir": str(output_dir),
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "max_steps": 4,
        "learning_rate": 1e-2,
        "logging_steps": 2,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "label_names": ["points"],
        "prediction_loss_only": True,
        "disable_tqdm": True,
        "use_cpu": True,
        "report_to": "none",
    }
    log_gradient_norms = arguments.pop("log_gradient_norms", False)
    collator = arguments.pop("data_collator", PointCloudCollator())
    return JointMAETrainer(
        model=JointMAEForPreTraining(config),
        args=TrainingArguments(**options | arguments),
        train_dataset=samples,
        eval_dataset=samples[:4],
        data_collator=collator,
        transform=RandomRotate(),
        log_gradient_norms=log_gradient_norms,
    )


@pytest.fixture(scope="session")
def saved_checkpoint(build_tiny_config, tmp_path_factory):
    """A checkpoint of one step; copy it to change it."""
    output_dir = tmp_path_factory.mktemp("saved")
    build_trainer(build_tiny_config(), output_dir, max_steps=1, save_strategy="steps", save_steps=1).train()
    return output_dir / "checkpoint-1"


@pytest.fixture
def make_trainer(tiny_config, tmp_path):
    """Build a trainer with arguments of the caller's; two calls build equal ones."""

    def make(config=tiny_config, **arguments):
        return build_trainer(config, tmp_path / "run", **arguments)

    return make
