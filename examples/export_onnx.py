"""Export a checkpoint to ONNX, compare it with PyTorch and time both.

    python examples/export_onnx.py --model checkpoints/jointmae-small --output model.onnx
    python examples/export_onnx.py --model my_classifier --output model.onnx --task point-cloud-classification

CPU, about 20 seconds; requires `pip install "jointmae_hf[onnx]"`. Prints the largest difference and milliseconds for one
cloud. If the difference exceeds 1e-4, the graph is removed and the script exits with an error.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from transformers import AutoModel

from jointmae_hf import (
    AutoModelForPointCloudClassification,
    AutoModelForPointCloudSegmentation,
    JointMAEFeatureExtractor,
)
from jointmae_hf.data import generate_shape
from jointmae_hf.export import EXPORT_TASKS, export_onnx


MODELS = {
    "point-cloud-classification": AutoModelForPointCloudClassification,
    "point-cloud-feature-extraction": AutoModel,
    "point-cloud-segmentation": AutoModelForPointCloudSegmentation,
}
TOLERANCE = 1e-4


def parse_arguments() -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Folder of a checkpoint or its name on the Hub.")
    parser.add_argument("--output", required=True, type=Path, help="File to write, ending in .onnx.")
    parser.add_argument("--task", default="point-cloud-feature-extraction", choices=EXPORT_TASKS)
    parser.add_argument("--num_clouds", type=int, default=4, help="Number of procedural shapes to compare outputs on.")
    parser.add_argument("--num_repeats", type=int, default=20, help="Number of timed calls with one cloud.")
    return parser.parse_args()


def time_calls(calls: list[Callable[[], object]], num_repeats: int) -> list[tuple[float, float]]:
    """Measure minimum and median milliseconds of each call; calls alternate, so that other work affects all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(num_repeats + 3):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - start))
    return [(min(taken[3:]), statistics.median(taken[3:])) for taken in times]


def main() -> None:
    """Export, compare and time the model."""
    arguments = parse_arguments()
    model = MODELS[arguments.task].from_pretrained(arguments.model, dtype=torch.float32).eval()
    export_onnx(model, arguments.output, arguments.task)
    num_nodes = len(onnx.load(arguments.output, load_external_data=False).graph.node)
    size = arguments.output.stat().st_size / 2**20
    print(f"{arguments.output}: {size:.1f} MiB, {num_nodes} nodes, outputs {', '.join(EXPORT_TASKS[arguments.task])}")

    feature_extractor = JointMAEFeatureExtractor(num_points=model.config.num_points)
    shapes = [generate_shape(0, "test", row).points for row in range(arguments.num_clouds)]
    points = feature_extractor(shapes, return_tensors="pt")["points"]
    session = onnxruntime.InferenceSession(arguments.output)
    outputs = session.run(None, {"points": points.numpy()})
    with torch.inference_mode():
        expected = model(points)
        names = EXPORT_TASKS[arguments.task]
        gaps = [np.abs(output - expected[name].numpy()).max() for name, output in zip(names, outputs, strict=True)]
        gap = float(np.max(gaps))
        print(f"largest difference from PyTorch on {arguments.num_clouds} shapes: {gap:.1e}")
        if not gap <= TOLERANCE:  # also true of NaN
            arguments.output.unlink()
            sys.exit(f"The graph must agree with PyTorch to {TOLERANCE}, got a difference of {gap}. It was removed.")
        one = points[:1]
        calls = [lambda: model(one), lambda: session.run(None, {"points": one.numpy()})]
        (torch_best, torch_median), (onnx_best, onnx_median) = time_calls(calls, arguments.num_repeats)
    print(f"one cloud of {one.shape[1]} points, minimum and median of {arguments.num_repeats} calls:")
    print(f"PyTorch {torch_best:.1f}, {torch_median:.1f} ms; onnxruntime {onnx_best:.1f}, {onnx_median:.1f} ms")


if __name__ == "__main__":
    main()
