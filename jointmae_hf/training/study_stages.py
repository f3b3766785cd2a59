"""The stages of a study as data: the claim, the ablations around it, and fine-tuning of the weights that it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .ablations import ABLATIONS, Ablation


@dataclass(frozen=True)
class PreTrainingStage:
    """One pre-training and its linear SVM.

    Args:
        name (`str`):
            Of its folder and in `results.json`.
        row ([`Ablation`]):
            What differs from the recipe.
        minutes (`float`):
            Budget in minutes of the reference: as many steps as recipe `best` makes in this time. All stages of one
            budget see the same clouds, masks and views, whatever a step of theirs takes.
        seed (`int`, *optional*, defaults to 0):
            Of weights, data and masks.
        recipe (`str`, *optional*, defaults to `"best"`):
            Key of `RECIPES`.
        keeps_weights (`bool`, *optional*, defaults to `False`):
            Whether its weights are written to the output folder.
        balances (`str`, *optional*):
            Name of a stage: 2D and the cross loss are weighted so that, by the gradient norms that it measured, 3D holds
            at least half of the gradient at the encoder's output.
    """

    name: str
    row: Ablation
    minutes: float
    seed: int = 0
    recipe: str = "best"
    keeps_weights: bool = False
    balances: str | None = None

    @property
    def protocol(self) -> str:
        """`str`: What its results are called; those of one budget can be compared."""
        return f"{self.row.label}, {self.minutes:g} minutes"


@dataclass(frozen=True)
class FineTuningStage:
    """Fine-tuning of the weights that a stage kept.

    Args:
        name (`str`):
            In `results.json`.
        task (`str`):
            Key of `FINE_TUNING_RECIPES`; its recipe `"paper"` is taken.
        source (`str`):
            Name of the stage that kept the weights.
        training (`Mapping[str, Any]`, *optional*):
            Fields of `transformers.TrainingArguments` in place of the recipe's.
        seed (`int`, *optional*, defaults to 0):
            Of head, data and folds.
    """

    name: str
    task: str
    source: str
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


Stage = PreTrainingStage | FineTuningStage

JOINT_MAE = Ablation("Joint-MAE")
THREE_D_ONLY = Ablation("3D only", {"use_2d_branch": False})
LONG = "joint_mae_10_minutes"
"""The stage whose weights are kept and fine-tuned."""


def _pair(minutes: float, seed: int) -> tuple[PreTrainingStage, PreTrainingStage]:
    """3D alone and both modalities at one budget and seed."""
    ending = f"{minutes:g}_minutes_seed_{seed}"
    return (
        PreTrainingStage(f"3d_only_{ending}", THREE_D_ONLY, minutes, seed),
        PreTrainingStage(f"joint_mae_{ending}", JOINT_MAE, minutes, seed),
    )


def _row(name: str, label: str, **overrides: Any) -> PreTrainingStage:
    """A row of two minutes."""
    return PreTrainingStage(name, Ablation(label, overrides), 2.0)


def _paper_row(name: str, table: str, label: str) -> PreTrainingStage:
    """A row of the paper's tables, in two minutes."""
    return PreTrainingStage(name, next(row for row in ABLATIONS[table] if row.label == label), 2.0)


STUDIES: dict[str, tuple[Stage, ...]] = {
    "claim": (
        PreTrainingStage(LONG, JOINT_MAE, 10.0, keeps_weights=True),
        *_pair(5.0, 0),
        *_pair(2.0, 1),
        *_pair(2.0, 2),
    ),
    "ablations": (
        *_pair(2.0, 0),
        PreTrainingStage("recipe_paper", Ablation("recipe paper"), 2.0, recipe="paper"),
        _row("neighborhood_all", "neighborhood all", neighborhood="all"),
        _row("neighborhood_all_8_4", "neighborhood all of (8, 4)", neighborhood="all", group_size=[8, 4]),
        _row("neighborhood_visible_8_4", "neighborhood visible of (8, 4)", group_size=[8, 4]),
        _paper_row("global_attention", "6", "2D-3D global, 3D-2D global"),
        _paper_row("no_cross_loss", "8", "no cross-reconstruction"),
        _paper_row("one_view", "8", "1 view"),
        _paper_row("flat_3d", "7", "flat 3D embedding"),
        _paper_row("flat_2d", "7", "flat 2D embedding"),
        PreTrainingStage("balanced_losses", Ablation("3D holds half of the gradient"), 2.0, balances=LONG),
        _row("aligned_masks", "masks aligned", mask_alignment="aligned"),
        _row("group_correlation", "correlation by group", correlation="group"),
    ),
    "fine_tuning": (
        FineTuningStage(
            "classification", "classification", LONG, {"num_train_epochs": 60, "per_device_train_batch_size": 128}
        ),
        FineTuningStage("few_shot", "few_shot", LONG),
        FineTuningStage("segmentation", "segmentation", LONG),
    ),
}
"""Stages of each study, in the order in which they run; names differ between studies.

(16, 8) is the neighbourhood of the recipe; `neighborhood all` has it, and so has the reference with `visible`.
"""
