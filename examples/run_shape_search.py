"""Measure search by shape: mAP@10 of the test split among the train split, next to random weights and D2 histograms.

    python examples/run_shape_search.py --model checkpoints/jointmae-small
    python examples/run_shape_search.py --model outputs/mine --dataset folder --data_dir parts

Without `--dataset` it measures the 987 real objects of `sample_shapes`, in about 5 minutes of CPU time. A shape that is found
is relevant if it has the class of the query. Compares ways to pool tokens and to compare features, and queries as they are
with queries rotated at random about the up axis. Nothing is chosen here: the defaults of the search were chosen by
leave-one-out on the train splits of `sample_shapes` and of the LDraw parts. Prints a table and writes `results.json`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from transformers import AutoConfig, HfArgumentParser, set_seed

from jointmae_hf import JointMAEModel
from jointmae_hf.data import RandomRotateY, load_point_clouds
from jointmae_hf.evaluation import (
    FeatureWhitening,
    Result,
    ShapeIndex,
    collect_run_facts,
    distance_histograms,
    embed_rotated,
    extract_features,
    mean_average_precision,
    read_provenance,
    reference_clouds,
    sample_clouds,
    write_results,
)


TOP_K = 10
QUERIES = {"queries": "", "rotated": ", rotated queries"}
"""Kinds of queries, and how the rows of each end."""


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


@dataclass
class Collection:
    """Clouds `(num_shapes, num_points, 3)` of `gallery`, `queries`, `rotated` queries and `reference`, and the classes."""

    clouds: dict[str, np.ndarray]
    gallery_labels: np.ndarray
    query_labels: np.ndarray

    @classmethod
    def load(cls, script: ScriptArguments, num_points: int) -> "Collection":
        """Load train and test; rotate a copy of the queries at random."""
        splits = load_point_clouds(script.dataset, script.data_dir)
        gallery, queries = (sample_clouds(splits[name], len(splits[name]), num_points) for name in ("train", "test"))
        rotated = RandomRotateY(script.seed)(queries["points"], epoch=0, index=queries["index"])
        clouds = {"gallery": gallery["points"], "queries": queries["points"], "rotated": rotated}
        arrays = {name: part.numpy() for name, part in clouds.items()} | {"reference": reference_clouds(num_points)}
        return cls(arrays, gallery["labels"].numpy(), queries["labels"].numpy())

    def score(self, rows: np.ndarray) -> float:
        """Return mAP@10 in percent of the rows of the gallery that were found for each query."""
        num_relevant = (self.gallery_labels == self.query_labels[:, None]).sum(axis=1)
        return 100 * mean_average_precision(self.gallery_labels[rows], self.query_labels, num_relevant, TOP_K)

    def measure_histograms(self) -> Iterator[tuple[str, float]]:
        """Yield the rows of D2 histograms."""
        features = {name: distance_histograms(clouds) for name, clouds in self.clouds.items()}
        for kind, name in QUERIES.items():
            distances = np.abs(features[kind][:, None] - features["gallery"]).sum(axis=2)
            yield f"D2 histograms, L1{name}", self.score(distances.argsort(axis=1, kind="stable")[:, :TOP_K])

    def measure_model(
        self, model: JointMAEModel, batch_size: int, num_rotations: int = 1
    ) -> Iterator[tuple[str, float]]:
        """Yield the rows of one encoder, without and with averages over rotations."""
        for count in sorted({1, num_rotations}):
            turns = "" if count == 1 else f", {count} rotations"
            for pooling, features in self.embed(model, batch_size, count).items():
                size = features["gallery"].shape[1]
                ways = {
                    "cosine": FeatureWhitening(np.zeros(size), np.eye(size)),  # changes nothing
                    "whitened": FeatureWhitening.fit(features["reference"]),
                }
                for way, whitening in ways.items():
                    index = ShapeIndex(features["gallery"], [""] * len(self.gallery_labels), whitening)
                    for kind, name in QUERIES.items():
                        row = f"{pooling}, {way}{turns}{name}"
                        yield row, self.score(index.search(features[kind], TOP_K)[1])

    def embed(self, model: JointMAEModel, batch_size: int, num_rotations: int) -> dict[str, dict[str, np.ndarray]]:
        """Return the features of each part of `clouds` for each way to pool the tokens."""

        def embed_clouds(clouds: Sequence[np.ndarray]) -> np.ndarray:
            return extract_features(model, [{"points": cloud} for cloud in clouds], batch_size, "concat")[0]

        both = {name: embed_rotated(embed_clouds, clouds, num_rotations) for name, clouds in self.clouds.items()}
        halves = {name: np.split(features, 2, axis=1) for name, features in both.items()}
        return {
            "mean": {name: mean for name, (mean, _) in halves.items()},
            "max": {name: maximum for name, (_, maximum) in halves.items()},
            "sum": {name: mean + maximum for name, (mean, maximum) in halves.items()},
            "concat": both,
        }


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
    results = []

    def record(rows: Iterator[tuple[str, float]], seed: int = 0, pre_training: str | None = None) -> None:
        for row, value in rows:
            results.append(Result("mAP@10", value, protocol=row, seed=seed, pre_training=pre_training, **facts))
            print(f"{value:5.1f}  {row}, {pre_training or 'no model'}, seed {seed}", flush=True)

    record(data.measure_histograms())
    model = JointMAEModel.from_pretrained(script.model, add_2d_branch=False)
    rows = data.measure_model(model, script.batch_size, script.num_rotations)
    record(rows, pre_training=read_provenance(script.model).describe(name))
    for seed in range(script.num_random):
        set_seed(seed)
        untrained = JointMAEModel(config, add_2d_branch=False)
        record(data.measure_model(untrained, script.batch_size), seed, read_provenance(None).describe(name))
    output_dir = Path(script.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    names = {"model": Path(script.model).name, "output_dir": output_dir.name, "data_dir": name}
    run = collect_run_facts(time.time() - start) | {"arguments": {**asdict(script), **names}}
    write_results(output_dir / "results.json", results, run)
    print(f"results: {output_dir / 'results.json'}")


if __name__ == "__main__":
    main()
