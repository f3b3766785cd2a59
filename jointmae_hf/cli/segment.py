"""`jointmae segment`: parts of one file, as a colored cloud or a table."""

import argparse
import colorsys
import csv
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .command_parser import add_command, add_model_arguments, check_output, positive_integer


if TYPE_CHECKING:
    from jointmae_hf import JointMAEConfig

_GOLDEN_RATIO = 0.618034


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "segment",
        run,
        "Label the points of a mesh or point cloud with the parts that they belong to.",
        "jointmae segment chair.stl --model outputs/segmentation --category chair --output labeled.ply",
        "The model must have been fine-tuned by examples/run_segmentation.py or in another way.",
    )
    parser.add_argument("file", help="file of any format that the package reads; a mesh becomes points on its surface")
    add_model_arguments(parser)
    parser.add_argument(
        "--category",
        help="name or number of the object's category, which limits the parts (default: all parts are possible)",
    )
    parser.add_argument(
        "--num_points", type=positive_integer, help="points to draw from a mesh (default: those that the model takes)"
    )
    parser.add_argument(
        "--output",
        required=True,
        help=".ply with colors, labels and scores, or .csv with x, y, z, label, part and score",
    )


def run(options: argparse.Namespace) -> None:
    """Segment the file, write its points, and show the parts."""
    from .loading import load_pipeline

    check_output(options.output, [".ply", ".csv"])
    architecture = "JointMAEForPointCloudSegmentation"
    segment = load_pipeline("point-cloud-segmentation", architecture, options, options.num_points)
    config = segment.func.model.config
    category = None if options.category is None else find_category(config, options.category)
    result = segment(options.file, category=category)
    write = write_ply if options.output.endswith(".ply") else _write_csv
    write(options.output, result, config.id2label)
    num_points = len(result["points"])
    sys.stdout.write(f"{options.file}: {num_points:,} points\n")
    for part in result["parts"]:
        share = 100.0 * part["num_points"] / num_points
        sys.stdout.write(f"  {share:5.1f} %  {part['label']}\n")


def find_category(config: "JointMAEConfig", text: str) -> int:
    """Return the number of a category, which has no name but the words that the labels of all its parts begin with.

    Args:
        config ([`JointMAEConfig`]):
            Of a segmentation model.
        text (`str`):
            Number, or words in any case that begin the labels of one category alone: `chair` for `Chair part 0` and
            `Chair part 1`.

    Returns:
        `int`: In `[0, num_categories)`.

    Raises:
        ValueError: If the model has no such category.
    """
    if text.isdecimal() and int(text) < config.num_categories:
        return int(text)
    beginnings = _common_words(config)
    words = text.casefold().split()
    found = [number for number, common in enumerate(beginnings) if words and common[: len(words)] == words]
    if len(found) == 1:
        return found[0]
    names = ", ".join(" ".join(common) for common in beginnings if common)
    known = f"the beginning of one of {names}, or a number" if names else "a number"
    raise ValueError(f"`--category` must be {known} below {config.num_categories}, got {text!r}.")


def _common_words(config: "JointMAEConfig") -> list[list[str]]:
    """Return the words in lower case that the labels of the parts of each category begin with."""
    id2label: Any = config.id2label
    beginnings = []
    for labels in config.category_labels or []:
        columns = zip(*(id2label[label].casefold().split() for label in labels), strict=False)
        beginnings.append([column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)])
    return beginnings


def write_ply(path: str | Path, result: Mapping[str, Any], id2label: Mapping[int, str]) -> None:
    """Write a segmented cloud as binary PLY, one color for each part.

    Args:
        path (`str` or `pathlib.Path`):
            File to write.
        result (`Mapping[str, Any]`):
            Output of [`JointMAEPointCloudSegmentationPipeline`] for one cloud.
        id2label (`Mapping[int, str]`):
            Names of the parts, written as comments.
    """
    colors = {part["label_id"]: part_color(part["label_id"]) for part in result["parts"]}
    kinds = {"<f4": "float", "u1": "uchar", "<i4": "int"}
    fields = [(axis, "<f4") for axis in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")]
    fields += [("label", "<i4"), ("score", "<f4")]
    vertices = np.empty(len(result["points"]), dtype=fields)
    for column, axis in enumerate("xyz"):
        vertices[axis] = result["points"][:, column]
    rgb = np.array([colors[label] for label in result["labels"].tolist()], dtype=np.uint8)
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = rgb[:, column]
    vertices["label"], vertices["score"] = result["labels"], result["scores"]
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment label {label} {id2label[label]}" for label in sorted(colors)]
    header += [f"element vertex {len(vertices)}", *(f"property {kinds[kind]} {name}" for name, kind in fields)]
    Path(path).write_bytes("\n".join([*header, "end_header\n"]).encode() + vertices.tobytes())


def part_color(label: int) -> tuple[int, int, int]:
    """Return the color of a part, the same in every file: hues that follow each other are far apart."""
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN_RATIO % 1.0, 0.65, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _write_csv(path: str | Path, result: Mapping[str, Any], id2label: Mapping[int, str]) -> None:
    """Write a segmented cloud as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["x", "y", "z", "label", "part", "score"])
        for point, label, score in zip(result["points"], result["labels"], result["scores"], strict=True):
            writer.writerow([*point.tolist(), int(label), id2label[int(label)], float(score)])
