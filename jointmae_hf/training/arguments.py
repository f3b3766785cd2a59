"""Flags of the scripts: dataset, pre-training and fine-tuning, and what follows from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import is_tensorboard_available

from jointmae_hf.model import JointMAEConfig
from jointmae_hf.model.configuration_jointmae import PRESETS

from .demo import demonstration_checkpoint
from .finetuning_recipes import FineTuningRecipe, choose_recipe
from .pretraining import training_defaults
from .recipes import RECIPES, PreTrainingRecipe, setting_values
from .training_flags import Refusal, check_flags, fit_defaults, refuse, refuse_flags, without_validation


if TYPE_CHECKING:
    from datasets import DatasetDict


DATASET_NAMES = (
    "folder, modelnet40, modelnet_few_shot, primitive_shapes, sample_shapes, scanobjectnn, shapenet55, shapenet_part, "
    "synthetic_shapes"
)


def parse_json_object(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object in a flag; raise `ValueError` that names the flag if it is none."""
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"`{name}` must be a JSON object, got {text!r}.") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"`{name}` must be a JSON object, got {text!r}.")
    return parsed


def parse_config_overrides(text: str) -> dict[str, Any]:
    """Return the fields of [`JointMAEConfig`] in a flag `--config_overrides`."""
    overrides = parse_json_object("config_overrides", text)
    unknown = sorted(set(overrides) - set(JointMAEConfig().to_dict()))
    if unknown:
        raise ValueError(
            f"`config_overrides` must be a JSON object of fields of JointMAEConfig, got unknown {', '.join(unknown)}."
        )
    return overrides


def add_overrides(overrides: dict[str, Any], flags: Mapping[str, Any]) -> None:
    """Add fields of [`JointMAEConfig`] that have flags of their own, unless `None`; raise if they are set twice."""
    for name, value in flags.items():
        if value is not None and name in overrides:
            raise ValueError(f"`{name}` must not be in `config_overrides` too, got {value} and {overrides[name]}.")
    overrides |= {name: value for name, value in flags.items() if value is not None}


@dataclass
class DatasetArguments:
    """Flags that name a dataset.

    Args:
        dataset (`str`, *optional*):
            Name of a dataset of [`load_point_clouds`]; by default `"folder"` with `data_dir` and `"sample_shapes"`, real
            objects in the package, without.
        data_dir (`str`, *optional*):
            Folder of its files.
        dataset_options (`str`, *optional*, defaults to `"{}"`):
            Options of the dataset as a JSON object.
    """

    default_dataset: ClassVar[str] = "sample_shapes"

    dataset: str | None = field(
        default=None,
        metadata={"help": f"Dataset: {DATASET_NAMES}. By default `folder` with --data_dir, else an embedded one."},
    )
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the dataset's files."})
    dataset_options: str = field(
        default="{}", metadata={"help": 'Options of the dataset as JSON: \'{"subset": "obj_bg"}\'.'}
    )

    def __post_init__(self) -> None:
        self.options = parse_json_object("dataset_options", self.dataset_options)
        self.is_unnamed = self.dataset is None
        self.is_default = self.is_unnamed and self.data_dir is None and not self.options
        if self.dataset is None:
            self.dataset = self.default_dataset if self.data_dir is None else "folder"

    def excluded_flags(self) -> dict[str, Refusal]:
        """Return the flags of `TrainingArguments` that have no effect with this dataset: none."""
        return {}

    @property
    def dataset_name(self) -> str:
        """`str`: Name of the dataset in results and cards; that of a folder without its path on this machine."""
        if self.dataset == "folder":
            return Path(self.data_dir or "").resolve().name
        return " ".join([str(self.dataset), *([self.options["subset"]] if "subset" in self.options else [])])

    def load(self, seed: int, validation_share: float | None = 0.1, **defaults: Any) -> DatasetDict:
        """Load the splits, see [`load_splits`] and [`load_point_clouds`].

        Args:
            seed (`int`):
                Seed of the run; draws the validation split where the dataset has none.
            validation_share (`float`, *optional*, defaults to 0.1):
                Share of `train` to hold out in that case; `None` for the splits as they are.
            defaults (`dict[str, Any]`, *optional*):
                Options of `synthetic_shapes` that `dataset_options` does not set.

        Returns:
            `datasets.DatasetDict`: `train`, `validation` and, if there is one, `test`.
        """
        from jointmae_hf.data import load_point_clouds, load_splits

        options = {**defaults, **self.options} if self.dataset == "synthetic_shapes" else self.options
        if validation_share is None:
            return load_point_clouds(str(self.dataset), self.data_dir, **options)
        return load_splits(str(self.dataset), self.data_dir, validation_share, seed, **options)


