"""The feature extractor that training saves turns each source file into what training saw, for every dataset with files."""

import json
import pickle
from types import SimpleNamespace
from zlib import crc32

import h5py
import numpy as np
import pytest
import torch
from datasets import concatenate_datasets
from transformers import TrainingArguments, pipeline

from jointmae_hf import JointMAEFeatureExtractor, JointMAEForPointCloudClassification
from jointmae_hf.data import (
    MODELNET10_CLASSES,
    Normalize,
    PointCloudDataset,
    PointCloudTensors,
    load_point_clouds,
    read_point_cloud,
)
from jointmae_hf.data.builders.modelnet40_layouts import ModelNet40Meshes
from jointmae_hf.data.builders.modelnet_few_shot import DrawnFold
from jointmae_hf.data.few_shot_folds import FoldDraw
from jointmae_hf.data.source_frame import SourceFrame, source_frame
from jointmae_hf.evaluation.few_shot import FewShotSplit
from jointmae_hf.model.pipeline_jointmae import NumberedCloud
from jointmae_hf.training import finetuning, pretraining
from jointmae_hf.training.finetuning_recipes import FINE_TUNING_RECIPES
from jointmae_hf.training.point_sampling import PointSampling
from jointmae_hf.training.recipes import RECIPES


PYRAMID = "OFF\n5 5 0\n0 0 0\n4 0 0\n4 4 0\n0 4 0\n1 2 8\n4 0 1 2 3\n3 0 1 4\n3 1 2 4\n3 2 3 4\n3 3 0 4\n"
CLOUDS = np.random.default_rng(0).uniform(0, [1, 2, 3], (4, 2048, 3)).astype(np.float32)


def write_folder(root, ending):
    (root / "chair").mkdir(parents=True)
    path = root / "chair" / f"a{ending}"
    if ending == ".npy":
        np.save(path, CLOUDS[0])
    else:
        path.write_text(PYRAMID)
    rng = np.random.default_rng([0, crc32(f"chair/a{ending}".encode())])
    return lambda: read_point_cloud(path, 64, rng=rng)


