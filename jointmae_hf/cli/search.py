"""`jointmae search`: the shapes of a folder that resemble a query, or that are nearly the same."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .command_parser import add_command, add_model_arguments, check_output, positive_integer
from .loading import choose_device, shipped_model


if TYPE_CHECKING:
    import numpy as np

    from jointmae_hf.evaluation import FileEmbedder, FolderIndex, ShapeMatch
    from jointmae_hf.visualization import ShapeTile

logger = logging.getLogger(__name__)

PAIRS_ON_PAGE = 200
"""Pairs of near-duplicates with pictures; the table names all."""

_NOTES = """\
A score is the cosine of two feature vectors, whitened by a fixed collection of shapes: 1 for copies of a
file, also moved or scaled; it does not depend on the other files of the folder. See docs/search.md.

With --index, only files that are new or have changed are read when the command runs again."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "search",
        run,
        "Find the shapes of a folder that resemble a query, or near-duplicates, as a table and as a web page.",
        "jointmae search my_parts --query bracket.stl --index index.parquet\n"
        "jointmae search my_parts --duplicates 0.98 --index index.parquet",
        _NOTES,
    )
    parser.add_argument("folder", help="folder of files of any format that the package reads, at any depth")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--query", nargs="+", metavar="FILE", help="files to find similar shapes for")
    task.add_argument(
        "--duplicates",
        type=_score,
        metavar="SCORE",
        help="find all pairs of files with at least this score, such as 0.98",
    )
    add_model_arguments(parser, has_default=True)
    parser.add_argument(
        "--top_k", type=positive_integer, default=10, help="number of shapes for each query (default: %(default)s)"
    )
    parser.add_argument(
        "--index", metavar="PARQUET", help="file that keeps the features, outside the folder (default: not kept)"
    )
    parser.add_argument(
        "--rotations",
        type=positive_integer,
        default=1,
        help="average features over that many rotations about the up axis, such as 4 for parts that lie in any direction "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--output", default="search.html", metavar="HTML", help="web page with pictures (default: %(default)s)"
    )
    parser.add_argument("--skip_errors", action="store_true", help="go on without files that cannot be read")


def _score(text: str) -> float:
    """Parse a score within (0, 1]."""
    try:
        score = float(text)
    except ValueError:
        score = 0.0
    if not 0.0 < score <= 1.0:
        raise argparse.ArgumentTypeError(f"must be within (0, 1], got {text}")
    return score


def run(options: argparse.Namespace) -> None:
    """Index the folder, search, write the table to standard output and the page to a file."""
    from jointmae_hf.evaluation import EmbeddingSettings, FileEmbedder, index_folder
    from jointmae_hf.visualization import search_page

    check_output(options.output, [".html"])
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it reports each instruction set that it tries
    settings = EmbeddingSettings(up_axis=options.up_axis, points_key=options.points_key, batch_size=options.batch_size)
    model = options.model or shipped_model()
    embedder = FileEmbedder(model, options.revision, settings, choose_device(options.device))
    queries = [] if options.query is None else [embedder.reader.read(path, path)[0] for path in options.query]
    found = index_folder(options.folder, embedder, options.index, options.rotations, options.skip_errors)
    _report(found)
    pictures = _Pictures(Path(options.folder), embedder)
    if options.query is None:
        title, rows = (
            f"Near-duplicates in {Path(options.folder).name}",
            _duplicates(found, options.duplicates, pictures),
        )
    else:
        title, rows = f"Search in {Path(options.folder).name}", _matches(found, options, queries, embedder, pictures)
    if not rows:
        logger.info("no pair has a score of %g or more", options.duplicates)
        return
    facts = f"{len(found.index):,} shapes, features of {Path(model).name}"
    Path(options.output).write_text(search_page(title, rows, facts), encoding="utf-8")
    logger.info("page: %s", options.output)


def _report(found: "FolderIndex") -> None:
    """Log what changed in the index and what was skipped."""
    logger.info(
        "index: %d shapes, %d new, %d changed, %d removed",
        *(len(found.index), found.num_new, found.num_changed, found.num_removed),
    )
    for name, reason in found.skipped:
        logger.warning("skipped: %s: %s", name, reason)


class _Pictures:
    """Tiles of files of the folder, each read once."""

    def __init__(self, folder: Path, embedder: "FileEmbedder") -> None:
        self._folder, self._embedder = folder, embedder
        self._clouds: dict[str, np.ndarray] = {}

    def tile(self, match: "ShapeMatch") -> "ShapeTile":
        """Return the tile of a file with its score."""
        from jointmae_hf.visualization import ShapeTile

        if match.name not in self._clouds:
            self._clouds[match.name] = self._embedder.reader.read(self._folder / match.name, match.name)[0]
        return ShapeTile(self._clouds[match.name], match.name, f"score {match.score:.3f}")


def _matches(
    found: "FolderIndex",
    options: argparse.Namespace,
    queries: Sequence["np.ndarray"],
    embedder: "FileEmbedder",
    pictures: _Pictures,
) -> list[list["ShapeTile"]]:
    """Write the table of all queries; return the rows of the page."""
    from jointmae_hf.evaluation import embed_rotated
    from jointmae_hf.visualization import ShapeTile

    rows, folder = [], Path(options.folder)
    features = embed_rotated(embedder.embed_clouds, queries, options.rotations)
    for path, cloud, feature in zip(options.query, queries, features, strict=True):
        matches = found.index.nearest(feature, options.top_k + 1)  # one more, since the query may be in the folder
        own = Path(path).resolve()
        matches = [match for match in matches if (folder / match.name).resolve() != own][: options.top_k]
        sys.stdout.write(f"{path}\n")
        for match in matches:
            sys.stdout.write(f"  {match.score:.3f}  {match.name}\n")
        rows.append([ShapeTile(cloud, Path(path).name, "query", is_query=True), *map(pictures.tile, matches)])
    return rows


def _duplicates(found: "FolderIndex", threshold: float, pictures: _Pictures) -> list[list["ShapeTile"]]:
    """Write the table of all pairs; return the rows of the page."""
    pairs = found.index.duplicates(threshold)
    for first, second in pairs:
        sys.stdout.write(f"{first.score:.3f}  {first.name}  {second.name}\n")
    if len(pairs) > PAIRS_ON_PAGE:
        logger.warning("the page shows %d of %d pairs", PAIRS_ON_PAGE, len(pairs))
    return [[pictures.tile(first), pictures.tile(second)] for first, second in pairs[:PAIRS_ON_PAGE]]
