"""Flags of the scripts' own dataclasses: each is read somewhere, and one that would have no effect is refused."""

import ast
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from jointmae_hf.training import DatasetArguments, VisualizationArguments
from jointmae_hf.training.arguments import (
    PartDatasetArguments,
    parse_fine_tuning_arguments,
    parse_flags,
    parse_pretraining_arguments,
)
from jointmae_hf.training.visualization_arguments import parse_visualization_flags


ROOT = Path(__file__).parents[2]
TASKS = {
    "run_pretrain.py": "pretraining",
    "run_ablation.py": "ablation",
    "run_classification.py": "classification",
    "run_segmentation.py": "segmentation",
    "run_few_shot.py": "few_shot",
    "run_linear_probe.py": None,
    "visualize_reconstruction.py": "visualization",
    "visualize_pipeline.py": "visualization",
}


def script_class(script):
    return runpy.run_path(str(ROOT / "examples" / script)).get("ScriptArguments")


def read_names(*paths):
    """Return the names of all attributes that some files read."""
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Parse flags as a script does."""

    def parse_command_line(script, *flags):
        own, task = script_class(script), TASKS[script]
        training = ["--output_dir", str(tmp_path), "--use_cpu", "True"] if task not in (None, "visualization") else []
        command_line = [*training, *flags]
        monkeypatch.setattr("sys.argv", [script, *command_line])
        if task in ("pretraining", "ablation"):
            return parse_pretraining_arguments(own, task)
        if task == "visualization":
            return parse_visualization_flags(*([own] if own else []))
        if task is None:
            return parse_flags((own, DatasetArguments))
        quiet = {"save_strategy": "no", "logging_strategy": "no"} if task == "few_shot" else {}
        return parse_fine_tuning_arguments(task, own, command_line, **quiet)

    return parse_command_line


@pytest.mark.parametrize("script", TASKS)
def test_every_flag_is_read_by_the_script_or_what_parses_it(script):
    modules = ("arguments", "visualization_arguments", "finetuning", "few_shot")
    read = read_names(ROOT / "examples" / script, *(ROOT / f"jointmae_hf/training/{module}.py" for module in modules))
    own = script_class(script)
    classes = [own] if own else [VisualizationArguments]
    assert {field.name for flags in (*classes, DatasetArguments) for field in fields(flags)} - read == set()


@pytest.mark.parametrize("script", TASKS)
def test_script_starts_without_flags_on_an_embedded_dataset(parse, script):
    parsed = parse(script)
    parsed = [*parsed[0], *parsed[1:]] if isinstance(parsed[0], list) else parsed
    (dataset,) = [flags for flags in parsed if isinstance(flags, DatasetArguments)]
    assert dataset.dataset == ("synthetic_shapes" if script == "run_segmentation.py" else "sample_shapes")
    assert dataset.is_default
    assert isinstance(dataset, PartDatasetArguments) is (script == "run_segmentation.py")


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("run_linear_probe.py", "--augmentation rotate_y", "unrecognized arguments: --augmentation rotate_y"),
        ("run_linear_probe.py", "--sync_batch_norm True", "unrecognized arguments: --sync_batch_norm True"),
        ("run_linear_probe.py", "--pooling median", "`pooling` must be one of sum, "),
        ("run_linear_probe.py", "--max_test 0", "`max_test` must be at least 1, got 0."),
        (
            "run_few_shot.py",
            "--augmentation rotate_y",
            "`augmentation` must not be passed, got ['rotate_y']. A linear",
        ),
        (
            "run_few_shot.py",
            "--sync_batch_norm True",
            "`sync_batch_norm` must be False, got True. A linear SVM trains",
        ),
        ("run_few_shot.py", "--train_on_validation True", "`train_on_validation` must be False, got True. A fold has"),
        (
            "run_few_shot.py",
            "--classifier fine_tuning --train_on_validation True",
            "`train_on_validation` must be False, got True. A fold has",
        ),
        (
            "run_few_shot.py",
            "--dataset modelnet_few_shot --data_dir folds --num_test 5",
            "`num_test` must not be passed, got 5. Its folds are published.",
        ),
        (
            "run_few_shot.py",
            "--dataset modelnet_few_shot --data_dir folds --validation_share 0.2",
            "`validation_share` must not be passed, got 0.2. Its folds",
        ),
        ("run_few_shot.py", "--num_test 0", "`num_test` must be at least 1, got 0."),
        (
            "run_classification.py",
            "--train_on_validation True --validation_share 0.2",
            "`validation_share` must not be passed, got 0.2. `train_on_validation` leaves no split",
        ),
        (
            "run_classification.py",
            "--subset OBJ_BG --dataset modelnet40",
            "`subset` must come with `dataset` scanobjectnn, got modelnet40.",
        ),
        (
            "run_classification.py",
            '--subset OBJ_BG --dataset_options {"subset":"pb_t50_rs"}',
            "`subset` must not be in `dataset_options` too, got OBJ_BG.",
        ),
        (
            "run_segmentation.py",
            '--num_groups 32 16 --config_overrides {"num_groups":[8,4]}',
            "`num_groups` must not be in `config_overrides` too, got [32, 16] and [8, 4].",
        ),
        (
            "run_pretrain.py",
            '--num_points 64 --config_overrides {"num_points":32}',
            "`num_points` must not be in `config_overrides` too, got 64 and 32.",
        ),
        (
            "run_pretrain.py",
            "--num_probe_train 0 --num_probe_test 9",
            "`num_probe_test` must not be passed, got 9. `num_probe_train` 0 skips the linear SVM.",
        ),
        (
            "run_pretrain.py",
            "--augmentation rotate_up",
            "`augmentation` must be among scale_and_translate, scale_and_translate_little, rotate_y, rotate, got rotate_up.",
        ),
        ("run_pretrain.py", "--learning_rate 0", "`learning_rate` must be positive, got 0.0."),
        ("run_pretrain.py", "--num_probe_train -1", "`num_probe_train` must be at least 0, got -1."),
        ("run_ablation.py", "--model my_weights", "--model must be jointmae-base or jointmae-small, got my_weights."),
        ("run_ablation.py", "--num_probe_train 0", "--num_probe_train must be at least 1, got 0."),
        ("run_ablation.py", '--probe_dataset_options {"num_test":9}', "--probe_dataset_options must come with"),
        (
            "visualize_pipeline.py",
            "--cloud a.npy --num_clouds 3",
            "`num_clouds` must not be passed, got 3. `cloud` names the clouds to draw.",
        ),
        ("visualize_reconstruction.py", "--cloud a.npy --dataset folder", "`dataset` must not be passed, got folder."),
        ("visualize_pipeline.py", "--up_axis z", "`up_axis` must not be passed, got z. It is that of files"),
        ("visualize_pipeline.py", "--layer 3", "unrecognized arguments: --layer 3"),
    ],
)
def test_flag_without_effect_ends_the_script_with_one_line(parse, capsys, script, flags, message):
    with pytest.raises(SystemExit) as stopped:
        parse(script, *flags.split())
    assert stopped.value.code == 2
    assert f"{script}: error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("run_few_shot.py", "--classifier fine_tuning --augmentation rotate_y --sync_batch_norm True"),
        ("run_few_shot.py", "--train_on_validation False --num_test 5"),
        ("run_classification.py", "--subset OBJ_BG --data_dir h5_files"),
        ("run_classification.py", "--subset OBJ_BG --dataset scanobjectnn --data_dir h5_files"),
        ("run_pretrain.py", "--num_probe_train 0"),
        ("run_ablation.py", "--augmentation scale_and_translate rotate_y"),
        ("visualize_pipeline.py", "--cloud a.npy --up_axis z"),
        ("visualize_pipeline.py", "--num_clouds 3 --dataset primitive_shapes"),
    ],
)
def test_flag_with_an_effect_is_accepted(parse, script, flags):
    parse(script, *flags.split())


def test_probe_flags_are_refused_where_clouds_have_no_classes(parse):
    script = parse("run_pretrain.py", "--num_probe_test", "9")[0]
    script.check_labels(has_labels=True)
    with pytest.raises(ValueError, match=r"`num_probe_test` must not be passed, got 9\. The dataset has no classes"):
        script.check_labels(has_labels=False)


def test_validation_share_is_refused_where_the_dataset_has_a_validation_split(parse, tmp_path):
    sizes = f'{{"num_train":40,"num_validation":20,"num_test":20,"num_points":64,"cache_dir":"{tmp_path}"}}'
    flags = ["--dataset", "synthetic_shapes", "--dataset_options", sizes]
    script, dataset, *_ = parse("run_classification.py", *flags, "--validation_share", "0.2")
    with pytest.raises(
        ValueError, match="`validation_share` must not be passed for a dataset with a validation split"
    ):
        script.load_splits(dataset, seed=0)
    script, dataset, *_ = parse("run_classification.py", *flags)
    assert len(script.load_splits(dataset, seed=0)["validation"]) == 20
