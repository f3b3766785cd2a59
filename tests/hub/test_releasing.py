"""Tests of released checkpoints: bfloat16 weights loaded as float32, and a card with datasets and later results."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from jointmae_hf import JointMAEFeatureExtractor, JointMAEForPreTraining
from jointmae_hf.cli import main
from jointmae_hf.evaluation import Result, read_results, write_results
from jointmae_hf.hub import add_results, release_checkpoint


LOSS = Result("loss_3d", 0.01, "squared units", "validation", "last epoch", 42, 100, 10, "parts")
PROBE = Result(
    name="linear_svm",
    value=81.25,
    unit="%",
    split="test",
    selection_rule="last step",
    seed=42,
    num_train=90,
    num_test=30,
    dataset="modelnet40",
    pre_training="Joint-MAE on parts",
)


@pytest.fixture
def run_dir(tmp_path, tiny_config):
    """Return the output folder of a pre-training run."""
    folder = tmp_path / "run"
    JointMAEForPreTraining(tiny_config).save_pretrained(folder)
    JointMAEFeatureExtractor(num_points=64).save_pretrained(folder)
    write_results(folder / "results.json", [LOSS], {"training_data": [{"name": "parts", "num_samples": 100}]})
    (folder / "optimizer.pt").write_bytes(b"not released")
    return folder


def test_weights_are_stored_as_bfloat16_and_loaded_as_float32(run_dir, tmp_path):
    released = release_checkpoint(run_dir, tmp_path / "released")
    stored, original = (load_file(folder / "model.safetensors") for folder in (released, run_dir))
    model = JointMAEForPreTraining.from_pretrained(released)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert (stored[name].dtype, value.dtype) == (torch.bfloat16, torch.float32)
            assert torch.equal(value, original[name].to(torch.bfloat16).float())


def test_encoder_and_processor_load_from_the_checkpoint(run_dir, tmp_path):
    released = release_checkpoint(run_dir, tmp_path / "released")
    inputs = AutoProcessor.from_pretrained(released)(torch.randn(100, 3), return_tensors="pt")
    features = AutoModel.from_pretrained(released).eval()(**inputs).pooler_output
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_only_files_of_the_checkpoint_are_released(run_dir, tmp_path):
    released = release_checkpoint(run_dir, tmp_path / "released")
    expected = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "results.json"}
    assert {path.name for path in released.iterdir()} == expected


def test_card_has_datasets_with_license_and_later_results(run_dir, tmp_path):
    terms, probe = tmp_path / "terms.json", tmp_path / "probe.json"
    terms.write_text(json.dumps([{"name": "Parts", "license": "CC BY 2.0", "num_samples": 90}]), encoding="utf-8")
    write_results(probe, [PROBE], {})
    main(["release", str(run_dir), str(tmp_path / "released"), "--training_data", str(terms)])
    main(["results", str(probe), "--add_to", str(tmp_path / "released")])
    card = ModelCard.load(tmp_path / "released" / "README.md")
    assert "Parts, 90 clouds, license: CC BY 2.0" in card.text
    assert [result.metric_value for result in card.data.eval_results] == [81.25]
    assert read_results(tmp_path / "released" / "results.json")[0] == [LOSS, PROBE]


def test_results_are_not_added_twice(run_dir, tmp_path):
    released = release_checkpoint(run_dir, tmp_path / "released")
    write_results(tmp_path / "probe.json", [PROBE], {})
    add_results(released, [tmp_path / "probe.json"])
    with pytest.raises(ValueError, match="`paths` must hold new results, got linear_svm"):
        add_results(released, [tmp_path / "probe.json"])


def test_existing_folder_is_not_overwritten(run_dir):
    with pytest.raises(FileExistsError, match="`output_dir` must be new"):
        release_checkpoint(run_dir, run_dir)


def test_run_without_results_is_rejected(run_dir, tmp_path):
    (run_dir / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"`run_dir` must hold results\.json"):
        release_checkpoint(run_dir, tmp_path / "released")
