"""Files of the `modelnet40` dataset: which of its four layouts a tree has."""

from pathlib import Path

from .modelnet40_hdf5 import ModelNet40Hdf5, find_modelnet40_hdf5
from .modelnet40_meshes import ModelNet40Meshes, find_modelnet40_meshes
from .modelnet40_names import CLASSES
from .modelnet40_pickles import ModelNet40Pickles, find_modelnet40_pickles
from .modelnet40_text import ModelNet40Text, find_modelnet40_text
from .source_files import choose_layout, find_folder


ModelNet40Files = ModelNet40Hdf5 | ModelNet40Meshes | ModelNet40Pickles | ModelNet40Text

MODELNET40_LAYOUTS: tuple[str, ...] = ("hdf5", "txt", "dat", "off")
"""The layouts: HDF5 files, text files, Point-BERT's pickles, meshes."""

_DEFAULT_NUM_POINTS = 2048


def check_modelnet40_options(num_classes: int, layout: str | None, num_points: int | None, seed: int | None) -> None:
    """Check the options of the dataset before any file is looked for.

    Args:
        num_classes (`int`):
            As in `find_modelnet40_files`.
        layout (`str`, *optional*):
            As there.
        num_points (`int`, *optional*):
            As there.
        seed (`int`, *optional*):
            As there.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a value is not admitted.
    """
    if num_classes not in CLASSES:
        raise ValueError(f"`num_classes` must be 40 or 10, got {num_classes!r}.")
    if layout is not None and layout not in MODELNET40_LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(map(repr, MODELNET40_LAYOUTS))}, got {layout!r}.")
    for name, value, least in (("num_points", num_points, 1), ("seed", seed, 0)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"`{name}` must be an int, got {value!r}.")
        if value is not None and value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")


def _find_layouts(data_dir: Path, num_classes: int) -> dict[str, Path]:
    """Folder of each layout that the tree shows."""
    hdf5 = find_folder(data_dir, "modelnet40_ply_hdf5_2048")
    clouds = find_folder(data_dir, "modelnet40_normal_resampled")
    meshes = find_folder(data_dir, f"ModelNet{num_classes}", "ModelNet40", "ModelNet10")
    classes = CLASSES[num_classes]
    is_there = {
        "hdf5": any(hdf5.glob("ply_data_*.h5")),
        "txt": any(any((clouds / name).glob("[!.]*.txt")) for name in classes),
        "dat": any(clouds.glob("modelnet*_*pts_fps.dat")),
        "off": any((meshes / name / split).is_dir() for name in classes for split in ("train", "test")),
    }
    folders = {"hdf5": hdf5, "txt": clouds, "dat": clouds, "off": meshes}
    return {layout: folders[layout] for layout in MODELNET40_LAYOUTS if is_there[layout]}


def find_modelnet40_files(
    data_dir: Path, num_classes: int, layout: str | None, num_points: int | None, seed: int | None
) -> ModelNet40Files:
    """Find the files of the dataset in the layout that its tree shows.

    Args:
        data_dir (`pathlib.Path`):
            A folder of the published archives, or the one that holds it.
        num_classes (`int`):
            40 or 10.
        layout (`str`, *optional*):
            One of `MODELNET40_LAYOUTS`, where the tree has several.
        num_points (`int`, *optional*):
            Points to sample from every mesh, 2,048 without it. For the layout `"off"` alone.
        seed (`int`, *optional*):
            Seed of the points, 0 without it. For the layout `"off"` alone.

    Returns:
        `ModelNet40Files`: The files.

    Raises:
        ValueError: If there is no layout, or several and `layout` does not choose; if files are missing; or an option
            does not go with the layout.
    """
    found = _find_layouts(data_dir, num_classes)
    layout = choose_layout(found, layout, data_dir)
    if layout == "off":
        num_points = _DEFAULT_NUM_POINTS if num_points is None else num_points
        return find_modelnet40_meshes(found[layout], num_classes, num_points, 0 if seed is None else seed)
    if num_points is not None or seed is not None:
        raise ValueError(f"`num_points` and `seed` must be left out but for meshes, got them for layout {layout!r}.")
    if layout == "hdf5":
        return find_modelnet40_hdf5(found[layout], num_classes)
    if layout == "txt":
        return find_modelnet40_text(found[layout], num_classes)
    return find_modelnet40_pickles(found[layout], num_classes)
