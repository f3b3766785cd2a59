"""Categories, parts, published counts and sources of ShapeNetPart."""

from .dataset_source import DatasetSource


SHAPENET_PART_SYNSETS: dict[str, str] = {
    "Airplane": "02691156",
    "Bag": "02773838",
    "Cap": "02954340",
    "Car": "02958343",
    "Chair": "03001627",
    "Earphone": "03261776",
    "Guitar": "03467517",
    "Knife": "03624134",
    "Lamp": "03636649",
    "Laptop": "03642806",
    "Motorbike": "03790512",
    "Mug": "03797390",
    "Pistol": "03948459",
    "Rocket": "04099429",
    "Skateboard": "04225987",
    "Table": "04379243",
}
"""WordNet offset of every category, in the order of their labels."""

SHAPENET_PART_PARTS: dict[str, tuple[int, ...]] = {
    "Airplane": (0, 1, 2, 3),
    "Bag": (4, 5),
    "Cap": (6, 7),
    "Car": (8, 9, 10, 11),
    "Chair": (12, 13, 14, 15),
    "Earphone": (16, 17, 18),
    "Guitar": (19, 20, 21),
    "Knife": (22, 23),
    "Lamp": (24, 25, 26, 27),
    "Laptop": (28, 29),
    "Motorbike": (30, 31, 32, 33, 34, 35),
    "Mug": (36, 37),
    "Pistol": (38, 39, 40),
    "Rocket": (41, 42, 43),
    "Skateboard": (44, 45, 46),
    "Table": (47, 48, 49),
}
"""Part labels that the points of every category can have; 50 in all."""

CATEGORIES = tuple(SHAPENET_PART_SYNSETS)
OFFICIAL_COUNTS = {"train": 12_137, "validation": 1_870, "test": 2_874}
LIST_OF_SPLIT = {"train": "train", "validation": "val", "test": "test"}

SHAPENET_PART_SOURCE = DatasetSource(
    name="ShapeNetPart",
    where="shapenet.cs.stanford.edu/media (often down): shapenetcore_partanno_segmentation_benchmark_v0_normal.zip and "
    "shapenet_part_seg_hdf5_data.zip; mirrors on the Hugging Face Hub, such as cminst/ShapeNet",
    licence="ShapeNet terms (shapenet.org): non-commercial research and education, no redistribution",
    tree="""
one of
  shapenetcore_partanno_segmentation_benchmark_v0_normal/   layout="txt"
    train_test_split/shuffled_train_file_list.json, shuffled_val_file_list.json, shuffled_test_file_list.json
    synsetoffset2category.txt, 02691156/1021a0914a7207aff927ed529ad90a11.txt ... of lines x y z nx ny nz part
  hdf5_data/   layout="hdf5"
    train_hdf5_file_list.txt, val_hdf5_file_list.txt, test_hdf5_file_list.txt
    ply_data_train0.h5 ... with data (n, 2048, 3), label (n, 1) and pid (n, 2048)
""",
)
