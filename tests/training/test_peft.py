"""Adapters of PEFT in our trainers: saved alone, as `transformers.Trainer` does, and resumed bit by bit."""

import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import TrainingArguments

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.data import PointCloudCollator, PointCloudTensors
from jointmae_hf.training import CheckpointError, ClassificationTrainer


@pytest.fixture
def build(build_tiny_config, make_cloud, tmp_path):
    def build(rank=4):
        torch.manual_seed(0)
        model = JointMAEForPointCloudClassification(build_tiny_config(num_labels=3))
        adapter = LoraConfig(
            r=rank, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier", "embeddings_3d"]
        )
        arguments = TrainingArguments(
            str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True, max_steps=4, save_steps=2, logging_steps=1,
            save_strategy="steps", per_device_train_batch_size=8, remove_unused_columns=False,
        )  # fmt: skip
        return ClassificationTrainer(
            model=get_peft_model(model, adapter),
            args=arguments,
            train_dataset=PointCloudTensors(make_cloud(24), torch.arange(24) % 3),
            data_collator=PointCloudCollator(64, 0),
        )

    return build


def trained_weights(trainer):
    return {name: value.clone() for name, value in trainer.model.named_parameters() if value.requires_grad}


def test_adapter_is_saved_and_resumed_bit_by_bit(build, tmp_path):
    whole = build()
    whole.train()
    assert (tmp_path / "checkpoint-4" / "adapter_model.safetensors").is_file()
    shutil.rmtree(tmp_path / "checkpoint-4")
    resumed = build()
    resumed.train(resume_from_checkpoint=True)
    expected = trained_weights(whole)
    assert trained_weights(resumed).keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in trained_weights(resumed).items())


def test_saved_adapter_loads_into_the_base_model(build, build_tiny_config, make_cloud, tmp_path):
    trainer = build()
    trainer.train()
    torch.manual_seed(0)
    base = JointMAEForPointCloudClassification(build_tiny_config(num_labels=3))
    loaded = PeftModel.from_pretrained(base, tmp_path / "checkpoint-4").eval()
    points = make_cloud(2, seed=3)
    with torch.no_grad():
        torch.testing.assert_close(loaded(points).logits, trainer.model.eval()(points).logits)


def test_another_adapter_is_refused(build, tmp_path):
    build().train()
    with pytest.raises(CheckpointError, match=r"must be of the model in training, got .* with other values of r"):
        build(rank=8).train(resume_from_checkpoint=True)
