# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Remote code: which Auto class loads which of our classes for users without this package."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


FEATURE_EXTRACTOR_AUTO_MAP = {
    "AutoFeatureExtractor": "feature_extraction_jointmae.JointMAEFeatureExtractor",
    "AutoProcessor": "feature_extraction_jointmae.JointMAEFeatureExtractor",
}
"""`auto_map` of `preprocessor_config.json`."""

# transformers has no Auto class for classification or segmentation of point clouds and rejects unknown names, so
# without the package `AutoModel` loads the model with its head. With the package installed it loads the encoder.
AUTO_MAPS: dict[str, dict[str, str]] = {
    "JointMAEModel": {"AutoModel": "modeling_jointmae.JointMAEModel"},
    "JointMAEForPreTraining": {
        "AutoModel": "modeling_jointmae.JointMAEModel",
        "AutoModelForPreTraining": "modeling_jointmae.JointMAEForPreTraining",
    },
    "JointMAEForPointCloudClassification": {"AutoModel": "modeling_jointmae.JointMAEForPointCloudClassification"},
    "JointMAEForPointCloudSegmentation": {"AutoModel": "modeling_jointmae.JointMAEForPointCloudSegmentation"},
}
"""`auto_map` of a checkpoint for each model class, without `AutoConfig`."""

OWN_CODE = ("configuration_jointmae.", "modeling_jointmae.", "feature_extraction_jointmae.")
"""How references to our classes begin in an `auto_map`."""

PIPELINES: dict[str, tuple[str, str]] = {
    "JointMAEModel": ("point-cloud-feature-extraction", "JointMAEPointCloudFeatureExtractionPipeline"),
    "JointMAEForPreTraining": ("point-cloud-feature-extraction", "JointMAEPointCloudFeatureExtractionPipeline"),
    "JointMAEForPointCloudClassification": (
        "point-cloud-classification",
        "JointMAEPointCloudClassificationPipeline",
    ),
    "JointMAEForPointCloudSegmentation": ("point-cloud-segmentation", "JointMAEPointCloudSegmentationPipeline"),
}
"""Task and pipeline of a checkpoint for each model class."""


def build_auto_map(architecture: str) -> dict[str, str]:
    """Build the `auto_map` of `config.json`.

    Args:
        architecture (`str`):
            Name of the model class that was saved.

    Returns:
        `dict[str, str]`: Auto class to `"file.Class"`.

    Raises:
        ValueError: If the class is not one of this package.
    """
    if architecture not in AUTO_MAPS:
        raise ValueError(f"`architecture` must be one of {', '.join(AUTO_MAPS)}, got {architecture!r}.")
    return {"AutoConfig": "configuration_jointmae.JointMAEConfig", **AUTO_MAPS[architecture]}


def build_custom_pipelines(architecture: str) -> dict[str, dict[str, Any]]:
    """Build the `custom_pipelines` of `config.json`.

    Args:
        architecture (`str`):
            Name of the model class that was saved, a key of `PIPELINES`.

    Returns:
        `dict[str, dict[str, Any]]`: For each task, what transformers needs to build its pipeline.
    """
    task, pipeline_class = PIPELINES[architecture]
    return {task: {"impl": f"pipeline_jointmae.{pipeline_class}", "pt": ["AutoModel"]}}


def without_own_code(owner: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Drop the `auto_map` of this package from settings that were loaded.

    Only `push_to_hub` saves the code, so the next `save_pretrained` would name files that it does not save.

    Args:
        owner (`Any`):
            Configuration or feature extractor that is built; if its class is remote code itself, nothing is dropped.
        kwargs (`dict[str, Any]`):
            Settings.

    Returns:
        `dict[str, Any]`: The other settings, with entries of `auto_map` that name code of others.
    """
    if not isinstance(kwargs.get("auto_map"), dict) or type(owner).__module__.startswith("transformers_modules."):
        return kwargs
    others = {
        auto_class: reference
        for auto_class, reference in kwargs["auto_map"].items()
        if not str(reference).rpartition("--")[-1].startswith(OWN_CODE)
    }
    rest = {name: value for name, value in kwargs.items() if name != "auto_map"}
    return {**rest, "auto_map": others} if others else rest


@contextlib.contextmanager
def saving_code(auto_classes: dict[type, str], owner: Any, auto_map: dict[str, str]) -> Iterator[None]:
    """Make `save_pretrained` of some classes save their code too, as long as the context lasts.

    `register_for_auto_class` of transformers is permanent: every checkpoint of a training run would contain the code.

    Args:
        auto_classes (`dict[type, str]`):
            Name of the Auto class of each class.
        owner (`Any`):
            Configuration or feature extractor that is saved.
        auto_map (`dict[str, str]`):
            Its `auto_map` meanwhile.
    """
    previous = {cls: cls._auto_class for cls in auto_classes}  # type: ignore[attr-defined]
    previous_map = getattr(owner, "auto_map", None)
    try:
        for cls, auto_class in auto_classes.items():
            cls._auto_class = auto_class  # type: ignore[attr-defined]
        owner.auto_map = auto_map
        yield
    finally:
        for cls, auto_class in previous.items():
            cls._auto_class = auto_class  # type: ignore[attr-defined]
        del owner.auto_map
        if previous_map is not None:
            owner.auto_map = previous_map


def add_to_json(path: Path, entries: dict[str, Any]) -> None:
    """Add entries to a JSON file, in the format of transformers."""
    content = json.loads(path.read_text(encoding="utf-8")) | entries
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
