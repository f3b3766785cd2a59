"""Ablations: each row is one change of the recipe, finished ones are read, interrupted ones resumed; and their tables."""

import json

import pytest
from transformers import TrainingArguments

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors, load_splits
from jointmae_hf.evaluation import PAPER_NUMBERS, Result
from jointmae_hf.training import ABLATIONS, RECIPES, Ablation, AblationStudy, find_last_checkpoint, training_defaults
from jointmae_hf.training.ablations import paired_gains, render_ablation


SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_points", "num_groups")
SIZES += ("group_size", "image_size", "target_group_size")
ROWS = {row.label: row for rows in ABLATIONS.values() for row in rows}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    sizes = {"num_train": 120, "num_validation": 8, "num_test": 20, "num_points": 64}
    return load_splits("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("cache"), **sizes)


@pytest.fixture(scope="module")
def splits_in_memory(splits):
    """The same clouds as tensors."""
    batches = {name: PointCloudCollator()(list(PointCloudDataset(split))) for name, split in splits.items()}
    return {name: PointCloudTensors(batch["points"], batch["labels"]) for name, batch in batches.items()}


@pytest.fixture
def build_study(splits, tiny_config, tmp_path):
    def build(used=splits, **changes):
        few = {"max_steps": 2, "per_device_train_batch_size": 4, "save_strategy": "steps", "save_steps": 1}
        quiet = {"eval_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
        values = training_defaults(RECIPES["quick"]) | few | quiet | {"save_total_limit": None} | changes
        training = TrainingArguments(**{"output_dir": str(tmp_path), "use_cpu": True, **values})
        fields = {name: getattr(tiny_config, name) for name in SIZES}
        data = {"splits": used, "dataset_name": "shapes", "probe_splits": used, "probe_name": "shapes"}
        return AblationStudy(recipe=RECIPES["quick"], training=training, fields=fields, num_probe_train=100, **data)

    return build


@pytest.mark.parametrize("table", ["6", "7", "8"])
def test_rows_are_those_of_the_paper(table):
    labels = {figure.row for figure in PAPER_NUMBERS if figure.table == int(table)}
    assert {row.label for row in ABLATIONS[table]} == labels


@pytest.mark.parametrize("rows", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_last_row_is_the_recipe_itself(rows):
    assert dict(rows[-1].overrides) == {}
    assert rows[-1].is_pretrained


@pytest.mark.parametrize("label", ROWS)
def test_every_row_changes_what_it_names_and_nothing_else(build_study, label):
    study, row = build_study(), ROWS[label]
    full, changed = study.config(Ablation("full")).to_dict(), study.config(row).to_dict()
    names = {name for name in full if full[name] != changed[name]}
    derived = {"num_groups", "group_size", "embedding_sizes_3d", "position_hidden_size", "embedding_sizes_2d"}
    assert names - derived <= set(row.overrides)
    assert all(changed[name] == value for name, value in row.overrides.items())


def test_flat_3d_embedding_keeps_the_number_of_tokens(build_study, tiny_config):
    config = build_study().config(ROWS["flat 3D embedding"])
    assert (config.num_groups, config.group_size) == ([tiny_config.num_groups[-1]], [32])


def test_row_leaves_a_loadable_checkpoint_and_its_facts(build_study):
    study, row = build_study(), ROWS["3D only"]
    measured = study.measure(row, seed=1)
    model = JointMAEForPreTraining.from_pretrained(study.folder(row, 1))
    facts = json.loads((study.folder(row, 1) / "results.json").read_text(encoding="utf-8"))["run"]
    assert not model.config.use_2d_branch
    assert (measured.protocol, measured.pre_training) == ("3D only", "3D only on shapes (in-domain)")
    assert facts["recipe"]["steps"] == 2


def test_finished_row_is_not_run_again(build_study):
    study, row = build_study(), ROWS["3D only"]
    first = study.measure(row, seed=1)
    written = (study.folder(row, 1) / "model.safetensors").stat().st_mtime_ns
    assert build_study().measure(row, seed=1) == first
    assert (study.folder(row, 1) / "model.safetensors").stat().st_mtime_ns == written


def test_interrupted_row_resumes_to_the_same_weights(build_study):
    study, row = build_study(), ROWS["3D only"]
    first, folder = study.measure(row, seed=1), study.folder(row, 1)
    weights = (folder / "model.safetensors").read_bytes()
    for name in ("results.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "checkpoint-2" / "trainer_state.json").write_text("{", encoding="utf-8")  # killed while writing
    assert find_last_checkpoint(folder) == folder / "checkpoint-1"
    assert build_study().measure(row, seed=1) == first
    assert (folder / "model.safetensors").read_bytes() == weights


def test_rows_of_equal_settings_share_a_folder(build_study):
    study = build_study()
    assert study.folder(ROWS["full"], 0) == study.folder(ROWS["4 views"], 0)


@pytest.mark.parametrize("change", [{"max_steps": 3}, {"learning_rate": 1e-4}])
def test_other_settings_have_another_folder(build_study, change):
    assert build_study().folder(ROWS["full"], 0) != build_study(**change).folder(ROWS["full"], 0)


def test_untrained_row_trains_nothing(build_study):
    study, row = build_study(), ROWS["untrained"]
    assert study.measure(row, seed=1).pre_training == "from scratch"
    assert not list(study.folder(row, 1).glob("checkpoint-*"))


def test_clouds_in_memory_give_the_result_of_their_dataset(build_study, splits_in_memory, tmp_path):
    row = ROWS["3D only"]
    study = build_study(splits_in_memory, output_dir=str(tmp_path / "memory"))
    assert study.measure(row, seed=1) == build_study().measure(row, seed=1)


def result(label, seed, value, **changes):
    fields = {"unit": "%", "split": "test", "selection_rule": "last epoch", "num_train": 5, "num_test": 4}
    fields |= {"dataset": "modelnet40", "pre_training": "Joint-MAE on shapenet55"}
    return Result(name="linear_svm", value=value, seed=seed, protocol=label, **(fields | changes))


def test_gains_are_paired_by_seed():
    results = [result("3D only", 0, 50.0), result("3D only", 1, 60.0)]
    results += [result("Joint-MAE", 1, 63.0), result("Joint-MAE", 0, 51.0)]
    (gain,) = paired_gains(results)
    assert (gain.value, gain.num_runs, gain.unit) == (2.0, 2, "points")
    assert gain.std == pytest.approx(2**0.5)


def test_gains_leave_out_seeds_without_a_partner():
    results = [result("3D only", 0, 50.0), result("3D only", 1, 60.0), result("Joint-MAE", 1, 63.0)]
    assert [(gain.value, gain.std) for gain in paired_gains(results)] == [(3.0, None)]


def test_table_has_means_spreads_and_the_papers_figures():
    rows = [row.label for row in ABLATIONS["6"]]
    results = [result(label, seed, 90.0 + 2 * seed) for label in rows for seed in (0, 1)]
    rendered = render_ablation(results, "6")
    assert "| row | linear SVM | gain of “2D-3D local, 3D-2D local” | paper |" in rendered
    assert "| 2D-3D local, 3D-2D global | 91.0 ± 1.4 % | +0.0 ± 0.0 | 91.8 % |" in rendered


@pytest.mark.parametrize(
    "change", [{"pre_training": "Joint-MAE on modelnet40 (in-domain)"}, {"dataset": "shapes"}, {"split": "validation"}]
)
def test_table_keeps_the_papers_figures_apart_when_they_cannot_be_compared(change):
    results = [result(row.label, 0, 50.0, **change) for row in ABLATIONS["6"]]
    rendered = render_ablation(results, "6")
    assert "| 2D-3D local, 3D-2D global | 50.0 % | +0.0 |\n" in rendered
    assert "| 2D-3D local, 3D-2D global | 91.8 % | +0.6 |\n" in rendered


def test_table_names_its_key_when_it_is_unknown():
    with pytest.raises(ValueError, match="`table` must be one of 2d, 6, 7, 8, supplement, choices, got '9'"):
        render_ablation([result("full", 0, 1.0)], "9")
