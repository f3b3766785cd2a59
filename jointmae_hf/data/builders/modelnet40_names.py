"""Classes, published counts and sources of ModelNet40 and ModelNet10."""

from .dataset_source import DatasetSource


MODELNET40_CLASSES: tuple[str, ...] = (
    "airplane",
    "bathtub",
    "bed",
    "bench",
    "bookshelf",
    "bottle",
    "bowl",
    "car",
    "chair",
    "cone",
    "cup",
    "curtain",
    "desk",
    "door",
    "dresser",
    "flower_pot",
    "glass_box",
    "guitar",
    "keyboard",
    "lamp",
    "laptop",
    "mantel",
    "monitor",
    "night_stand",
    "person",
    "piano",
    "plant",
    "radio",
    "range_hood",
    "sink",
    "sofa",
    "stairs",
    "stool",
    "table",
    "tent",
    "toilet",
    "tv_stand",
    "vase",
    "wardrobe",
    "xbox",
)
"""Names of the classes in the order of their labels."""

MODELNET10_CLASSES: tuple[str, ...] = (
    "bathtub",
    "bed",
    "chair",
    "desk",
    "dresser",
    "monitor",
    "night_stand",
    "sofa",
    "table",
    "toilet",
)
"""Names of the ten classes of ModelNet10, in the order of their labels there."""

CLASSES = {40: MODELNET40_CLASSES, 10: MODELNET10_CLASSES}
OFFICIAL_COUNTS = {40: {"train": 9_843, "test": 2_468}, 10: {"train": 3_991, "test": 908}}
# airplane_0050, curtain_0130 and plant_0014 are not in the HDF5 files.
HDF5_COUNTS = {40: {"train": 9_840, "test": 2_468}, 10: {"train": 3_991, "test": 908}}

MODELNET40_SOURCE = DatasetSource(
    name="ModelNet40",
    where="modelnet.cs.princeton.edu (meshes), shapenet.cs.stanford.edu/media (clouds; often down, mirrors exist on the "
    "Hugging Face Hub and in the releases of github.com/ma-xu/pointMLP-pytorch), the data page of Point-BERT (.dat)",
    licence="academic research only; the models are their authors' (modelnet.cs.princeton.edu)",
    tree="""
one of
  modelnet40_ply_hdf5_2048/   layout="hdf5"
    train_files.txt, test_files.txt, ply_data_train0.h5 ... with data (n, 2048, 3) and label (n, 1)
    ply_data_train_0_id2file.json ...   names of the rows, optional
  modelnet40_normal_resampled/   layout="txt"
    modelnet40_train.txt, modelnet40_test.txt, airplane/airplane_0001.txt ... of 10,000 lines x,y,z,nx,ny,nz
  modelnet40_normal_resampled/   layout="dat"
    modelnet40_train_8192pts_fps.dat, modelnet40_test_8192pts_fps.dat
  ModelNet40/   layout="off"
    airplane/train/airplane_0001.off ..., airplane/test/airplane_0627.off ...
""",
)


def class_of_shape(name: str) -> str:
    """Take the class out of the name of a shape, which may hold underscores.

    Args:
        name (`str`):
            Such as `"night_stand_0001"`.

    Returns:
        `str`: Such as `"night_stand"`.
    """
    return name.rpartition("_")[0]


def label_of_shape(name: str, num_classes: int, place: str) -> int:
    """Look up the label of a shape by its name.

    Args:
        name (`str`):
            Such as `"night_stand_0001"`.
        num_classes (`int`):
            40 or 10.
        place (`str`):
            Where the name was found, for the message.

    Returns:
        `int`: The label.

    Raises:
        ValueError: If the class is unknown.
    """
    class_name = class_of_shape(name)
    if class_name not in CLASSES[num_classes]:
        raise ValueError(
            f"Shapes must be named `<class>_<number>` with a class of ModelNet{num_classes}, got {name!r} in {place}."
        )
    return CLASSES[num_classes].index(class_name)
