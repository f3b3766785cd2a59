"""Which folder of a file names its split and which its class, for the `folder` dataset."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath


SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Names of each split, those of `datasets`; upper or lower case, also as in `train_set` or `TrainData`."""

_SPLIT_OF_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_FILLER = "dataset|data|set|split|files|clouds|points|meshes|shapes|samples"
_CONTAINERS = {"mesh", "meshes", "model", "models", "obj", "off", "ply", "pointcloud", "pointclouds", "points"}

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """The split of a file, and its class if it has one."""

    split: str
    class_name: str | None


@cache
def split_of_folder(name: str) -> str | None:
    """Return the split that a folder is named after, if any: `"test"` for `Testing` or `test_data`."""
    words = [re.sub(r"(19|20)\d\d$", "", word) for word in re.split(r"[\W_]+", name.casefold())]
    kept = [word for word in words if word and not re.fullmatch(rf"{_FILLER}|\d\d?", word)]
    return _SPLIT_OF_NAME.get(re.sub(rf"({_FILLER})$", "", kept[0])) if len(kept) == 1 else None


def check_layout(layout: str) -> None:
    """Raise unless a layout consists of `split`, `class`, `*` and `**`, or is `flat`."""
    parts = layout.split("/") if isinstance(layout, str) else []
    counts = Counter(parts)
    is_known = set(parts) <= {"split", "class", "*", "**"} and (counts["split"] or counts["class"])
    if layout != "flat" and (not is_known or any(counts[part] > 1 for part in ("split", "class", "**"))):
        raise ValueError(
            '`layout` must be "flat" or folders joined by "/", each "split", "class", "*" (any folder) or "**" (any '
            f'number of folders), with "split" or "class" and none but "*" twice, got {layout!r}.'
        )


def read_places(paths: Sequence[PurePath], layout: str | None, others: Sequence[PurePath] = ()) -> list[Place]:
    """Return split and class of every file.

    Args:
        paths (`Sequence[pathlib.PurePath]`):
            Paths below the dataset, at least one.
        layout (`str`, *optional*):
            See `PointCloudFolder`. Without it, the only layout that the names of the folders allow.
        others (`Sequence[pathlib.Path]`, *optional*):
            Paths of files that are not read, such as lists of splits.

    Returns:
        `list[Place]`: In the order of `paths`.

    Raises:
        ValueError: If a file does not fit `layout`, the folders can be read in several ways, two folders name one split, or
            names tell splits apart that no folder of their own holds.
    """
    folders = [path.parts[:-1] for path in paths]
    if layout is None:
        layout = _find_layout(paths, folders)
        if "split" not in layout:
            _check_names_without_splits([*paths, *others], layout)
    places = [_place(parents, layout) for parents in folders]
    for path, place in zip(paths, places, strict=True):
        if place is None:
            raise ValueError(f"`layout` must fit every file, got {layout!r} and {path.as_posix()}.")
    _check_names_of_splits(folders, layout)
    return [place for place in places if place is not None]


def _bind(parents: Folders, layout: str) -> dict[str, int] | None:
    """Return the positions of `split` and `class` among the folders of a file, or `None` if it does not fit."""
    if layout == "flat":
        return {}
    head, has_any, tail = (part.strip("/") for part in layout.partition("**"))
    first, last = ([part for part in half.split("/") if part] for half in (head, tail))
    if len(parents) < len(first) + len(last):
        return None
    positions = {part: position for position, part in enumerate(first) if part != "*"}
    start = len(parents) - len(last) if has_any else len(first)
    return positions | {part: start + position for position, part in enumerate(last) if part != "*"}


def _place(parents: Folders, layout: str) -> Place | None:
    """Return how a layout reads the folders of a file, or `None` if it does not fit."""
    bound = _bind(parents, layout)
    if bound is None:
        return None
    split = split_of_folder(parents[bound["split"]]) if "split" in bound else "train"
    return None if split is None else Place(split, parents[bound["class"]] if "class" in bound else None)


def _check_names_of_splits(folders: Sequence[Folders], layout: str) -> None:
    """Raise if two folders next to each other name one split, such as `val` and `validation`."""
    names: dict[tuple[Folders, str], str] = {}
    for parents in folders:
        position = (_bind(parents, layout) or {}).get("split")
        if position is None:
            continue
        name = parents[position]
        other = names.setdefault((parents[:position], str(split_of_folder(name))), name)
        if other != name:
            raise ValueError(
                f"`data_dir` must hold one folder for each split, got {other!r} and {name!r} for "
                f"{split_of_folder(name)!r}. Rename one of them."
            )


def _split_in_name(name: str) -> str | None:
    """Return the split that the first or last word of a name is, if any: `"test"` for `chair_0001_test`."""
    words = [word for word in re.split(r"[\W_]+|(?<=[a-z])(?=\d)", name.casefold()) if re.search("[a-z]", word)]
    return next((_SPLIT_OF_NAME[word] for word in words[:1] + words[-1:] if word in _SPLIT_OF_NAME), None)


def _check_names_without_splits(paths: Sequence[PurePath], layout: str) -> None:
    """Raise if the names of files or folders tell splits apart that a layout would merge into `train`."""
    found: dict[str, PurePath] = {}
    for path in paths:
        for name in (*path.parts[:-1], path.stem):
            found.setdefault(_split_in_name(name) or "", path)
    found.pop("", None)
    if len(found) > 1:
        first, second = sorted(found.items(), key=lambda item: item[0] == "train")[:2]
        raise ValueError(
            f"`data_dir` must be readable in one way, got two: all files are of split 'train' by `layout={layout!r}`; by "
            f"their names {first[1].as_posix()} is of {first[0]!r} and {second[1].as_posix()} of {second[0]!r}. Move the "
            f"files of each split to a folder of its name, or set `layout` to {layout!r} if they are of one split."
        )


