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
"""Pipelines of Joint-MAE, from clouds or files to classes, parts or features."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Pipeline
from transformers.dynamic_module_utils import get_relative_import_files

from .cloud_files import read_cloud_file
from .point_ops import k_nearest_neighbors
from .pooling import POOLINGS, pool_outputs, select_3d_tokens
from .remote_code import FEATURE_EXTRACTOR_AUTO_MAP, add_to_json, build_auto_map


@dataclass(frozen=True)
class NumberedCloud:
    """One cloud as given by the user, with its index in the input for error messages."""

    index: int
    source: Any


@dataclass(frozen=True)
class PreparedCloud:
    """A cloud that is prepared for the model.

    Args:
        index (`int`):
            Index in the input.
        points (`np.ndarray` of shape `(num_points, 3)`):
            Input of the model.
        source (`np.ndarray` of shape `(num_source_points, 3)`):
            All points given by the user, in their own units and axes.
        source_in_model_frame (`np.ndarray` of shape `(num_source_points, 3)`):
            The same points in the frame of `points`.
        category (`int`, *optional*):
            Object category.
    """

    index: int
    points: np.ndarray
    source: np.ndarray
    source_in_model_frame: np.ndarray
    category: int | None


class NumberedClouds(Dataset):
    """A dataset of clouds that adds their indices.

    Args:
        clouds (`Sequence` or `torch.utils.data.Dataset`):
            Clouds.
    """

    def __init__(self, clouds: Any):
        self.clouds = clouds

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> NumberedCloud:
        return NumberedCloud(index, self.clouds[index])


class JointMAEPointCloudPipeline(Pipeline):
    """Base class of the pipelines of Joint-MAE: reading, batching and saving.

    A pipeline takes one cloud, or several as a list, a column of a `datasets.Dataset`, a `torch.utils.data.Dataset`, or a
    generator or another stream. A cloud is an array, a
    tensor or a nested list of shape `(num_points, 3)`, or the path of a file: `.npy`, `.xyz`, `.txt`, `.pts`, `.off`
    or `.ply`. Points are sampled from a mesh. An array of shape `(batch_size, num_points, 3)` is a list of clouds.

    Saving also writes the code, so that users without this package can load the folder by
    `pipeline(model=folder, trust_remote_code=True)`.

    Args:
        reader (`Callable[[str], np.ndarray]`, *optional*):
            Function that reads files instead, such as `jointmae_hf.data.read_point_cloud` for more formats. A
            parameter of the pipeline or of a call.
        kwargs (`dict`, *optional*):
            `model`, `feature_extractor`, `batch_size` and others, see [`~transformers.Pipeline`].
    """

    _load_tokenizer = False
    _load_image_processor = False
    _load_video_processor = False
    _load_processor = False
    _load_feature_extractor = True
    _head: str | None = None
    """Attribute of the model with the head that the task requires."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        name = type(self.model).__name__
        if self.feature_extractor is None:
            raise ValueError("`feature_extractor` must be given if `model` is not a name or folder, got None.")
        if self._head is not None and not hasattr(self.model, self._head):
            raise ValueError(f"`model` must have a head called `{self._head}` for {self.task}, got {name}.")
        self.model.config.validate_id2label()  # it may have been set after the configuration was built
        self.model.eval()

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Run the pipeline.

        Args:
            inputs (`Any`):
                One cloud, or a list, column, dataset or stream of clouds.
            kwargs (`dict`, *optional*):
                `batch_size`, `num_workers`, and the parameters of the pipeline.

        Returns:
            `Any`: The result of one cloud, a list of them for a list or a column, an iterator for a dataset or a stream.

        Raises:
            TypeError: If the coordinates of a cloud are not real numbers.
            ValueError: If a cloud or a file is invalid; the message gives the index of the cloud.
        """
        columns = getattr(inputs, "column_names", None)
        if columns is not None:
            raise ValueError(
                f"`inputs` must be clouds, got a table of {columns}. Pass a column, such as `['points']`."
            )
        if isinstance(inputs, Iterable) and not isinstance(inputs, Sized):
            numbered: Any = (NumberedCloud(index, source) for index, source in enumerate(inputs))
        elif isinstance(inputs, Dataset):
            numbered = NumberedClouds(inputs)
        elif is_batch(inputs):
            numbered = [NumberedCloud(index, source) for index, source in enumerate(inputs)]
            if not numbered:
                raise ValueError("`inputs` must hold at least one cloud, got none.")
        else:
            numbered = NumberedCloud(0, inputs)
        self._check_call(len(numbered) if isinstance(numbered, (list, NumberedClouds)) else None, kwargs)
        return super().__call__(numbered, **kwargs)

    def _check_call(self, num_clouds: int | None, parameters: dict[str, Any]) -> None:
        """Raise for parameters that do not match the number of clouds, if it is known."""

    def _sanitize_parameters(
        self, reader: Callable[[Any], np.ndarray] | None = None, **postprocess: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {} if reader is None else {"reader": reader}, {}, postprocess

    def preprocess(
        self, input_: NumberedCloud, reader: Callable[[Any], np.ndarray] | None = None, category: Any = None
    ) -> dict[str, PreparedCloud]:
        """Read, check and prepare one cloud."""
        index, source = input_.index, input_.source
        if isinstance(source, (str, os.PathLike)):
            source = self._read(Path(source), index, reader)
        source = as_cloud(source, index)
        try:
            in_model_frame = self.feature_extractor([source], do_resample=False, return_tensors="np")["points"][0]
            points = self.feature_extractor([source], return_tensors="np")["points"][0]
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("`points[0]`", f"`inputs[{index}]`")) from error
        return {"clouds": PreparedCloud(index, points, source, in_model_frame, category)}

    def _read(self, path: Path, index: int, reader: Callable[[Any], np.ndarray] | None) -> np.ndarray:
        """Read a file; errors give its index in the input."""
        try:
            return read_cloud_file(path, self.feature_extractor.num_points) if reader is None else reader(path)
        except ValueError as error:
            raise ValueError(f"`inputs[{index}]` must be a readable file. {error}") from error

    def _stack(self, clouds: list[PreparedCloud]) -> Tensor:
        """Stack clouds of the same size to a batch `(batch_size, num_points, 3)`."""
        sizes = [len(cloud.points) for cloud in clouds]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"`inputs` must hold clouds of one size where the feature extractor does not resample, got {sizes}. "
                "Set `batch_size=1`."
            )
        return torch.from_numpy(np.stack([cloud.points for cloud in clouds])).to(self.device)

    def _forward(self, input_tensors: dict[str, Any], **forward_parameters: Any) -> dict[str, Any]:
        clouds = input_tensors["clouds"]
        batch = clouds if isinstance(clouds, list) else [clouds]
        return {"outputs": self._run_model(batch, **forward_parameters).float(), "clouds": clouds}

    def _run_model(self, clouds: list[PreparedCloud], **forward_parameters: Any) -> Tensor:
        """Run the model, and return its outputs `(batch_size, ...)`."""
        raise NotImplementedError

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save the model, the feature extractor, and the code of both and of the pipeline.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to save to.
            kwargs (`dict`, *optional*):
                Passed to `save_pretrained` of the model.

        Raises:
            ValueError: If `save_directory` is a file or `push_to_hub` is set.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise ValueError(f"`save_directory` must be a folder, got the file {folder}.")
        if kwargs.get("push_to_hub"):
            raise ValueError("`push_to_hub` must be a call of its own, `pipeline.push_to_hub(repo_id)`, got True.")
        self.model.save_pretrained(folder, **kwargs)
        self.feature_extractor.save_pretrained(folder)
        name, _, _ = (copy_code(type(part), folder) for part in (self, self.model, self.feature_extractor))
        model_map = build_auto_map(type(self.model).__name__)
        pipelines = {self.task: {"impl": name, "pt": ["AutoModel"]}}
        add_to_json(folder / "config.json", {"auto_map": model_map, "custom_pipelines": pipelines})
        add_to_json(folder / "preprocessor_config.json", {"auto_map": FEATURE_EXTRACTOR_AUTO_MAP})


class JointMAEPointCloudClassificationPipeline(JointMAEPointCloudPipeline):
    """Classify point clouds, task `"point-cloud-classification"`.

    Args:
        top_k (`int`, *optional*, defaults to 5):
            Maximum number of classes to return. A parameter of the pipeline or of a call.
        kwargs (`dict`, *optional*):
            See [`JointMAEPointCloudPipeline`].

    Returns for each cloud a `list[dict[str, Any]]` with `label`, from `id2label`, and `score`, a probability, most
    probable first.

    Example:
        >>> import numpy as np
        >>> from transformers import pipeline
        >>> from jointmae_hf import JointMAEConfig, JointMAEFeatureExtractor, JointMAEForPointCloudClassification
        >>> config = JointMAEConfig.from_preset("jointmae-small", id2label={0: "chair", 1: "table"})
        >>> parts = {
        ...     "model": JointMAEForPointCloudClassification(config),
        ...     "feature_extractor": JointMAEFeatureExtractor(),
        ... }
        >>> classify = pipeline("point-cloud-classification", **parts)
        >>> [sorted(guess) for guess in classify(np.eye(3))]
        [['label', 'score'], ['label', 'score']]
    """

    _head = "classifier"

    def _run_model(self, clouds: list[PreparedCloud]) -> Tensor:
        return self.model(points=self._stack(clouds)).logits

    def postprocess(self, model_outputs: dict[str, Any], top_k: int = 5) -> list[dict[str, Any]]:
        """Return the most probable classes of one cloud."""
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ValueError(f"`top_k` must be an integer of at least 1, got {top_k!r}.")
        probabilities = model_outputs["outputs"][0].softmax(dim=-1)
        scores, labels = probabilities.topk(min(top_k, len(probabilities)))
        names = self.model.config.id2label
        return [
            {"label": names[label], "score": score}
            for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
        ]


class JointMAEPointCloudSegmentationPipeline(JointMAEPointCloudPipeline):
    """Segment point clouds into parts, task `"point-cloud-segmentation"`.

    The model sees the points that the feature extractor samples. Each point of the input gets the part of the nearest
    sampled point.

    Args:
        category (`int` or `list[int]`, *optional*):
            Object category of all clouds, or one for each. If the configuration has `category_labels`, only the parts
            of the category are returned. A parameter of the pipeline or of a call.
        kwargs (`dict`, *optional*):
            See [`JointMAEPointCloudPipeline`].

    Returns for each cloud a `dict[str, Any]`:
        - **points** (`np.ndarray` of shape `(num_points, 3)`) -- All points of the input, in its units and axes; for a
          mesh, the sampled points.
        - **labels** (`np.ndarray` of shape `(num_points,)`) -- Part of each point, a key of `id2label`.
        - **scores** (`np.ndarray` of shape `(num_points,)`) -- Its probability.
        - **parts** (`list[dict[str, Any]]`) -- `label`, `label_id` and `num_points` of each part that occurs, largest
          first.
    """

    _head = "segmenter"

    def _sanitize_parameters(self, category: Any = None, **kwargs: Any) -> tuple[dict, dict, dict]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        return preprocess | ({} if category is None else {"category": category}), forward, postprocess

    def _check_call(self, num_clouds: int | None, parameters: dict[str, Any]) -> None:
        category = parameters.get("category")
        if num_clouds is not None and is_list_of_numbers(category) and len(category) != num_clouds:
            raise ValueError(
                f"`category` must have one entry for each cloud, got {len(category)} and {num_clouds} clouds."
            )

    def preprocess(
        self, input_: NumberedCloud, reader: Callable[[Any], np.ndarray] | None = None, category: Any = None
    ) -> dict[str, PreparedCloud]:
        """Read, check and prepare one cloud with its category."""
        if is_list_of_numbers(category):
            if input_.index >= len(category):
                raise ValueError(f"`category` must have one entry for each cloud, got {len(category)}.")
            category = category[input_.index]
        if category is not None:
            num_categories = self.model.config.num_categories
            is_integer = np.issubdtype(np.asarray(category).dtype, np.integer)
            if not is_integer or not 0 <= int(category) < num_categories:
                raise ValueError(
                    f"`category` must be an integer in [0, {num_categories}) for `inputs[{input_.index}]`, got "
                    f"{category!r}."
                )
            category = int(category)
        return super().preprocess(input_, reader, category)

    def _run_model(self, clouds: list[PreparedCloud]) -> Tensor:
        points = self._stack(clouds)
        given = [cloud.category for cloud in clouds if cloud.category is not None]
        if not given:
            return self.model(points=points).logits
        return self.model(points=points, category=torch.tensor(given, device=points.device)).logits

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """Transfer the parts of one cloud from the sampled points to all points."""
        cloud, logits = model_outputs["clouds"], model_outputs["outputs"][0]
        config = self.model.config
        if cloud.category is not None and config.category_labels is not None:
            is_allowed = torch.zeros(logits.shape[-1], dtype=torch.bool)
            is_allowed[config.category_labels[cloud.category]] = True
            logits = logits.masked_fill(~is_allowed, -torch.inf)
        scores, labels = logits.softmax(dim=-1).max(dim=-1)
        nearest = nearest_rows(cloud.source_in_model_frame, cloud.points)
        labels = labels.numpy()[nearest]
        found, counts = np.unique(labels, return_counts=True)
        parts = [
            {"label": config.id2label[int(found[row])], "label_id": int(found[row]), "num_points": int(counts[row])}
            for row in np.argsort(-counts, kind="stable")
        ]
        return {"points": cloud.source, "labels": labels, "scores": scores.numpy()[nearest], "parts": parts}


class JointMAEPointCloudFeatureExtractionPipeline(JointMAEPointCloudPipeline):
    """Compute features of point clouds, task `"point-cloud-feature-extraction"`.

    Works with every model of Joint-MAE; for a model with a head it uses the encoder.

    Args:
        pooling (`str`, *optional*, defaults to `"sum"`):
            How the tokens of a cloud become one vector: `"sum"`, `"concat"`, `"mean"` or `"max"`, see [`POOLINGS`].
            `None` returns the tokens. A parameter of the pipeline or of a call.
        kwargs (`dict`, *optional*):
            See [`JointMAEPointCloudPipeline`].

    Returns for each cloud a float32 `np.ndarray` of shape `(hidden_size,)`, twice as wide with `"concat"`, or
    `(num_groups, hidden_size)` with `pooling=None`.

    Example:
        >>> import numpy as np
        >>> from transformers import pipeline
        >>> from jointmae_hf import JointMAEConfig, JointMAEFeatureExtractor, JointMAEModel
        >>> model = JointMAEModel(JointMAEConfig.from_preset("jointmae-small"))
        >>> extract = pipeline(
        ...     "point-cloud-feature-extraction", model=model, feature_extractor=JointMAEFeatureExtractor()
        ... )
        >>> extract(np.eye(3)).shape
        (192,)
    """

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict, dict, dict]:
        forward = {name: kwargs.pop(name) for name in ("pooling",) if name in kwargs}  # `None` is a value too
        if forward.get("pooling") not in (None, *POOLINGS):
            raise ValueError(f"`pooling` must be one of {', '.join(POOLINGS)}, or None, got {forward['pooling']!r}.")
        preprocess, _, postprocess = super()._sanitize_parameters(**kwargs)
        return preprocess, forward, postprocess

    def _run_model(self, clouds: list[PreparedCloud], pooling: str | None = "sum") -> Tensor:
        encoder = getattr(self.model, self.model.base_model_prefix, self.model)
        outputs = encoder(points=self._stack(clouds))
        if pooling is None:
            return select_3d_tokens(outputs)
        return pool_outputs(outputs, pooling)

    def postprocess(self, model_outputs: dict[str, Any]) -> np.ndarray:
        """Return the pooled vector or the tokens of one cloud."""
        return model_outputs["outputs"][0].numpy()


def is_list_of_numbers(value: Any) -> bool:
    """Return whether a value is a list, a tuple or a one-dimensional array or tensor."""
    return getattr(value, "ndim", None) == 1 or isinstance(value, (list, tuple))


def is_batch(inputs: Any) -> bool:
    """Return whether the input is a list or a column of clouds; rows of three numbers are one cloud."""
    if isinstance(inputs, (np.ndarray, Tensor)):
        return inputs.ndim == 3 or (inputs.ndim == 1 and inputs.dtype == object)
    if not isinstance(inputs, Sequence) or isinstance(inputs, (str, bytes)):
        return False
    if len(inputs) == 0 or isinstance(inputs[0], (str, os.PathLike)):
        return True
    first = inputs[0]
    is_row = getattr(first, "ndim", None) == 1 or (
        isinstance(first, Sequence) and len(first) > 0 and np.isscalar(first[0])
    )
    return not (is_row or np.isscalar(first))


def as_cloud(source: Any, index: int) -> np.ndarray:
    """Convert one cloud to a two-dimensional array; the feature extractor checks its values.

    Args:
        source (`Any`):
            Cloud as given by the user.
        index (`int`):
            Index in the input, for error messages.

    Returns:
        `np.ndarray` of shape `(num_points, num_columns)`: The cloud.

    Raises:
        ValueError: If it does not have two dimensions, or its rows differ in length.
    """
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = source.float() if source.dtype == torch.bfloat16 else source
    try:
        cloud = np.asarray(source)
    except ValueError as error:
        raise ValueError(f"`inputs[{index}]` must have rows of 3 coordinates, got ragged rows.") from error
    if cloud.ndim != 2:
        got = f"shape {cloud.shape}" if cloud.ndim else type(source).__name__
        raise ValueError(f"`inputs[{index}]` must be a file or a cloud of shape (num_points, 3), got {got}.")
    return cloud


def nearest_rows(queries: np.ndarray, points: np.ndarray, chunk_size: int = 4096) -> np.ndarray:
    """Find the nearest point of each query.

    Args:
        queries (`np.ndarray` of shape `(num_queries, 3)`):
            Coordinates.
        points (`np.ndarray` of shape `(num_points, 3)`):
            Coordinates in the same frame.
        chunk_size (`int`, *optional*, defaults to 4096):
            Number of queries at a time, to bound memory.

    Returns:
        `np.ndarray` of shape `(num_queries,)`: Rows of `points`.
    """

    def chunks() -> Iterator[Tensor]:
        for start in range(0, len(queries), chunk_size):
            chunk = torch.from_numpy(queries[start : start + chunk_size])
            yield k_nearest_neighbors(chunk[None], torch.from_numpy(points)[None], 1)[0, :, 0]

    return torch.cat(list(chunks())).numpy()


def copy_code(described: type, folder: Path) -> str:
    """Copy the file of a class and the modules that it imports into a folder.

    Args:
        described (`type`):
            The class.
        folder (`pathlib.Path`):
            Folder to copy to.

    Returns:
        `str`: Reference to the class in `auto_map`, `"file.Class"`.
    """
    source = Path(str(sys.modules[described.__module__].__file__))
    for file in [source, *map(Path, get_relative_import_files(source))]:
        shutil.copyfile(file, folder / file.name)
    return f"{source.stem}.{described.__name__}"


POINT_CLOUD_PIPELINES = {
    "point-cloud-classification": JointMAEPointCloudClassificationPipeline,
    "point-cloud-feature-extraction": JointMAEPointCloudFeatureExtractionPipeline,
    "point-cloud-segmentation": JointMAEPointCloudSegmentationPipeline,
}
"""Pipeline class of each task."""

__all__ = [
    "JointMAEPointCloudClassificationPipeline",
    "JointMAEPointCloudFeatureExtractionPipeline",
    "JointMAEPointCloudSegmentationPipeline",
]
