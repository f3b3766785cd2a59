"""Flags that the scripts of fine-tuning share, and what follows from them: checkpoint, configuration, model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser, PreTrainedModel, TrainingArguments

from jointmae_hf.model import JointMAEConfig

from .demonstration import demonstration_checkpoint
from .finetuning_recipes import FineTuningRecipe, choose_recipe
from .script_arguments import DatasetArguments, default_tracker


@dataclass
class FineTuningArguments:
    """Flags of fine-tuning.

    Args:
        model (`str`, *optional*):
            Checkpoint to start from, a folder or an id on the Hub.
        from_scratch (`bool`, *optional*, defaults to `False`):
            Random weights, in the architecture of `model` where it is given.
        recipe (`str`, *optional*, defaults to `"quick"`):
            See `FINE_TUNING_RECIPES`.
        config_overrides (`str`, *optional*, defaults to `"{}"`):
            Fields of [`JointMAEConfig`] as JSON.
        augmentation (`list[str]`, *optional*):
            In place of the recipe's.
        validation_share (`float`, *optional*, defaults to 0.1):
            Share of train to hold out where the dataset has no validation split.
        train_on_validation (`bool`, *optional*, defaults to `False`):
            Train on train and validation together, as papers do; the last epoch alone is measured then.
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether batch norm takes its statistics over all processes, see [`synchronize_batch_norm`].
    """

    model: str | None = field(
        default=None,
        metadata={"help": "Checkpoint: folder or Hub id. By default a small one, trained first on embedded shapes."},
    )
    from_scratch: bool = field(default=False, metadata={"help": "Random weights, in the architecture of --model."})
    recipe: str = field(default="quick", metadata={"help": "Recipe: quick or paper."})
    config_overrides: str = field(
        default="{}", metadata={"help": "Fields of JointMAEConfig as JSON: '{\"num_groups\": [512, 128]}'."}
    )
    augmentation: list[str] | None = field(
        default=None, metadata={"help": "In place of the recipe's: scale_and_translate, rotate_y or both."}
    )
    validation_share: float = field(default=0.1, metadata={"help": "Share of train held out to choose the epoch on."})
    train_on_validation: bool = field(
        default=False, metadata={"help": "Train on validation too, as papers do; reports the last epoch alone."}
    )
    sync_batch_norm: bool = field(default=False, metadata={"help": "Batch norm over all GPUs instead of each alone."})

    def __post_init__(self) -> None:
        try:
            self.overrides = json.loads(self.config_overrides)
        except json.JSONDecodeError as error:
            raise ValueError(f"`config_overrides` must be a JSON object, got {self.config_overrides!r}.") from error
        known = set(JointMAEConfig().to_dict())
        if not isinstance(self.overrides, dict) or not set(self.overrides) <= known:
            raise ValueError(
                f"`config_overrides` must be a JSON object of fields of JointMAEConfig, got {self.config_overrides!r}."
            )

    def adjust(self, splits: DatasetArguments) -> None:
        """Change what the flags of the dataset say, where a script has flags of its own for it."""

    def find_checkpoint(self, folder: str | Path, seed: int) -> str | None:
        """Say which checkpoint gives the weights, after training a small one where none is named.

        Args:
            folder (`str` or `pathlib.Path`):
                Where the small one is kept.
            seed (`int`):
                Of its training.

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
        """Configuration of the model to fine-tune.

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
        changed = {name: setting.value for name, setting in recipe.model.items()}
        return JointMAEConfig.from_pretrained(source, **{**changed, **fields, **self.overrides})


def build_model(
    model_class: type[PreTrainedModel], config: JointMAEConfig, checkpoint: str | None, **options: Any
) -> Any:
    """Build a model with the weights of a checkpoint, or with random ones; seed the generators before.

    Args:
        model_class (`type`):
            Such as `JointMAEForPointCloudClassification`.
        config ([`JointMAEConfig`]):
            Its configuration.
        checkpoint (`str`, *optional*):
            Folder or id; `None` for random weights.
        options (`Any`, *optional*):
            Of the class.

    Returns:
        `PreTrainedModel`: The model.
    """
    if checkpoint is None:
        return model_class(config, **options)
    return model_class.from_pretrained(checkpoint, config=config, **options)


def parse_fine_tuning_arguments(
    task: str,
    script_class: type[FineTuningArguments] = FineTuningArguments,
    command_line: Sequence[str] | None = None,
    **defaults: Any,
) -> tuple[Any, DatasetArguments, TrainingArguments, FineTuningRecipe]:
    """Read the flags of a script, with the recipe's values as defaults of `TrainingArguments`.

    Args:
        task (`str`):
            Key of `FINE_TUNING_RECIPES`.
        script_class (`type`, *optional*):
            Flags of the script, [`FineTuningArguments`] with fields added.
        command_line (`Sequence[str]`, *optional*):
            That of the process by default.
        defaults (`Any`):
            Further defaults of `TrainingArguments`.

    Returns:
        `tuple`: Flags of the script, of the dataset and of the training, and the recipe.
    """
    own_flags: list[Any] = [script_class, DatasetArguments]
    first_parser = HfArgumentParser(own_flags, add_help=False)
    script, splits, _ = first_parser.parse_args_into_dataclasses(args=command_line, return_remaining_strings=True)
    all_flags: list[Any] = [*own_flags, TrainingArguments]
    parser = HfArgumentParser(all_flags)
    try:
        script.adjust(splits)
        recipe = choose_recipe(task, script.recipe, str(splits.dataset)).with_augmentation(script.augmentation)
    except ValueError as error:
        parser.error(str(error))
    values = {name: setting.value for name, setting in recipe.training.items()}
    if script.train_on_validation:
        values |= {"eval_strategy": "no", "metric_for_best_model": None}
    values |= {"remove_unused_columns": False, "logging_nan_inf_filter": False, "label_names": ["labels"]}
    values["report_to"] = default_tracker()
    values["output_dir"] = f"outputs/{task}-{script.recipe}-{splits.dataset_name.replace(' ', '-')}"
    parser.set_defaults(**{**values, **defaults})
    script, splits, training = parser.parse_args_into_dataclasses(args=command_line)
    script.adjust(splits)
    return script, splits, training, recipe
