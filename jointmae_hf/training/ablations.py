"""Ablations: rows that change the configuration, the study that pre-trains and probes each of them, and its tables."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf.data import PointCloudTensors
from jointmae_hf.evaluation import (
    CheckpointProvenance,
    Result,
    collect_run_facts,
    num_cores,
    paper_number,
    probe_encoder,
    read_results,
    write_results,
)
from jointmae_hf.model import JointMAEConfig

from .pretraining import JointMAETrainer, build_trainer, probe_clouds
from .recipes import PreTrainingRecipe, setting_values
from .resilience import list_checkpoints


if TYPE_CHECKING:
    from datasets import DatasetDict


PAPER_DATA = "modelnet40"
PAPER_COLUMN = "linear SVM, ModelNet40"


@dataclass(frozen=True)
class Ablation:
    """One row of an ablation.

    Args:
        label (`str`):
            Name of the row; that of `PAPER_NUMBERS` if the paper has the row.
        overrides (`Mapping[str, Any]`, *optional*):
            Fields of [`JointMAEConfig`] that differ from the recipe's.
        is_pretrained (`bool`, *optional*, defaults to `True`):
            `False` for the random weights that pre-training starts from.
    """

    label: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    is_pretrained: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", MappingProxyType(dict(self.overrides)))


def _mask_ratio(ratio: float) -> Ablation:
    """Return the row of a mask ratio of both modalities."""
    return Ablation(f"mask ratio {ratio}", {"mask_ratio": ratio, "mask_ratio_2d": ratio})


ABLATIONS: dict[str, tuple[Ablation, ...]] = {
    "2d": (
        Ablation("untrained", is_pretrained=False),
        Ablation("3D only", {"use_2d_branch": False}),
        Ablation("Joint-MAE"),
    ),
    "6": (
        Ablation("2D-3D global, 3D-2D global", {"local_2d_to_3d": False, "local_3d_to_2d": False}),
        Ablation("2D-3D local, 3D-2D global", {"local_3d_to_2d": False}),
        Ablation("2D-3D global, 3D-2D local", {"local_2d_to_3d": False}),
        Ablation("2D-3D local, 3D-2D local"),
    ),
    "7": (
        Ablation("flat 3D embedding", {"embedding_3d": "flat"}),
        Ablation("flat 2D embedding", {"embedding_2d": "flat"}),
        Ablation("no modal-shared decoder", {"decoder_num_hidden_layers": 0}),
        Ablation("full"),
    ),
    "8": (
        Ablation("no cross-reconstruction", {"loss_3d_2d_weight": 0.0}),
        Ablation("1 view", {"num_views": 1}),
        Ablation("4 views, rendered", {"projection_mode": "rendered"}),
        Ablation("4 views"),
    ),
    "supplement": (
        _mask_ratio(0.5),
        _mask_ratio(0.6),
        _mask_ratio(0.9),
        Ablation("shared decoder of 1 block", {"decoder_num_hidden_layers": 1}),
        Ablation("shared decoder of 2 blocks", {"decoder_num_hidden_layers": 2}),
        Ablation("shared decoder of 4 blocks", {"decoder_num_hidden_layers": 4}),
        Ablation("learned 2D positions", {"position_embedding_2d": "learned"}),
        Ablation("no 2D positions", {"position_embedding_2d": "none"}),
        Ablation("full"),
    ),
    "choices": (
        Ablation("neighborhood all", {"neighborhood": "all"}),
        Ablation("neighborhood all of (8, 4)", {"neighborhood": "all", "group_size": [8, 4]}),
        Ablation("neighborhood visible of (8, 4)", {"neighborhood": "visible", "group_size": [8, 4]}),
        Ablation("aligned masks", {"mask_alignment": "aligned"}),
        Ablation("correlation by group", {"correlation": "group"}),
        Ablation("Joint-MAE"),
    ),
}
"""Rows of each table; the last one is the reference that the others are compared with.

