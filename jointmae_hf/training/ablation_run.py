"""One row of an ablation: pre-train, save, probe by a linear SVM; finished rows are read, interrupted ones resumed."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments, set_seed

from jointmae_hf.evaluation import (
    CheckpointProvenance,
    Result,
    collect_run_facts,
    probe_encoder,
    read_results,
    write_results,
)
from jointmae_hf.model import JointMAEConfig

from .ablations import Ablation, fit_recipe
from .pretraining_run import build_trainer, probe_clouds, save_pretrained
from .pretraining_trainer import JointMAETrainer
from .recipes import PreTrainingRecipe
from .resilience.checkpoints import list_checkpoints


if TYPE_CHECKING:
    from datasets import DatasetDict


@dataclass(frozen=True)
class AblationStudy:
    """All that the rows of an ablation have in common: data, recipe, budget, probe.

    Args:
        recipe ([`PreTrainingRecipe`]):
            How every row is pre-trained.
        training (`transformers.TrainingArguments`):
            Of every row; `output_dir` holds one folder for each row and seed.
        dataset (`datasets.DatasetDict`):
            Splits `train` and `validation` to pre-train on.
        dataset_name (`str`):
            Its name.
        probe_dataset (`datasets.DatasetDict`):
            Labelled splits that the linear SVM is fitted and measured on.
        probe_name (`str`):
            Its name.
        fields (`Mapping[str, Any]`, *optional*):
            Fields of [`JointMAEConfig`] in place of the recipe's, in every row.
        preset (`str`, *optional*):
            Size of the model in place of the recipe's.
        num_probe_train (`int`, *optional*, defaults to 2000):
            Most clouds that the SVM is fitted on.
        num_probe_test (`int`, *optional*, defaults to 800):
            Most clouds that it is measured on.
    """

    recipe: PreTrainingRecipe
    training: TrainingArguments
    splits: DatasetDict
    dataset_name: str
    probe_dataset: DatasetDict
    probe_name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    num_probe_train: int = 2000
    num_probe_test: int = 800

    def config(self, ablation: Ablation) -> JointMAEConfig:
        """Configuration of a row.

        Args:
            ablation ([`Ablation`]):
                The row.

        Returns:
            `JointMAEConfig`: That of the recipe, with the study's and then the row's fields in place of its own.
        """
        settings = {name: setting.value for name, setting in self.recipe.model.items()}
        return self.recipe.build_config(self.preset, **fit_recipe(ablation, {**settings, **self.fields}, self.fields))

    def folder(self, ablation: Ablation, seed: int) -> Path:
        """Folder of a row and seed; rows of the same settings share it, whichever table they stand in.

        Args:
            ablation ([`Ablation`]):
                The row.
            seed (`int`):
                Of weights, data and masks.

        Returns:
            `pathlib.Path`: Its name ends in a digest of configuration, training and data, so that no result of other
            settings is taken for this one.
        """
        config = self.config(ablation)
        settings = {
            "config": config.to_diff_dict(),
            "training": self.recipe.describe(self.training, config)
            | {"max_steps": self.training.max_steps, "seed": 0},
            "data": [self.dataset_name, len(self.splits["train"]), self.probe_name, len(self.probe_dataset["train"])],
            "probe": [self.num_probe_train, self.num_probe_test],
            "is_pretrained": ablation.is_pretrained,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
        changed = "_".join(f"{name}_{value}" for name, value in ablation.overrides.items()) or "full"
        name = re.sub(r"[^a-z0-9_.]", "", (changed if ablation.is_pretrained else "untrained").lower())
        return Path(str(self.training.output_dir)) / "rows" / f"{name}_seed_{seed}_{digest}"

    def measure(self, ablation: Ablation, seed: int) -> Result:
        """Pre-train and probe a row, or read what an earlier run measured.

        A run that was killed goes on from its last whole checkpoint.

        Args:
            ablation ([`Ablation`]):
                The row.
            seed (`int`):
                Of weights, data and masks.

        Returns:
            [`Result`]: `linear_svm` in percent, with the row's label as `protocol`.
        """
        folder = self.folder(ablation, seed)
        if not (folder / "results.json").is_file():  # written last
            self._run(ablation, seed, folder)
        results, _ = read_results(folder / "results.json")
        probe = next(result for result in results if result.name == "linear_svm")
        return Result(**{**vars(probe), "protocol": ablation.label})

    def _run(self, ablation: Ablation, seed: int, folder: Path) -> None:
        """Train, save and probe; the main process writes, the others wait for it."""
        start = time.time()
        training = copy.copy(self.training)
        training.output_dir, training.seed = str(folder), seed
        set_seed(seed)
        trainer = build_trainer(self.config(ablation), self.recipe, training, self.splits)
        losses = {}
        if ablation.is_pretrained:
            trainer.train(resume_from_checkpoint=bool(list_checkpoints(folder)))
            losses = {
                name.removeprefix("eval_"): value for name, value in trainer.evaluate().items() if "loss" in name
            }
        if training.should_save:
            save_pretrained(trainer, folder)
            results = [self._probe(trainer, ablation, seed), *self._loss_results(losses, seed)]
            write_results(folder / "results.json", results, self._facts(trainer, ablation, time.time() - start))
        trainer.accelerator.wait_for_everyone()

    def _probe(self, trainer: JointMAETrainer, ablation: Ablation, seed: int) -> Result:
        """Linear SVM on frozen features, C by cross-validation on the train split."""
        model, sizes = trainer.unwrapped_model, (self.num_probe_train, self.num_probe_test)
        train, test, split = probe_clouds(self.probe_dataset, self.recipe, model.config.num_points, *sizes, seed)
        measured = probe_encoder(model.jointmae, train, test, device=trainer.args.device)
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
        """Losses on the validation split: what a row had to learn differs, so they are no measure between rows."""
        num_train, num_test = len(self.splits["train"]), len(self.splits["validation"])
        facts = ("squared units", "validation", "last epoch", seed, num_train, num_test, self.dataset_name)
        return [Result(name, value, *facts) for name, value in losses.items()]

    def _facts(self, trainer: JointMAETrainer, ablation: Ablation, seconds: float) -> dict[str, Any]:
        """What one needs to train the row again."""
        settings = self.recipe.describe(trainer.args, trainer.unwrapped_model.config)
        data = (
            [{"name": self.dataset_name, "num_samples": len(self.splits["train"])}] if ablation.is_pretrained else []
        )
        steps = {"steps": trainer.state.global_step, "ablation": dict(ablation.overrides)}
        return collect_run_facts(seconds) | {"recipe": {**settings, **steps}, "training_data": data}