def _find_layout(paths: Sequence[PurePath], folders: Sequence[Folders]) -> str:
    """Return the only layout that the names of the folders allow, or raise an error that shows the readings."""
    levels = [[parents[level : level + 1] for parents in folders] for level in range(max(map(len, folders)))]
    splits = [[bool(name) and split_of_folder(name[0]) is not None for name in names] for names in levels]
    is_split, names_split = [all(level) for level in splits], [any(level) for level in splits]
    is_second_split = len(levels) > 1 and is_split[1]
    if not any(names_split):
        layouts = _class_layouts(paths, folders, folders, "")
    elif is_split[0] and not is_second_split:
        layouts = _class_layouts(paths, folders, [parents[1:] for parents in folders], "split/")
    elif is_second_split and not is_split[0] and not any(names_split[2:]):
        layouts = _class_first_layouts(folders)
    elif names_split[0]:
        without_class = "class/split" if is_second_split else "class"
        layouts = ["split" if min(map(len, folders)) < 2 else "split/class", without_class]
    else:
        layouts = ["class", "*/" * (names_split.index(True) - 1) + "class/split"]
    if len(layouts) > 1:
        raise ValueError(_describe_readings(paths, folders, layouts))
    return layouts[0]


def _class_layouts(
    paths: Sequence[PurePath], folders: Sequence[Folders], below: Sequence[Folders], prefix: str
) -> list[str]:
    """Return the layouts that fit the folders `below` the splits; several if they are ambiguous."""
    without = [path.as_posix() for path, parents in zip(paths, below, strict=True) if not parents]
    if without and len(without) < len(below):
        raise ValueError(
            f"`data_dir` must hold all its files in class folders or none, got {len(without)} of {len(below)} outside, "
            f"such as {without[0]}. Move it, or name the endings to read in `suffixes`."
        )
    no_class = prefix.rstrip("/") or "flat"
    if without:
        return [no_class]
    if all(len(parents) == 1 for parents in below):
        return [f"{prefix}class"]
    if not _are_shape_folders(folders, below):
        return [f"{prefix}class", f"{prefix}**/class"]
    # In `train/<id>/models/model.obj`, what stands in place of the class is the name of a shape.
    names = {parents[0] for parents in below}
    if len(names) == len(below) > 1 and all(_is_id(name) for name in names) and not any(map(_ids_in, below)):
        return [f"{prefix}class", no_class]
    return [f"{prefix}class"]


def _class_first_layouts(folders: Sequence[Folders]) -> list[str]:
    """Return the layouts that fit splits at the second level; several if the class may lie below them."""
    below = [(parents[0], *parents[2:]) for parents in folders]
    if all(len(parents) == 1 for parents in below):
        return ["class/split"]
    if len({parents[0] for parents in below}) > 1 and _are_shape_folders(folders, below):
        return ["class/split"]
    return ["class/split", "*/split/class"]


def _are_shape_folders(folders: Sequence[Folders], below: Sequence[Folders]) -> bool:
    """Return whether all files lie as in `class/<id>/models/model.obj`: one cloud in each folder of a shape."""
    ids = [_ids_in(parents) for parents in below]
    if any(len(parents) == 1 or len(names) > 1 for parents, names in zip(below, ids, strict=True)):
        return False
    if not all(
        _is_id(name) or name != parents[-1] for parents, names in zip(below, ids, strict=True) for name in names
    ):
        return False
    # Small numbers below a single folder may as well be classes.
    if len({parents[0] for parents in below}) == 1 and all(re.fullmatch(r"\d\d?", parents[-1]) for parents in below):
        return False
    counts = Counter((parents[:2], names) for parents, names in zip(folders, ids, strict=True) if names)
    return all(count == 1 for count in counts.values())


def _ids_in(parents: Folders) -> Folders:
    """Return the folders below the class, without those that only hold the files of a shape."""
    return tuple(name for name in parents[1:] if name.casefold() not in _CONTAINERS)


def _is_id(name: str) -> bool:
    """Return whether the name of a folder looks like that of a shape: it has a digit."""
    return any(character.isdigit() for character in name)


def _describe_readings(paths: Sequence[PurePath], folders: Sequence[Folders], layouts: Sequence[str]) -> str:
    """Return the message for folders that can be read in several ways, with an example."""
    readings = [[_place(parents, layout) for layout in layouts] for parents in folders]
    both = (row for row, places in enumerate(readings) if None not in places and places[0] != places[1])
    row = next(both, 0)
    texts = []
    for layout, place in zip(layouts, readings[row], strict=True):
        stray = next((path for path, parents in zip(paths, folders, strict=True) if not _place(parents, layout)), None)
        misfit = f", which does not fit {stray.as_posix()}" if stray is not None and place is not None else ""
        texts.append(f"{_describe_place(place)} by `layout={layout!r}`{misfit}")
    return (
        f"`data_dir` must be readable in one way, got two for {paths[row].as_posix()}: {'; '.join(texts)}. "
        "Set `layout` to the one you mean, or rename the folders."
    )


def _describe_place(place: Place | None) -> str:
    """Return how a file is read, in words."""
    if place is None:
        return "nothing"
    return f"split {place.split!r}, " + ("no class" if place.class_name is None else f"class {place.class_name!r}")
