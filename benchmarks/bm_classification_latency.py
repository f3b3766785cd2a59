"""Latency of the classifier on one cloud, compared with a ViT of transformers of the same depth, width and tokens.

python -m benchmarks.bm_classification_latency
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import ViTConfig, ViTForImageClassification

from jointmae_hf import JointMAEConfig, JointMAEForPointCloudClassification

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    num_points: int = 1024
    num_layers: int = 12
    num_calls: int = 10
    num_rounds: int = 7


def build_classifier(sizes: Sizes) -> JointMAEForPointCloudClassification:
    """Build the default model with 40 classes."""
    config = JointMAEConfig(num_points=sizes.num_points, num_hidden_layers=sizes.num_layers, num_labels=40)
    return JointMAEForPointCloudClassification(config).eval()


def build_vit(sizes: Sizes) -> ViTForImageClassification:
    """Build a ViT with 64 patches and a class token, as wide and deep as the default model."""
    width = JointMAEConfig().hidden_size
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=6,
        intermediate_size=4 * width,
        image_size=32,
        patch_size=4,
        num_labels=40,
    )
    return ViTForImageClassification(config).eval()


def call(model: Callable[..., object], inputs: torch.Tensor, num_calls: int) -> int:
    """Call a model several times; return the number of calls."""
    with torch.inference_mode():
        for _ in range(num_calls):
            model(inputs)
    return num_calls


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, the eager ViT first."""
    points, image = make_clouds(1, sizes.num_points), torch.rand(1, 3, 32, 32)
    classifier, vit = build_classifier(sizes), build_vit(sizes)
    models = {
        "ViT, eager": (vit, image),
        "classifier, eager": (classifier, points),
        "ViT, compiled": (torch.compile(vit), image),
        "classifier, compiled": (torch.compile(classifier), points),
    }
    candidates = {
        name: lambda model=model, inputs=inputs: call(model, inputs, sizes.num_calls)
        for name, (model, inputs) in models.items()
    }
    return measure_in_turns(candidates, "clouds/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("classification_latency", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
