import numpy as np
import pytest
import torch
from transformers import BertConfig

from jointmae_hf import JointMAEFeatureExtractor, JointMAEForPreTraining
from jointmae_hf.evaluation import EmbeddingSettings, FileEmbedder, FileReader


TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


@pytest.fixture
def model_dir(tmp_path, tiny_config):
    JointMAEForPreTraining(tiny_config).save_pretrained(tmp_path / "model")
    JointMAEFeatureExtractor(num_points=64, up_axis="z").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def cloud(tmp_path):
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(100, 3)))
    return tmp_path / "cloud.npy"


@pytest.fixture
def mesh(tmp_path):
    (tmp_path / "mesh.off").write_text(TRIANGLE)
    return tmp_path / "mesh.off"


def read(path, name="a/mesh.off", **settings):
    return FileReader(JointMAEFeatureExtractor(num_points=64), EmbeddingSettings(**settings)).read(path, name)


def test_features_are_those_of_the_encoder(model_dir, cloud):
    embedder = FileEmbedder(model_dir)
    inputs = JointMAEFeatureExtractor.from_pretrained(model_dir)(np.load(cloud), return_tensors="pt")
    with torch.no_grad():
        expected = embedder.model(**inputs).pooler_output.numpy()
    np.testing.assert_allclose(embedder.embed_files([cloud]), expected, rtol=1e-5, atol=1e-6)


def test_features_of_a_file_do_not_depend_on_its_neighbors(model_dir, cloud, mesh):
    embedder = FileEmbedder(model_dir, settings=EmbeddingSettings(batch_size=1))
    together = embedder.embed_files([cloud, mesh])
    np.testing.assert_array_equal(together[1:], embedder.embed_files([mesh]))


def test_pooling_and_up_axis_change_features(model_dir, cloud):
    features = [
        FileEmbedder(model_dir, settings=EmbeddingSettings(**settings)).embed_files([cloud])
        for settings in ({}, {"pooling": "max"}, {"up_axis": "y"})
    ]
    assert not np.allclose(features[0], features[1])
    assert not np.allclose(features[0], features[2])


def test_points_of_a_mesh_depend_on_the_seed_alone(mesh, tmp_path):
    moved = tmp_path / "moved.off"
    moved.write_text(TRIANGLE)
    points, num_points = read(mesh)
    assert (points.shape, num_points) == ((64, 3), 64)
    np.testing.assert_array_equal(points, read(moved)[0])
    np.testing.assert_array_equal(points, read(mesh, name="b/mesh.off")[0])
    assert not np.array_equal(points, read(mesh, seed=1)[0])


def test_number_of_points_is_that_of_the_file(cloud):
    assert read(cloud)[1] == 100


def test_error_names_a_file_by_its_name_in_the_table(tmp_path):
    (tmp_path / "broken.ply").write_text("no")
    with pytest.raises(ValueError, match=r"^`a/mesh\.off` must be a complete \.ply file") as refused:
        read(tmp_path / "broken.ply")
    assert str(tmp_path) not in str(refused.value)


def test_points_key_names_the_array(tmp_path):
    np.savez(tmp_path / "scan.npz", a=np.zeros((5, 3)), b=np.eye(3))
    assert read(tmp_path / "scan.npz", points_key="b")[1] == 3


def test_description_has_weights_settings_and_processing(model_dir, tiny_config):
    description = FileEmbedder(model_dir, settings=EmbeddingSettings(seed=7)).describe()
    facts = {"pooling": "sum", "up_axis": "z", "seed": 7, "batch_size": 32, "num_points": 64, "device": "cpu"}
    assert description.items() >= facts.items()
    torch.manual_seed(1)
    JointMAEForPreTraining(tiny_config).save_pretrained(model_dir)
    other = FileEmbedder(model_dir, settings=EmbeddingSettings(seed=7)).describe()
    assert {name for name in other if other[name] != description[name]} == {"weights_sha256"}


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("pooling", "pooler", "`pooling` must be one of sum, concat, mean, max"),
        ("up_axis", "w", '`up_axis` must be "x", "y" or "z"'),
        ("seed", -1, "`seed` must not be negative"),
        ("batch_size", 0, "`batch_size` must be at least 1"),
    ],
)
def test_wrong_setting_is_rejected(field, value, rule):
    with pytest.raises(ValueError, match=f"{rule}.*, got {value!r}"):
        EmbeddingSettings(**{field: value})


def test_model_of_another_type_is_rejected(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"`model` must be a Joint-MAE model, got .* of type bert"):
        FileEmbedder(tmp_path)


def test_feature_extractor_must_resample():
    with pytest.raises(ValueError, match="`feature_extractor` must resample"):
        FileReader(JointMAEFeatureExtractor(do_resample=False), EmbeddingSettings())