@dataclass
class PartDatasetArguments(DatasetArguments):
    """Flags that name a dataset whose points have part labels: without a flag, procedural shapes."""

    default_dataset: ClassVar[str] = "synthetic_shapes"


def default_tracker() -> str:
    """Return the default of `--report_to`: `"tensorboard"` if it is installed, otherwise `"none"`."""
    return "tensorboard" if is_tensorboard_available() else "none"


def read_flags(classes: Sequence[Any], command_line: Sequence[str] | None = None) -> tuple[list[Any], dict[str, Any]]:
    """Parse the flags of a script that also has those of `TrainingArguments`, before the defaults of the latter are known.

    Args:
        classes (`Sequence[type]`):
            Dataclasses of the script.
        command_line (`Sequence[str]`, *optional*, defaults to that of the process):
            Arguments to parse.

    Returns:
        `tuple[list, dict[str, Any]]`: An instance of each dataclass, and all flags that are on the command line.
    """
    all_flags: list[Any] = [*classes, TrainingArguments]
    parser = HfArgumentParser(all_flags, add_help=False)
    passed, _ = _parse(parser, command_line)
    with exit_on_error():
        return [_instance(flags, passed) for flags in classes], passed


def parse_flags(classes: Sequence[Any], command_line: Sequence[str] | None = None) -> tuple[list[Any], dict[str, Any]]:
    """Parse the flags of a script that does not train, see [`read_flags`]; an invalid one ends the process with one line."""
    parser = HfArgumentParser(list(classes))
    passed, unknown = _parse(parser, command_line)
    with exit_on_error():
        if unknown:
            raise ValueError(f"unrecognized arguments: {' '.join(unknown)}")
        return [_instance(flags, passed) for flags in classes], passed


def _parse(parser: HfArgumentParser, command_line: Sequence[str] | None) -> tuple[dict[str, Any], list[str]]:
    """Return the flags that are on the command line, without defaults, and what the parser does not know."""
    absent = object()
    names = [field.name for flags in parser.dataclass_types for field in fields(flags) if field.init]
    parser.set_defaults(**dict.fromkeys(names, absent))
    parser.dataclass_types = []  # everything goes into one namespace
    found, unknown = parser.parse_args_into_dataclasses(command_line, return_remaining_strings=True)
    return {name: value for name, value in vars(found).items() if value is not absent}, unknown


