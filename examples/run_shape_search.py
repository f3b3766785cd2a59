"""Measure search by shape: mAP@10 of the test split among the train split, next to random weights and D2 histograms.

    python examples/run_shape_search.py --model checkpoints/jointmae-small
    python examples/run_shape_search.py --model outputs/mine --dataset folder --data_dir parts

Without `--dataset` it measures the 987 real objects of `sample_shapes`, in about 4 minutes on 2 CPU cores. A shape that is
found is relevant if it has the class of the query. Compares ways to pool tokens and to compare features, and queries as they
are with queries rotated at random about the up axis. Nothing is chosen here: the defaults of the search were chosen by
leave-one-out on the train splits of `sample_shapes` and of the LDraw parts. Prints a table and writes `results.json`.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from transformers import AutoConfig, HfArgumentParser, set_seed

from jointmae_hf import JointMAEModel
from jointmae_hf.data import RandomRotateY, load_point_clouds
from jointmae_hf.evaluation import (
    FeatureWhitening,
    Result,
    ShapeIndex,
    collect_run_facts,
    distance_histograms,
    extract_features,
    mean_average_precision,
    read_provenance,
    reference_clouds,
    rotate_about_up_axis,
    sample_clouds,
    write_results,
)
from jointmae_hf.model.pooling import POOLINGS, pool_outputs


TOP_K = 10
Features = dict[str, np.ndarray]
"""Features `(num_shapes, feature_size)` of `gallery`, `queries`, `rotated` queries and `reference`."""


@dataclass
class ScriptArguments:
    """Flags of this script."""

    model: str = field(metadata={"help": "Checkpoint: a folder or a Hub id."})
    dataset: str = field(default="sample_shapes", metadata={"help": "Labeled dataset with the splits train and test."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the dataset's files."})
    output_dir: str = field(default="outputs/shape_search", metadata={"help": "Folder for results.json."})
    num_random: int = field(default=3, metadata={"help": "Number of models with random weights, seeds 0, 1, ..."})
    num_rotations: int = field(default=4, metadata={"help": "Also average features over that many rotations; 1: not."})
    seed: int = field(default=42, metadata={"help": "Seed of the rotated queries."})
    batch_size: int = field(default=64, metadata={"help": "Number of clouds per forward pass."})


class AllPoolings(torch.nn.Module):
    """Return the features of all `POOLINGS` side by side, from one pass of the encoder."""

    def __init__(self, encoder: JointMAEModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, points: torch.Tensor) -> SimpleNamespace:
        """Return a `pooler_output` `(batch_size, feature_size)`."""
        outputs = self.encoder(points=points)
        return SimpleNamespace(pooler_output=torch.cat([pool_outputs(outputs, name) for name in POOLINGS], dim=1))


def select_pooling(features: Features, pooling: str, size: int) -> Features:
    """Return the columns of one of `POOLINGS` from the features of `AllPoolings`; `size` is the width of a token."""
    widths = {name: 2 * size if name == "concat" else size for name in POOLINGS}
    start = sum(list(widths.values())[: POOLINGS.index(pooling)])
    end = start + widths[pooling]
    return {name: part[:, start:end] for name, part in features.items()}


@dataclass
class Collection:
    """Clouds `(num_shapes, num_points, 3)`, named as in `Features`, and the classes of gallery and queries."""

    clouds: dict[str, torch.Tensor]
    gallery_labels: np.ndarray
    query_labels: np.ndarray

    @classmethod
    def load(cls, script: ScriptArguments, num_points: int) -> "Collection":
        """Load train and test; rotate a copy of the queries at random."""
        splits = load_point_clouds(script.dataset, script.data_dir)
        gallery, queries = (sample_clouds(splits[name], len(splits[name]), num_points) for name in ("train", "test"))
        rotated = RandomRotateY(script.seed)(queries["points"], epoch=0, index=queries["index"])
        clouds = {"gallery": gallery["points"], "queries": queries["points"], "rotated": rotated}
        clouds["reference"] = torch.from_numpy(reference_clouds(num_points))
        return cls(clouds, gallery["labels"].numpy(), queries["labels"].numpy())

    def embed(self, model: JointMAEModel, num_rotations: int, batch_size: int) -> list[Features]:
        """Return the features of `AllPoolings` after each of some rotations about the up axis, the first by no angle."""

        def embed_clouds(clouds: torch.Tensor) -> np.ndarray:
            return extract_features(AllPoolings(model), [{"points": cloud} for cloud in clouds], batch_size)[0]

        return [
            {
                name: embed_clouds(rotate_about_up_axis(clouds, step / num_rotations))
                for name, clouds in self.clouds.items()
            }
            for step in range(num_rotations)
        ]

    def score(self, rows: np.ndarray) -> float:
        """Return mAP@10 in percent of the rows of the gallery that were found for each query."""
        num_relevant = (self.gallery_labels == self.query_labels[:, None]).sum(axis=1)
        return 100 * mean_average_precision(self.gallery_labels[rows], self.query_labels, num_relevant, TOP_K)

    def compare(self, features: Features, whitening: FeatureWhitening) -> Iterator[tuple[str, float]]:
        """Yield the kind of query and mAP@10."""
        index = ShapeIndex(features["gallery"], [""] * len(features["gallery"]), whitening)
        for kind, name in {"queries": "", "rotated": ", rotated queries"}.items():
            yield name, self.score(index.search(features[kind], TOP_K)[1])


def unchanged(size: int) -> FeatureWhitening:
    """Return statistics that leave the plain cosine."""
    return FeatureWhitening(np.zeros(size), np.eye(size))


def measure_histograms(data: Collection) -> Iterator[tuple[str, float]]:
    """Yield the rows of D2 histograms, compared by cosine and by L1 distance."""
    features = {name: distance_histograms(clouds.numpy()) for name, clouds in data.clouds.items()}
    for kind, value in data.compare(features, unchanged(features["gallery"].shape[1])):
        yield f"D2 histograms, cosine{kind}", value
    for kind, name in {"queries": "", "rotated": ", rotated queries"}.items():
        distances = np.abs(features[kind][:, None] - features["gallery"]).sum(axis=2)
        yield f"D2 histograms, L1{name}", data.score(distances.argsort(axis=1, kind="stable")[:, :TOP_K])


def measure_model(
    data: Collection, model: JointMAEModel, batch_size: int, num_rotations: int = 1
) -> Iterator[tuple[str, float]]:
    """Yield the rows of one encoder, without and with averages over rotations."""
    steps = data.embed(model, num_rotations, batch_size)
    for count in sorted({1, num_rotations}):
        features = {name: np.mean([step[name] for step in steps[:count]], axis=0) for name in data.clouds}
        turns = "" if count == 1 else f", {count} rotations"
        for pooling in POOLINGS if count == 1 else ("sum",):
            pooled = select_pooling(features, pooling, model.config.hidden_size)
            ways = {
                "cosine": unchanged(pooled["gallery"].shape[1]),
                "standardized": FeatureWhitening.fit(pooled["reference"], shrinkage=1.0),
                "whitened": FeatureWhitening.fit(pooled["reference"]),
            }
            for way, whitening in ways.items():
                for kind, value in data.compare(pooled, whitening):
                    yield f"{pooling}, {way}{turns}{kind}", value


def main() -> None:
    """Measure everything, print the table and write the results."""
    start = time.time()
    script = HfArgumentParser(ScriptArguments).parse_args_into_dataclasses()[0]
    config = AutoConfig.from_pretrained(script.model)
    data = Collection.load(script, config.num_points)
    name = Path(script.data_dir).resolve().name if script.data_dir else script.dataset
    facts = {
        "unit": "%",
        "split": "test",
        "selection_rule": "checkpoint's last step; fixed in advance",
        "num_train": len(data.gallery_labels),
        "num_test": len(data.query_labels),
        "dataset": name,
    }

    def record(rows: Iterator[tuple[str, float]], seed: int, pre_training: str | None = None) -> list[Result]:
        found = [
            Result("mAP@10", value, protocol=row, seed=seed, pre_training=pre_training, **facts) for row, value in rows
        ]
        for result in found:
            print(f"{result.value:5.1f}  {result.protocol}, {pre_training or 'no model'}, seed {seed}", flush=True)
        return found

    results = record(measure_histograms(data), 0)
    model = JointMAEModel.from_pretrained(script.model, add_2d_branch=False)
    results += record(
        measure_model(data, model, script.batch_size, script.num_rotations),
        0,
        read_provenance(script.model).describe(name),
    )
    for seed in range(script.num_random):
        set_seed(seed)
        untrained = JointMAEModel(config, add_2d_branch=False)
        results += record(
            measure_model(data, untrained, script.batch_size), seed, read_provenance(None).describe(name)
        )
    output_dir = Path(script.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    names = {"model": Path(script.model).name, "output_dir": output_dir.name, "data_dir": name}
    write_results(
        output_dir / "results.json",
        results,
        collect_run_facts(time.time() - start) | {"arguments": {**asdict(script), **names}},
    )
    print(f"results: {output_dir / 'results.json'}")


if __name__ == "__main__":
    main()
