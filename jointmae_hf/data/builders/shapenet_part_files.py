"""Files of the `shapenet_part` dataset: which of its two layouts a tree has."""

from pathlib import Path

from .shapenet_part_hdf5 import ShapeNetPartHdf5, find_shapenet_part_hdf5
from .shapenet_part_names import SHAPENET_PART_SYNSETS
from .shapenet_part_text import ShapeNetPartText, find_shapenet_part_text
from .source_files import choose_layout, find_folder


ShapeNetPartFiles = ShapeNetPartHdf5 | ShapeNetPartText

SHAPENET_PART_LAYOUTS: tuple[str, ...] = ("txt", "hdf5")
"""The layouts: text files with normals, HDF5 files."""


def find_shapenet_part_files(data_dir: Path, layout: str | None) -> ShapeNetPartFiles:
    """Find the files of the dataset in the layout that its tree shows.

    Args:
        data_dir (`pathlib.Path`):
            A folder of the published archives, or the one that holds it.
        layout (`str`, *optional*):
            One of `SHAPENET_PART_LAYOUTS`, where the tree has both.

    Returns:
        `ShapeNetPartFiles`: The files.

    Raises:
        ValueError: If there is no layout, or both and `layout` does not choose; or if lists are missing.
    """
    text = find_folder(data_dir, "shapenetcore_partanno_segmentation_benchmark_v0_normal")
    hdf5 = find_folder(data_dir, "hdf5_data", "shapenet_part_seg_hdf5_data/hdf5_data", "shapenet_part_seg_hdf5_data")
    found = {}
    if (text / "train_test_split").is_dir() or any((text / name).is_dir() for name in SHAPENET_PART_SYNSETS.values()):
        found["txt"] = text
    if any(hdf5.glob("ply_data_*.h5")):
        found["hdf5"] = hdf5
    if choose_layout(found, layout, data_dir) == "txt":
        return find_shapenet_part_text(text)
    return find_shapenet_part_hdf5(hdf5)