def _instance(flags: Any, passed: Mapping[str, Any]) -> Any:
    """Return an instance of a dataclass of flags with those that are on the command line."""
    return flags(**{field.name: passed[field.name] for field in fields(flags) if field.name in passed})


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the process with one line if a flag is invalid."""
    try:
        yield
    except ValueError as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: error: {error}\n")
        sys.exit(2)


@dataclass
class PreTrainingArguments:
    """Flags of the scripts that pre-train.

    Args:
        recipe (`str`, *optional*, defaults to `"quick"`):
            Name of the recipe, see `RECIPES`.
        model (`str`, *optional*):
            Model size that replaces that of the recipe, or checkpoint to go on from, a folder or an id on the Hub.
        config_overrides (`str`, *optional*, defaults to `"{}"`):
            Fields of [`JointMAEConfig`] as JSON.
        augmentation (`list[str]`, *optional*):
            Replaces the augmentation of the recipe.
        num_probe_train (`int`, *optional*, defaults to 2000):
            Maximum number of training clouds of the linear SVM.
        num_probe_test (`int`, *optional*, defaults to 800):
            Maximum number of held-out clouds of the linear SVM.
    """

    recipe: str = field(default="quick", metadata={"help": f"Recipe: {', '.join(RECIPES)}."})
    model: str | None = field(
        default=None,
        metadata={"help": f"Preset instead of the recipe's: {', '.join(PRESETS)}; or checkpoint: folder or Hub id."},
    )
    config_overrides: str = field(
        default="{}", metadata={"help": "Fields of JointMAEConfig as JSON: '{\"num_views\": 1}'."}
    )
    augmentation: list[str] | None = field(
        default=None,
        metadata={"help": "Augmentation instead of the recipe's: scale_and_translate, rotate_y or both."},
    )
    num_probe_train: int = field(
        default=2000, metadata={"help": "Maximum number of training clouds of the linear SVM."}
    )
    num_probe_test: int = field(default=800, metadata={"help": "Maximum number of held-out clouds of the linear SVM."})

    def __post_init__(self) -> None:
        self.overrides = parse_config_overrides(self.config_overrides)
        self.passed: Mapping[str, Any] = {}  # flags on the command line
        for name, least in (("num_probe_train", 0), ("num_probe_test", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")

    def check(self, dataset_arguments: Any, training: TrainingArguments) -> None:
        """Raise `ValueError` if flags contradict each other; a hook for scripts with further flags."""
        if self.num_probe_train == 0:
            refuse(self.passed, {"num_probe_test": Refusal((), "`num_probe_train` 0 skips the linear SVM.")})

    @property
    def checkpoint(self) -> str | None:
        """`str`, *optional*: Checkpoint whose weights are the start; `None` for random weights."""
        return None if self.model in PRESETS else self.model

    def build_config(self, recipe: PreTrainingRecipe) -> JointMAEConfig:
        """Build the configuration of the model: that of the checkpoint or of the recipe, with `config_overrides`."""
        if self.checkpoint is None:
            return recipe.build_config(self.model, **self.overrides)
        return JointMAEConfig.from_pretrained(self.checkpoint, **self.overrides)

    def check_labels(self, has_labels: bool) -> None:
        """Raise `ValueError` if flags of the linear SVM are passed although the clouds have no classes."""
        if not has_labels:
            reason = "The dataset has no classes for a linear SVM. Drop the flag."
            refuse(self.passed, {"num_probe_train": Refusal((0,), reason), "num_probe_test": Refusal((), reason)})


def parse_pretraining_arguments(
    script_class: type[PreTrainingArguments],
    output_name: str,
    dataset_class: type[Any] = DatasetArguments,
    **defaults: Any,
) -> tuple[Any, Any, TrainingArguments, PreTrainingRecipe]:
    """Parse the flags of a script, with the values of the recipe and `defaults` as defaults of `TrainingArguments`.

    An invalid flag, or one that the script would ignore, ends the process with one line.
    """
    all_flags: list[Any] = [script_class, dataset_class, TrainingArguments]
    (script, dataset), passed = read_flags(all_flags[:2])
    parser = HfArgumentParser(all_flags)
    with exit_on_error():
        if script.recipe not in RECIPES:
            raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}, got {script.recipe}.")
        recipe = RECIPES[script.recipe].with_augmentation(script.augmentation)
        task = "ablation" if output_name == "ablation" else "pretraining"
        refuse_flags(passed, task, dataset.excluded_flags())
        values = {"output_dir": f"outputs/{output_name}-{script.recipe}", "report_to": default_tracker()}
        values |= {**training_defaults(recipe), **defaults}
        parser.set_defaults(**fit_defaults(values, passed))
        script, dataset, training = parser.parse_args_into_dataclasses()
        script.passed = passed
        check_flags(passed, training, task)
        script.check(dataset, training)
    return script, dataset, training, recipe


@dataclass
class FineTuningArguments:
    """Flags of the scripts that fine-tune.

    Args:
        model (`str`, *optional*):
            Checkpoint to start from, a folder or an id on the Hub.
        from_scratch (`bool`, *optional*, defaults to `False`):
            Start from random weights, in the architecture of `model` if given.
        recipe (`str`, *optional*, defaults to `"quick"`):
            Name of the recipe, see `FINE_TUNING_RECIPES`.
        config_overrides (`str`, *optional*, defaults to `"{}"`):
            Fields of [`JointMAEConfig`] as JSON.
        augmentation (`list[str]`, *optional*):
            Replaces the augmentation of the recipe.
        validation_share (`float`, *optional*, defaults to 0.1):
            Share of train to hold out if the dataset has no validation split.
        train_on_validation (`bool`, *optional*, defaults to `False`):
            Train on train and validation together, as papers do, and measure only the last epoch.
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Compute the statistics of batch norm over all GPUs.
    """

    model: str | None = field(
        default=None,
        metadata={
            "help": "Checkpoint: folder or Hub id. By default a small one is pre-trained on real objects first."
        },
    )
    from_scratch: bool = field(default=False, metadata={"help": "Random weights, in the architecture of --model."})
    recipe: str = field(default="quick", metadata={"help": "Recipe: quick or paper."})
    config_overrides: str = field(
        default="{}", metadata={"help": "Fields of JointMAEConfig as JSON: '{\"num_groups\": [512, 128]}'."}
    )
    augmentation: list[str] | None = field(
        default=None,
        metadata={"help": "Augmentation instead of the recipe's: scale_and_translate, rotate_y or both."},
    )
    validation_share: float = field(
        default=0.1, metadata={"help": "Share of train to hold out, on which the epoch is chosen."}
    )
    train_on_validation: bool = field(
        default=False, metadata={"help": "Train on validation too, as papers do; reports only the last epoch."}
    )
    sync_batch_norm: bool = field(
        default=False, metadata={"help": "Batch norm over all GPUs instead of each GPU by itself."}
    )

    def __post_init__(self) -> None:
        self.overrides = parse_config_overrides(self.config_overrides)
        self.passed: Mapping[str, Any] = {}  # flags on the command line

    def adjust(self, dataset_arguments: DatasetArguments) -> None:
        """Change the flags of the dataset; a hook for scripts with their own flags for it."""

    def excluded_flags(self, dataset_arguments: DatasetArguments) -> dict[str, Refusal]:
        """Return the flags that have no effect with these flags and this dataset."""
        if not self.train_on_validation:
            return {}
        reason = "`train_on_validation` leaves no split for it."
        return {**without_validation(reason), "validation_share": Refusal((), reason)}

    def load_splits(self, dataset_arguments: DatasetArguments, seed: int, **sizes: Any) -> DatasetDict:
        """Load the splits of the dataset, see [`DatasetArguments.load`]; `validation_share` must have an effect if passed."""
        if "validation_share" in self.passed and "validation" in dataset_arguments.load(seed, None, **sizes):
            raise ValueError(
                "`validation_share` must not be passed for a dataset with a validation split, got "
                f"{self.validation_share} and {dataset_arguments.dataset_name}. Drop the flag."
            )
        return dataset_arguments.load(seed, self.validation_share, **sizes)

    def find_checkpoint(self, folder: str | Path, seed: int) -> str | None:
        """Return the checkpoint to start from, after pre-training a small one if none is named.

        Args:
            folder (`str` or `pathlib.Path`):
                Folder for the small one.
            seed (`int`):
                Seed of its training.

        Returns:
            `str`, *optional*: Folder or id; `None` from scratch.

        Raises:
            ValueError: If the recipe is not `quick` and neither a checkpoint nor `from_scratch` is given.
        """
        if self.from_scratch:
            return None
        if self.model is None and self.recipe != "quick":
            raise ValueError(
                f"`model` must name a checkpoint with recipe {self.recipe!r}, got None. Pre-train one by "
                "examples/run_pretrain.py, or pass --from_scratch True."
            )
        return self.model or str(demonstration_checkpoint(folder, seed=seed))

    def build_config(self, recipe: FineTuningRecipe, checkpoint: str | None, **fields: Any) -> JointMAEConfig:
        """Build the configuration of the model to fine-tune.

        Args:
            recipe ([`FineTuningRecipe`]):
                The recipe.
            checkpoint (`str`, *optional*):
                From [`find_checkpoint`].
            fields (`Any`):
                Fields that follow from the dataset, such as `id2label`.

        Returns:
            [`JointMAEConfig`]: That of the checkpoint, or of `model` from scratch, with the fields of recipe, dataset and
            `config_overrides`.
        """
        source = checkpoint or self.model
        if source is None:
            return recipe.build_config(**{**fields, **self.overrides})
        changed = setting_values(recipe.model)
        embedding_3d = self.overrides.get("embedding_3d", JointMAEConfig.from_pretrained(source).embedding_3d)
        if embedding_3d == "flat":
            changed.pop("group_size", None)  # that of a recipe has two scales
        return JointMAEConfig.from_pretrained(source, **{**changed, **fields, **self.overrides})


def parse_fine_tuning_arguments(
    task: str,
    script_class: type[FineTuningArguments] = FineTuningArguments,
    command_line: Sequence[str] | None = None,
    **defaults: Any,
) -> tuple[Any, DatasetArguments, TrainingArguments, FineTuningRecipe]:
    """Parse the flags of a script, with the values of the recipe as defaults of `TrainingArguments`.

    Args:
        task (`str`):
            Key of `FINE_TUNING_RECIPES`.
        script_class (`type`, *optional*, defaults to [`FineTuningArguments`]):
            Flags of the script, a subclass with additional fields.
        command_line (`Sequence[str]`, *optional*, defaults to that of the process):
            Arguments to parse.
        defaults (`Any`):
            Further defaults of `TrainingArguments`.

    Returns:
        `tuple`: Flags of the script, of the dataset and of training, and the recipe.
    """
    dataset_class = PartDatasetArguments if task == "segmentation" else DatasetArguments
    all_flags: list[Any] = [script_class, dataset_class, TrainingArguments]
    (script, dataset), passed = read_flags(all_flags[:2], command_line)
    parser = HfArgumentParser(all_flags)
    with exit_on_error():
        script.adjust(dataset)
        refuse_flags(passed, task, script.excluded_flags(dataset))
        recipe = choose_recipe(task, script.recipe, str(dataset.dataset)).with_augmentation(script.augmentation)
        values = setting_values(recipe.training)
        if script.train_on_validation:
            values |= {"eval_strategy": "no", "metric_for_best_model": None}
        values |= {"remove_unused_columns": False, "logging_nan_inf_filter": False, "label_names": ["labels"]}
        values["report_to"] = default_tracker()
        values["output_dir"] = f"outputs/{task}-{script.recipe}-{dataset.dataset_name.replace(' ', '-')}"
        parser.set_defaults(**fit_defaults({**values, **defaults}, passed))
        script, dataset, training = parser.parse_args_into_dataclasses(args=command_line)
        script.adjust(dataset)
        script.passed = passed
        check_flags(passed, training, task)
    return script, dataset, training, recipe