def write_modelnet40_hdf5(root):
    root.mkdir()
    for split in ("train", "test"):
        (root / f"{split}_files.txt").write_text(f"ply_data_{split}0.h5\n")
        with h5py.File(root / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = CLOUDS, np.zeros((len(CLOUDS), 1), np.uint8)
    return lambda: CLOUDS[0]


def write_modelnet40_text(root):
    (root / "airplane").mkdir(parents=True)
    rows = np.random.default_rng(0).uniform(0, 1, (10_000, 6)).round(6)
    for split, name in (("train", "airplane_0001"), ("test", "airplane_0002")):
        (root / f"modelnet40_{split}.txt").write_text(f"{name}\n")
        np.savetxt(root / "airplane" / f"{name}.txt", rows, fmt="%.6f", delimiter=",")
    return lambda: rows[:, :3]


def write_modelnet40_pickles(root):
    root.mkdir()
    cloud = np.random.default_rng(0).uniform(0, 1, (8192, 6)).astype(np.float32)
    for split in ("train", "test"):
        (root / f"modelnet40_{split}_8192pts_fps.dat").write_bytes(pickle.dumps([[cloud], [np.array([0])]]))
    return lambda: cloud[:, :3]


def write_modelnet40_meshes(root):
    for name in MODELNET10_CLASSES:
        for split, number in (("train", "0001"), ("test", "0101")):
            (root / name / split).mkdir(parents=True)
            (root / name / split / f"{name}_{number}.off").write_text(PYRAMID)
    rng = np.random.default_rng([0, crc32(b"bathtub_0001")])
    return lambda: read_point_cloud(root / "bathtub" / "train" / "bathtub_0001.off", 64, rng=rng)


def write_few_shot(root):
    (root / "5way_10shot").mkdir(parents=True)
    cloud = np.random.default_rng(0).uniform(0, 1, (8192, 6)).astype(np.float32)
    fold = {
        split: [(cloud, label, label) for label in range(5) for _ in range(count)]
        for split, count in (("train", 10), ("test", 20))
    }
    (root / "5way_10shot" / "0.pkl").write_bytes(pickle.dumps(fold))
    return lambda: cloud[:, :3]


def write_scanobjectnn(root):
    (root / "main_split").mkdir(parents=True)
    for split in ("training", "test"):
        with h5py.File(root / "main_split" / f"{split}_objectdataset.h5", "w") as file:
            file["data"], file["label"] = CLOUDS[:2], np.zeros(2, np.int32)
            file["mask"] = np.zeros((2, 2048), np.int32)
    return lambda: CLOUDS[0]


def write_shapenet55(root):
    (root / "shapenet_pc").mkdir(parents=True)
    cloud = np.resize(CLOUDS, (8192, 3))
    for split in ("train", "test"):
        np.save(root / "shapenet_pc" / f"02691156-{split}.npy", cloud)
        (root / f"{split}.txt").write_text(f"02691156-{split}.npy\n")
    return lambda: read_point_cloud(root / "shapenet_pc" / "02691156-train.npy")


def write_shapenet_part_text(root):
    (root / "train_test_split").mkdir(parents=True)
    (root / "02691156").mkdir()
    rows = np.column_stack([CLOUDS[0], CLOUDS[1], np.zeros(2048)]).round(6)
    for split in ("train", "val", "test"):
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(
            json.dumps([f"shape_data/02691156/{split}"])
        )
        np.savetxt(root / "02691156" / f"{split}.txt", rows, fmt="%.6f")
    return lambda: rows[:, :3]


def write_shapenet_part_hdf5(root):
    root.mkdir()
    for split in ("train", "val", "test"):
        (root / f"{split}_hdf5_file_list.txt").write_text(f"ply_data_{split}0.h5\n")
        with h5py.File(root / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = CLOUDS[:1], np.zeros((1, 1), np.uint8)
            file["pid"] = np.zeros((1, 2048), np.uint8)
    return lambda: CLOUDS[0]


MESHES = {"num_classes": 10, "num_points": 64}
DATASETS = {
    "folder x": ("folder", lambda root: write_folder(root, ".npy"), {"up_axis": "x"}),
    "folder y": ("folder", lambda root: write_folder(root, ".npy"), {}),
    "folder z": ("folder", lambda root: write_folder(root, ".npy"), {"up_axis": "z"}),
    "folder of meshes": ("folder", lambda root: write_folder(root, ".off"), {"up_axis": "z", "num_points": 64}),
    "modelnet40 hdf5": ("modelnet40", write_modelnet40_hdf5, {}),
    "modelnet40 txt": ("modelnet40", write_modelnet40_text, {}),
    "modelnet40 dat": ("modelnet40", write_modelnet40_pickles, {}),
    "modelnet40 off": ("modelnet40", write_modelnet40_meshes, MESHES),
    "modelnet_few_shot": ("modelnet_few_shot", write_few_shot, {}),
    "scanobjectnn": ("scanobjectnn", write_scanobjectnn, {"subset": "obj_bg"}),
    "shapenet55": ("shapenet55", write_shapenet55, {}),
    "shapenet_part txt": ("shapenet_part", write_shapenet_part_text, {}),
    "shapenet_part hdf5": ("shapenet_part", write_shapenet_part_hdf5, {}),
}


@pytest.fixture(scope="module", params=DATASETS)
def trained(request, tmp_path_factory):
    """A trainer whose training split is built, opened from the cache and held out of, and its first file as read."""
    folder = tmp_path_factory.mktemp("frames")
    name, write, options = DATASETS[request.param]
    read = write(folder / "data")
    for _ in range(2):
        train = load_point_clouds(name, folder / "data", "train", cache_dir=folder / "cache", **options)
    train = train.select([0])
    return SimpleNamespace(train_dataset=PointCloudDataset(train), file=read())


@pytest.fixture
def save(trained, build_tiny_config, tmp_path):
    """Save a run as the scripts do, and load its feature extractor."""

    def save(recipe=None):
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
        if recipe is None:
            splits = {"train": trained.train_dataset.dataset, "validation": trained.train_dataset.dataset}
            trainer = pretraining.build_trainer(build_tiny_config(), RECIPES["quick"], arguments, splits)
        else:
            sampling = PointSampling(
                trained.train_dataset, FINE_TUNING_RECIPES["classification"][recipe], 64, arguments.seed
            )
            model = JointMAEForPointCloudClassification(build_tiny_config())
            trainer = finetuning.build_fine_tuning_trainer(model, arguments, sampling, trained.train_dataset)
        trainer.save_pretrained(tmp_path)
        return JointMAEFeatureExtractor.from_pretrained(tmp_path)

    return save


@pytest.mark.parametrize("recipe", [None, "quick", "paper_scanobjectnn"])
def test_saved_feature_extractor_reproduces_what_training_saw(trained, save, recipe):
    extractor = save(recipe)
    expected = torch.from_numpy(trained.train_dataset[0]["points"].copy())[None]
    if recipe != "paper_scanobjectnn":
        expected = Normalize()(expected, epoch=0, index=torch.zeros(1, dtype=torch.int64))
    prepared = extractor(trained.file, do_resample=False, return_tensors="pt")["points"]
    torch.testing.assert_close(prepared, expected, rtol=1e-5, atol=1e-5)


def test_pipeline_prepares_a_mesh_of_modelnet40_as_training_saw_it(build_tiny_config, tmp_path):
    write_modelnet40_meshes(tmp_path / "data")
    train = load_point_clouds("modelnet40", tmp_path / "data", "train", cache_dir=tmp_path / "cache", **MESHES)
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    splits = {"train": train, "validation": train}
    trainer = pretraining.build_trainer(build_tiny_config(), RECIPES["quick"], arguments, splits)
    trainer.save_pretrained(tmp_path / "run")
    extract = pipeline("point-cloud-feature-extraction", model=str(tmp_path / "run"))
    path = tmp_path / "data" / "bathtub" / "train" / "bathtub_0001.off"
    prepared = extract.preprocess(NumberedCloud(0, path))["clouds"].points
    # The points of a surface are random, but its corners and the place of its top are not.
    seen = train.with_format("numpy")[0]["points"]
    np.testing.assert_allclose(prepared.min(axis=0), seen.min(axis=0), atol=0.25)
    np.testing.assert_allclose(prepared.max(axis=0), seen.max(axis=0), atol=0.25)
    top, top_seen = (points[points[:, 1].argmax()] for points in (prepared, seen))
    np.testing.assert_allclose(top, top_seen, atol=0.25)


def test_a_drawn_fold_has_the_frame_of_its_meshes():
    fold = DrawnFold({}, [], FoldDraw(5, 10, 0, 0), ModelNet40Meshes({}, [], 64, 0))
    assert fold.frame == SourceFrame("z", do_mirror=True, do_normalize=True)


def test_frame_of_clouds_without_files_is_theirs():
    assert source_frame(PointCloudTensors(torch.zeros(1, 2, 3))) == SourceFrame()


def test_frame_is_found_in_a_few_shot_split_and_in_joined_splits(tmp_path):
    write_folder(tmp_path / "data", ".npy")
    clouds = load_point_clouds("folder", tmp_path / "data", "train", cache_dir=tmp_path / "cache", up_axis="z")
    assert source_frame(FewShotSplit(clouds, [0])) == SourceFrame("z")
    assert source_frame(concatenate_datasets([clouds, clouds])) == SourceFrame("z")


def test_frames_that_differ_are_refused(tmp_path):
    write_folder(tmp_path / "data", ".npy")
    parts = [
        load_point_clouds("folder", tmp_path / "data", "train", cache_dir=tmp_path / "cache", up_axis=up_axis)
        for up_axis in ("y", "z")
    ]
    with pytest.raises(ValueError, match="`clouds` must come from files of one frame"):
        source_frame(concatenate_datasets(parts))
