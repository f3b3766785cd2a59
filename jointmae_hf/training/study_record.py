"""`results.json` of a study: what each finished stage measured. A study goes on behind the last one that stands in it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jointmae_hf.evaluation import Result, collect_run_facts, read_results, write_results

from .ablation_tables import paired_gains
from .study_stages import JOINT_MAE


class StudyRecord:
    """Finished stages of a study, in a file that is written after each of them.

    Args:
        path (`str` or `os.PathLike`):
            The file; its folder is made when it is written.
        settings (`Mapping[str, Any]`):
            What all results depend on, as JSON can hold it.

    `stages` maps the name of each finished stage to its facts.

    Raises:
        ValueError: If the file holds a study with other settings.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self.path, self.settings = Path(path), json.loads(json.dumps(dict(settings)))
        self.stages: dict[str, dict[str, Any]] = {}
        self._results: dict[str, list[Result]] = {}
        if self.path.is_file():
            self._read()

    def __contains__(self, name: str) -> bool:
        return name in self.stages

    def add(self, name: str, results: Sequence[Result], facts: Mapping[str, Any]) -> None:
        """Keep the results of a stage and write the file, whole or not at all.

        Args:
            name (`str`):
                Of the stage.
            results (`Sequence[Result]`):
                What it measured.
            facts (`Mapping[str, Any]`):
                Anything else, as JSON can hold it.
        """
        self._results[name] = list(results)
        self.stages[name] = {**facts, "num_results": len(results)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"study": self.settings, "stages": self.stages}
        write_results(self.path, [*self.results(), *self.gains()], {**collect_run_facts(), **content})

    def to_results(self, name: str) -> list[Result]:
        """Return the results of a finished stage."""
        return self._results[name]

    def results(self) -> list[Result]:
        """Return the results of all stages, in their order."""
        return [result for results in self._results.values() for result in results]

    def gains(self) -> list[Result]:
        """Return what Joint-MAE gains on each other row of its budget, by split, paired by seed."""
        rows = [result for result in self.results() if result.name == "linear_svm"]
        gains = []
        for budget in dict.fromkeys(_budget(result) for result in rows):
            for split in dict.fromkeys(result.split for result in rows):
                members = [result for result in rows if _budget(result) == budget and result.split == split]
                reference = f"{JOINT_MAE.label}, {budget}"
                members.sort(key=lambda result: result.protocol == reference)
                if members and members[-1].protocol == reference:
                    gains += paired_gains(members)
        return gains

    def _read(self) -> None:
        """Take over what an earlier call measured."""
        results, run = read_results(self.path)
        differing = sorted(
            name for name in {*run["study"], *self.settings} if run["study"].get(name) != self.settings.get(name)
        )
        if differing:
            raise ValueError(
                f"`output_dir` must hold this study or none, got another one: they differ in {', '.join(differing)}. "
                "Choose another folder."
            )
        self.stages, start = run["stages"], 0
        for name, facts in self.stages.items():
            self._results[name] = results[start : start + facts["num_results"]]
            start += facts["num_results"]


def _budget(result: Result) -> str:
    """Budget out of the protocol of a stage, such as `"2 minutes"`."""
    return str(result.protocol).rpartition(", ")[2]
