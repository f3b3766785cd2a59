"""Features of files on disk: a model with everything else that the features of a file depend on."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from jointmae_hf.data.readers.formats import read_point_cloud
from jointmae_hf.model import JointMAEConfig, JointMAEFeatureExtractor, JointMAEModel
from jointmae_hf.model.feature_extraction_jointmae import UP_AXES
from jointmae_hf.model.pooling import check_pooling

from .features import extract_features


@dataclass(frozen=True)
class EmbeddingSettings:
    """What the features of a file depend on, besides the file and the weights.

    Args:
        pooling (`str`, *optional*, defaults to `"sum"`):
            How tokens become one vector, see [`POOLINGS`].
        up_axis (`str`, *optional*):
            Axis that points up in the files, `"x"`, `"y"` or `"z"`; defaults to that of the feature extractor.
        points_key (`str`, *optional*):
            Name of the array in `.npz` and `.h5` files, see [`read_point_cloud`].
        seed (`int`, *optional*, defaults to 0):
            Seed of the points on the surface of a mesh, the same for every file: copies have equal features.
        batch_size (`int`, *optional*, defaults to 32):
            Clouds per call of the model. It may change the last bits of a feature.

    Raises:
        ValueError: If a value is out of range.
    """

    pooling: str = "sum"
    up_axis: str | None = None
    points_key: str | None = None
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_pooling(self.pooling)
        if self.up_axis is not None and self.up_axis not in UP_AXES:
            raise ValueError(f'`up_axis` must be "x", "y" or "z", got {self.up_axis!r}.')
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {self.batch_size}.")


@dataclass(frozen=True)
class FileReader:
    """Reads files as the model takes them; pickled to the workers of a data loader, without the model.

    Args:
        feature_extractor ([`JointMAEFeatureExtractor`]):
            As saved with the model. It must resample, because the clouds of a batch have one size.
        settings ([`EmbeddingSettings`]):
            How files are read.

    Raises:
        ValueError: If the feature extractor does not resample.
    """

    feature_extractor: JointMAEFeatureExtractor
    settings: EmbeddingSettings

    def __post_init__(self) -> None:
        if not self.feature_extractor.do_resample:
            raise ValueError("`feature_extractor` must resample, got `do_resample=False`. Set it to True.")

    def read(self, path: str | Path, name: str) -> tuple[np.ndarray, int]:
        """Read one cloud.

        Args:
            path (`str` or `pathlib.Path`):
                File of any format of [`read_point_cloud`].
            name (`str`):
                Name of the file in the table and in errors, such as its path below a folder.

        Returns:
            `tuple[np.ndarray, int]`: Input of the model `(num_points, 3)`, and the number of points in the file. For a mesh,
            this is the number of points drawn from its surface.

        Raises:
            ImportError: If the format needs a package that is not installed.
            ValueError: If the file is not a valid cloud.
        """
        rng = np.random.default_rng(self.settings.seed)
        try:
            cloud = read_point_cloud(path, self.feature_extractor.num_points, self.settings.points_key, rng)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error
        prepared = self.feature_extractor([cloud], up_axis=self.settings.up_axis, return_tensors="np")
        return prepared["points"][0], len(cloud)


class FileEmbedder:
    """A model that turns files into feature vectors, and the description of all that they depend on.

    Args:
        model (`str` or `pathlib.Path`):
            Folder of a checkpoint, or repository on the Hub. Of a model with a head, the encoder is used.
        revision (`str`, *optional*):
            Branch, tag or commit on the Hub.
        settings ([`EmbeddingSettings`], *optional*):
            Pooling, and how files are read.
        device (`torch.device` or `str`, *optional*, defaults to `"cpu"`):
            Device of the model.

    Raises:
        OSError: If there is no such model.
        ValueError: If it is not a Joint-MAE model.

    Example:
        >>> from jointmae_hf import JointMAEConfig, JointMAEFeatureExtractor, JointMAEModel
        >>> folder = getfixture("tmp_path")
        >>> JointMAEModel(JointMAEConfig.from_preset("jointmae-small")).save_pretrained(folder)
        >>> _ = JointMAEFeatureExtractor().save_pretrained(folder)
        >>> np.savetxt(folder / "bracket.xyz", np.random.default_rng(0).normal(size=(500, 3)))
        >>> FileEmbedder(folder).embed_files([folder / "bracket.xyz"]).shape
        (1, 192)
    """

    def __init__(
        self,
        model: str | Path,
        revision: str | None = None,
        settings: EmbeddingSettings | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        version = revision or "main"
        config = AutoConfig.from_pretrained(model, revision=version)
        if not isinstance(config, JointMAEConfig):
            raise ValueError(f"`model` must be a Joint-MAE model, got {model} of type {config.model_type}.")
        self.settings = EmbeddingSettings() if settings is None else settings
        feature_extractor = JointMAEFeatureExtractor.from_pretrained(model, revision=version)
        self.reader = FileReader(feature_extractor, self.settings)
        self.model = JointMAEModel.from_pretrained(
            model, config=config, revision=version, add_2d_branch=False, dtype=torch.float32
        ).eval()
        self._identity = {
            "model": str(model),
            "revision": getattr(config, "_commit_hash", None) or revision,
            "weights_sha256": _hash_weights(self.model),
        }
        self.model.to(device)

    def embed_clouds(self, clouds: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the features of clouds that the reader has prepared, in batches of `batch_size`.

        Args:
            clouds (sequence of `np.ndarray` of shape `(num_points, 3)`):
                At least one cloud.

        Returns:
            `np.ndarray` of shape `(num_clouds, feature_size)`: float32 features.

        Raises:
            ValueError: If a feature is not finite.
        """
        samples = [{"points": cloud} for cloud in clouds]
        return extract_features(self.model, samples, self.settings.batch_size, self.settings.pooling)[0]

    def embed_files(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Compute the features of files, such as the query of a search.

        Args:
            paths (sequence of `str` or `pathlib.Path`):
                At least one file.

        Returns:
            `np.ndarray` of shape `(num_files, feature_size)`: float32 features.

        Raises:
            ImportError: If a format needs a package that is not installed.
            ValueError: If a file is not a valid cloud.
        """
        return self.embed_clouds([self.reader.read(path, Path(path).name)[0] for path in paths])

    def describe(self) -> dict[str, Any]:
        """Describe all that features depend on, besides the files.

        Returns:
            `dict[str, Any]`: Model, revision, checksum of the weights, settings, those of the feature extractor, kind of
            device and version of this package.
        """
        from jointmae_hf import __version__

        extractor = self.reader.feature_extractor
        prepared = ("num_points", "do_normalize", "sampling", "do_mirror")
        return {
            **self._identity,
            **asdict(self.settings),
            "up_axis": self.settings.up_axis or extractor.up_axis,
            **{name: getattr(extractor, name) for name in prepared},
            "device": self.model.device.type,
            "jointmae_hf": __version__,
        }


def _hash_weights(model: torch.nn.Module) -> str:
    """Return the SHA-256 of the names and values of all weights, which must lie on the CPU."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
