"""`jointmae classify`: classes of files, as text and as a table."""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from .command_parser import add_command, add_model_arguments, check_output, positive_integer


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "classify",
        run,
        "Print the most probable classes of meshes or point clouds.",
        "jointmae classify scans/*.ply --model outputs/classification --top_k 3 --output classes.csv",
        "The model must have been fine-tuned by examples/run_classification.py or in another way.",
    )
    parser.add_argument("files", nargs="+", help="files of any format that the package reads")
    add_model_arguments(parser)
    parser.add_argument("--top_k", type=positive_integer, default=5, help="classes per file (default: %(default)s)")
    parser.add_argument(
        "--output",
        help="also write a table of path, rank, label and score (.csv), or a list of {path, classes} (.json)",
    )


def run(options: argparse.Namespace) -> None:
    """Classify the files and write the result."""
    from .loading import load_pipeline

    if options.output is not None:
        check_output(options.output, [".csv", ".json"])
    classify = load_pipeline("point-cloud-classification", "JointMAEForPointCloudClassification", options)
    guesses = classify(options.files, top_k=options.top_k)
    for path, classes in zip(options.files, guesses, strict=True):
        sys.stdout.write(f"{path}\n")
        sys.stdout.writelines(f"  {100.0 * guess['score']:5.1f} %  {guess['label']}\n" for guess in classes)
    if options.output is not None:
        write_classes(Path(options.output), options.files, guesses)


def write_classes(path: Path, files: list[str], guesses: list[list[dict[str, Any]]]) -> None:
    """Write the classes of files as CSV or JSON."""
    if path.suffix == ".json":
        rows = [{"path": file, "classes": classes} for file, classes in zip(files, guesses, strict=True)]
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        return
    with open(path, "w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["path", "rank", "label", "score"])
        for file, classes in zip(files, guesses, strict=True):
            writer.writerows([file, rank, guess["label"], guess["score"]] for rank, guess in enumerate(classes, 1))