`2d` asks whether 2D helps 3D, `choices` what the choices that the paper leaves open change. The paper's supplement was not
available to us: only the subjects of its rows are known (mask ratio, blocks, 2D positions), the values are ours.
"""


def fit_recipe(ablation: Ablation, recipe_fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `overrides` with the fields of a row, which replace those of a recipe.

    The flat 3D embedding has one scale: it keeps the number of tokens of the recipe, its coarse groups, each with 32 points
    as in Point-MAE.
    """
    fitted = {**overrides, **ablation.overrides}
    if ablation.overrides.get("embedding_3d") == "flat":
        fitted |= {"group_size": None, "embedding_sizes_3d": None, "position_hidden_size": None}
        fitted["num_groups"] = recipe_fields["num_groups"][-1:] if "num_groups" in recipe_fields else None
    return fitted


@dataclass(frozen=True)
class AblationStudy:
    """What all rows of an ablation share: data, recipe, budget and linear probe.

    Args:
        recipe ([`PreTrainingRecipe`]):
            Recipe of every row.
        training (`transformers.TrainingArguments`):
            Arguments of every row; `output_dir` holds one folder for each row and seed.
        splits (`datasets.DatasetDict` or `Mapping[str, PointCloudTensors]`):
            Splits `train` and `validation` to pre-train on.
        dataset_name (`str`):
            Name of this dataset.
        probe_splits (`datasets.DatasetDict` or `Mapping[str, PointCloudTensors]`):
            Labeled splits that the linear SVM is fitted and measured on.
        probe_name (`str`):
            Name of this dataset.
        fields (`Mapping[str, Any]`, *optional*):
            Fields of [`JointMAEConfig`] that replace those of the recipe in every row.
        preset (`str`, *optional*):
            Model size that replaces that of the recipe.
        num_probe_train (`int`, *optional*, defaults to 2000):
            Maximum number of clouds that the SVM is fitted on.
        num_probe_test (`int`, *optional*, defaults to 800):
            Maximum number of clouds that it is measured on.
    """

    recipe: PreTrainingRecipe
    training: TrainingArguments
    splits: DatasetDict | Mapping[str, PointCloudTensors]
    dataset_name: str
    probe_splits: DatasetDict | Mapping[str, PointCloudTensors]
    probe_name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    num_probe_train: int = 2000
    num_probe_test: int = 800

    def config(self, ablation: Ablation) -> JointMAEConfig:
        """Build the configuration of a row: that of the recipe with the fields of the study, then of the row.

        Table 8 counts from the paper's views, which the quick recipe lowers.
        """
        fields = {"num_views": JointMAEConfig().num_views, **self.fields}
        settings = {**setting_values(self.recipe.model), **fields}
        return self.recipe.build_config(self.preset, **fit_recipe(ablation, settings, fields))

    def folder(self, ablation: Ablation, seed: int) -> Path:
        """Return the folder of a row and seed; rows with the same settings share it across tables.

        Its name ends in a digest of configuration, training and data, so that results of other settings are never reused.
        """
        config = self.config(ablation)
        settings = {
            "config": config.to_diff_dict(),
            "training": self.recipe.describe(self.training, config)
            | {"max_steps": self.training.max_steps, "seed": 0},
            "data": [self.dataset_name, len(self.splits["train"]), self.probe_name, len(self.probe_splits["train"])],
            "probe": [self.num_probe_train, self.num_probe_test],
            "is_pretrained": ablation.is_pretrained,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
        changed = "_".join(f"{name}_{value}" for name, value in ablation.overrides.items()) or "full"
        name = re.sub(r"[^a-z0-9_.]", "", (changed if ablation.is_pretrained else "untrained").lower())
        return Path(str(self.training.output_dir)) / "rows" / f"{name}_seed_{seed}_{digest}"

    def measure(self, ablation: Ablation, seed: int) -> Result:
        """Pre-train and probe a row, or read its results if it is finished.

        An interrupted run resumes from its last valid checkpoint.

        Args:
            ablation ([`Ablation`]):
                The row.
            seed (`int`):
                Seed of weights, data and masks.

        Returns:
            [`Result`]: `linear_svm` in percent, with the label of the row as `protocol`.
        """
        folder = self.folder(ablation, seed)
        if not (folder / "results.json").is_file():  # written last
            self._run(ablation, seed, folder)
        results, _ = read_results(folder / "results.json")
        probe = next(result for result in results if result.name == "linear_svm")
        return Result(**{**vars(probe), "protocol": ablation.label})

    def _run(self, ablation: Ablation, seed: int, folder: Path) -> None:
        """Train, save and probe a row; the main process writes, the others wait for it."""
        start = time.time()
        training = copy.copy(self.training)
        training.output_dir, training.seed = str(folder), seed
        torch.compiler.reset()  # after a few models of other shapes torch would fall back to eager steps
        set_seed(seed)
        trainer = build_trainer(self.config(ablation), self.recipe, training, self.splits)
        losses = {}
        if ablation.is_pretrained:
            trainer.train(resume_from_checkpoint=bool(list_checkpoints(folder)))
            losses = {
                name.removeprefix("eval_"): value for name, value in trainer.evaluate().items() if "loss" in name
            }
        if training.should_save:
            trainer.save_pretrained(folder)
            results = [self._probe(trainer, ablation, seed), *self._loss_results(losses, seed)]
            write_results(folder / "results.json", results, self._facts(trainer, ablation, time.time() - start))
        trainer.accelerator.wait_for_everyone()

    def _probe(self, trainer: JointMAETrainer, ablation: Ablation, seed: int) -> Result:
        """Measure a linear SVM on frozen features, with C chosen by cross-validation on the train split."""
        model, sizes = trainer.unwrapped_model, (self.num_probe_train, self.num_probe_test)
        train, test, split = probe_clouds(self.probe_splits, model.config.num_points, *sizes, seed)
        measured = probe_encoder(model.jointmae, train, test, device=trainer.args.device, num_jobs=num_cores())
        method = "Joint-MAE" if model.config.use_2d_branch else "3D only"
        training = f"last epoch, {trainer.state.global_step} steps" if ablation.is_pretrained else "no training"
        seen = CheckpointProvenance(method if ablation.is_pretrained else "from scratch", (self.dataset_name,))
        return Result(
            name="linear_svm",
            value=100 * measured.accuracy,
            unit="%",
            split=split,
            selection_rule=f"{training}; {measured.selection}",
            seed=seed,
            num_train=len(train["points"]),
            num_test=len(test["points"]),
            dataset=self.probe_name,
            pre_training=seen.describe(self.probe_name),
        )

    def _loss_results(self, losses: Mapping[str, float], seed: int) -> list[Result]:
        """Return the losses on the validation split; rows have different tasks, so their losses cannot be compared."""
        num_train, num_test = len(self.splits["train"]), len(self.splits["validation"])
        facts = ("squared units", "validation", "last epoch", seed, num_train, num_test, self.dataset_name)
        return [Result(name, value, *facts) for name, value in losses.items()]

    def _facts(self, trainer: JointMAETrainer, ablation: Ablation, seconds: float) -> dict[str, Any]:
        """Return what is needed to train the row again."""
        settings = self.recipe.describe(trainer.args, trainer.unwrapped_model.config)
        data = (
            [{"name": self.dataset_name, "num_samples": len(self.splits["train"])}] if ablation.is_pretrained else []
        )
        steps = {"steps": trainer.state.global_step, "ablation": dict(ablation.overrides)}
        return collect_run_facts(seconds) | {"recipe": {**settings, **steps}, "training_data": data}


def paired_gains(results: Sequence[Result]) -> list[Result]:
    """Compute the gain of the last result's row over each other row, in percent points, paired by seed.

    `results` holds one result for each row and seed, with the label of the row as `protocol`. Rows with the same seed share
    data, order, masks and views, so their difference varies less than their values. Seeds that only one of the two rows has
    are left out.
    """
    reference = {result.seed: result for result in results if result.protocol == results[-1].protocol}
    gains = []
    for label in dict.fromkeys(result.protocol for result in results if result.protocol != results[-1].protocol):
        pairs = [
            (reference[result.seed], result)
            for result in results
            if result.protocol == label and result.seed in reference
        ]
        if not pairs:
            continue
        gain = replace(
            pairs[0][0],
            name=f"{results[-1].name}_gain",
            unit="points",
            protocol=f"{results[-1].protocol} minus {label}, paired by seed",
        )
        gains.append(_over_seeds(gain, [ours.value - other.value for ours, other in pairs]))
    return gains


def _over_seeds(result: Result, values: Sequence[float]) -> Result:
    """Return the result with mean and standard deviation over the values of its seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return replace(result, value=statistics.fmean(values), std=spread, num_runs=len(values))


def _mean_rows(results: Sequence[Result]) -> list[Result]:
    """Return one result for each row, in their order."""
    rows: dict[str | None, list[Result]] = {}
    for result in results:
        rows.setdefault(result.protocol, []).append(result)
    return [_over_seeds(members[0], [member.value for member in members]) for members in rows.values()]


def render_ablation(results: Sequence[Result], table: str) -> str:
    """Render results as for [`paired_gains`], in the order of the rows, as a Markdown table with its facts below.

    The paper's values get a column of their own where ours were measured on ModelNet40 with weights that have not seen it;
    otherwise a separate table, because the levels cannot be compared.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    if table not in ABLATIONS:
        raise ValueError(f"`table` must be one of {', '.join(ABLATIONS)}, got {table!r}.")
    rows, gains = _mean_rows(results), {gain.protocol: gain for gain in paired_gains(results)}
    last = rows[-1].protocol
    lines = [f"| row | linear SVM | gain of “{last}” |", "|---|---|---|"]
    for row in rows:
        gain = gains.get(f"{last} minus {row.protocol}, paired by seed")
        lines.append(f"| {row.protocol} | {_value(row)} % | {'' if gain is None else _signed(gain)} |")
    if _is_comparable(rows):
        figures = [_paper_value(table, str(row.protocol)) for row in rows]
        cells = ["paper", "---", *("" if figure is None else f"{figure:.1f} %" for figure in figures)]
        lines = [f"{line} {cell} |" for line, cell in zip(lines, cells, strict=True)]
        lines[1] = lines[1].replace(" --- |", "---|")
        return "\n".join([*lines, "", *_facts(results)]) + "\n"
    return "\n".join([*lines, "", *_facts(results), *_paper_lines(table)]) + "\n"


def _value(result: Result) -> str:
    """Return the mean, with its spread if there is one."""
    return f"{result.value:.1f}" + ("" if result.std is None else f" ± {result.std:.1f}")


def _signed(gain: Result) -> str:
    """Return the mean difference with sign and spread."""
    return f"{gain.value:+.1f}" + ("" if gain.std is None else f" ± {gain.std:.1f}")


def _is_comparable(rows: Sequence[Result]) -> bool:
    """Return whether the paper's values may stand in the same rows."""
    return all(
        row.dataset == PAPER_DATA and row.split == "test" and "in-domain" not in str(row.pre_training) for row in rows
    )


def _paper_value(table: str, label: str) -> float | None:
    """Return the paper's value of a row, if it has one."""
    figure = paper_number(int(table), label, PAPER_COLUMN) if table.isdigit() else None
    return None if figure is None else figure.value


def _facts(results: Sequence[Result]) -> list[str]:
    """Return lines that say what the values are."""
    last = results[-1]
    seeds = list(dict.fromkeys(result.seed for result in results))
    spread = "mean ± standard deviation over seeds" if len(seeds) > 1 else "of seed"
    return [
        f"Linear SVM on {last.dataset}, {last.split} split, {last.num_train:,} / {last.num_test:,} clouds;",
        f"{last.selection_rule}.",
        f"Weights: {last.pre_training}. Figures are {spread} {', '.join(map(str, seeds))}; gains in percent",
        "points, paired by seed. Positive: the last row is better.",
    ]


def _paper_lines(table: str) -> list[str]:
    """Return the lines of a separate table with the paper's values."""
    values = {row.label: _paper_value(table, row.label) for row in ABLATIONS[table]}
    figures = {label: value for label, value in values.items() if value is not None}
    if not figures:
        return []
    best = figures[ABLATIONS[table][-1].label]
    lines = ["", f"Table {table} of the paper (pre-trained on ShapeNet, ModelNet40): other data, other levels.", ""]
    lines += ["| row | paper | gain of the last row |", "|---|---|---|"]
    gains = {label: "" if value == best else f"{best - value:+.1f}" for label, value in figures.items()}
    return lines + [f"| {label} | {value:.1f} % | {gains[label]} |" for label, value in figures.items()]
