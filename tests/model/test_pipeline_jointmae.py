"""Pipelines through `transformers.pipeline`."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from jointmae_hf import (
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.data import read_point_cloud
from jointmae_hf.model.pipeline_jointmae import nearest_rows
from jointmae_hf.model.pooling import POOLINGS, pool_outputs


TASK = "point-cloud-{}"
NAMES = {0: "chair", 1: "lamp", 2: "table"}


@pytest.fixture
def build(build_tiny_config, settle):
    """Build a pipeline of a tiny model, whose weights are large enough for different outputs."""

    def build_pipeline(name, model_class, settings=None, **overrides):
        config = build_tiny_config(id2label=NAMES, **overrides)
        model = settle(model_class(config))
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.Linear) and module.out_features == 3:
                    module.weight.normal_(std=5.0)
        feature_extractor = JointMAEFeatureExtractor(num_points=64, **(settings or {}))
        return pipeline(TASK.format(name), model=model, feature_extractor=feature_extractor)

    return build_pipeline


@pytest.fixture
def classify(build):
    return build("classification", JointMAEForPointCloudClassification)


@pytest.fixture
def segment(build):
    return build("segmentation", JointMAEForPointCloudSegmentation, num_categories=2, category_labels=[[0], [1, 2]])


@pytest.fixture
def extract(build):
    return build("feature-extraction", JointMAEModel)


@pytest.fixture
def clouds():
    generator = np.random.default_rng(0)
    scales = ([1, 1, 1], [5, 1, 1], [1, 1, 0.1])
    return [generator.random((size, 3)) * scale for size, scale in zip((200, 64, 30), scales, strict=True)]


def test_classification_is_softmax_of_the_model_by_name(classify, clouds):
    points = classify.feature_extractor(clouds[0], return_tensors="pt")["points"]
    with torch.no_grad():
        expected = classify.model(points).logits.softmax(dim=-1)[0]
    guesses = classify(clouds[0])
    assert [guess["label"] for guess in guesses] == [
        NAMES[label] for label in expected.argsort(descending=True).tolist()
    ]
    assert [guess["score"] for guess in guesses] == pytest.approx(expected.sort(descending=True).values.tolist())


COLUMNS = {
    "column": lambda dataset: dataset["points"],
    "column of arrays": lambda dataset: dataset.with_format("numpy")["points"],
    "column of a stream": lambda dataset: dataset.to_iterable_dataset()["points"],
    "stream": lambda dataset: map(np.asarray, dataset["points"]),
    "array of objects": lambda dataset: np.array([np.array(points) for points in dataset["points"]], dtype=object),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_a_dataset_holds_one_cloud_a_row(extract, clouds, kind):
    dataset = Dataset.from_dict({"points": [cloud.tolist() for cloud in clouds]})
    found = list(extract(COLUMNS[kind](dataset)))
    for feature, cloud in zip(found, clouds, strict=True):
        np.testing.assert_allclose(feature, extract(cloud), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_dataset_without_its_column_is_refused(extract, clouds, is_stream):
    dataset = Dataset.from_dict({"points": [cloud.tolist() for cloud in clouds]})
    with pytest.raises(ValueError, match=r"`inputs` must be clouds, got a table of \['points'\]\. Pass a column"):
        extract(dataset.to_iterable_dataset() if is_stream else dataset)


def test_labels_that_are_set_later_are_counted_from_0(classify):
    classify.model.config.id2label = {1: "chair", 2: "lamp", 3: "table"}
    parts = {"model": classify.model, "feature_extractor": classify.feature_extractor}
    with pytest.raises(
        ValueError, match=r"`id2label` must have the keys 0 to 2, got \[1, 2, 3\]\. Count labels from 0"
    ):
        pipeline(TASK.format("classification"), **parts)


def test_top_k_limits_the_classes(classify, clouds):
    assert [len(classify(clouds[0], top_k=count)) for count in (1, 2, 7)] == [1, 2, 3]


def test_batches_give_what_single_clouds_give(classify, clouds):
    single = [classify(cloud, top_k=1)[0]["score"] for cloud in clouds]
    for batch_size in (1, 2, 3):
        results = classify(clouds, top_k=1, batch_size=batch_size)
        assert [result[0]["score"] for result in results] == pytest.approx(single, abs=1e-5)


def test_clouds_of_different_shapes_get_different_features(extract, clouds):
    features = extract(clouds)
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_all_kinds_of_input_are_one_cloud(extract, clouds, tmp_path):
    cloud = clouds[0]
    np.save(tmp_path / "a.npy", cloud)
    kinds = [cloud, torch.from_numpy(cloud), cloud.tolist(), tmp_path / "a.npy", str(tmp_path / "a.npy"), list(cloud)]
    features = [extract(kind) for kind in kinds]
    for other in features:
        np.testing.assert_array_equal(other, features[0])
    assert features[0].shape == (32,)


def test_all_kinds_of_batches_are_lists_of_clouds(extract, clouds):
    batch = np.stack([clouds[0], 2 * clouds[0]])
    lists = [list(batch), tuple(batch), batch, torch.from_numpy(batch), batch.tolist()]
    for results in [extract(kind) for kind in lists]:
        assert [result.shape for result in results] == [(32,), (32,)]


def test_generators_and_data_sets_are_read_lazily(extract, clouds):
    expected = extract(clouds)
    data_set = KeyDataset([{"points": cloud} for cloud in clouds], "points")
    for results in (extract(cloud for cloud in clouds), extract(data_set, batch_size=2)):
        assert not isinstance(results, list)
        np.testing.assert_allclose(list(results), expected, atol=1e-5)


def test_features_are_pooled_or_tokens(extract, clouds):
    points = extract.feature_extractor(clouds[0], return_tensors="pt")["points"]
    with torch.no_grad():
        outputs = extract.model(points)
    np.testing.assert_allclose(extract(clouds[0]), outputs.pooler_output[0], atol=1e-6)
    np.testing.assert_allclose(extract(clouds[0], pooling=None), outputs.last_hidden_state[0], atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_features_are_pooled_as_told(extract, clouds, pooling):
    points = extract.feature_extractor(clouds, return_tensors="pt")["points"]
    with torch.no_grad():
        expected = pool_outputs(extract.model(points), pooling)
    np.testing.assert_allclose(np.stack(extract(clouds, pooling=pooling, batch_size=2)), expected, atol=1e-5)


def test_features_have_no_row_for_a_class_token(build, clouds):
    extract = build("feature-extraction", JointMAEForPointCloudClassification, pooling="class")
    config = extract.model.config
    assert extract(clouds[0], pooling=None).shape == (config.num_groups[-1], config.hidden_size)


def test_unknown_pooling_is_refused_before_any_cloud_is_read(extract):
    with pytest.raises(ValueError, match="`pooling` must be one of sum, concat, mean, max, or None, got 'pool'"):
        extract("absent.ply", pooling="pool")


@pytest.mark.parametrize("model_class", [JointMAEForPreTraining, JointMAEForPointCloudClassification])
def test_features_of_a_model_with_a_head_are_those_of_its_encoder(build, clouds, model_class):
    extract = build("feature-extraction", model_class)
    points = extract.feature_extractor(clouds[0], return_tensors="pt")["points"]
    with torch.no_grad():
        expected = extract.model.jointmae(points).pooler_output[0]
    np.testing.assert_allclose(extract(clouds[0]), expected, atol=1e-6)


def test_segmentation_labels_every_point_that_was_given(segment, clouds):
    for cloud, result in zip(clouds, segment(clouds, batch_size=2), strict=True):
        assert result["labels"].shape == result["scores"].shape == (len(cloud),)
        np.testing.assert_array_equal(result["points"], cloud)
        assert sum(part["num_points"] for part in result["parts"]) == len(cloud)
        assert {part["label"] for part in result["parts"]} <= set(NAMES.values())


def test_points_that_the_model_saw_keep_their_own_part(segment, clouds):
    cloud = clouds[1]  # as many points as the model takes, so that all are seen, in their order
    points = segment.feature_extractor(cloud, return_tensors="pt")["points"]
    with torch.no_grad():
        logits = segment.model(points).logits[0]
    result = segment(cloud)
    np.testing.assert_array_equal(result["labels"], logits.argmax(dim=-1))
    np.testing.assert_allclose(result["scores"], logits.softmax(dim=-1).amax(dim=-1), atol=1e-5)
    assert len(np.unique(result["labels"])) > 1


def test_points_take_the_part_of_the_nearest_that_was_seen(segment):
    cloud = np.random.default_rng(1).random((64, 3))
    crowded = np.concatenate([cloud, cloud + 1e-4])
    labels = segment(crowded)["labels"]
    np.testing.assert_array_equal(labels[:64], labels[64:])


def test_nearest_rows_equal_a_naive_search():
    generator = np.random.default_rng(0)
    queries, points = generator.random((50, 3)), generator.random((20, 3))
    expected = [np.square(points - query).sum(axis=1).argmin() for query in queries]
    np.testing.assert_array_equal(nearest_rows(queries, points, chunk_size=7), expected)


def test_category_limits_the_parts(segment, clouds):
    assert set(segment(clouds[0], category=0)["labels"]) == {0}
    results = segment(clouds, category=[1, 0, 1], batch_size=2)
    assert [0 in result["labels"] for result in results] == [False, True, False]


def test_category_reaches_the_model(build, clouds):
    segment = build("segmentation", JointMAEForPointCloudSegmentation)
    results = [segment(clouds[0], category=category)["scores"] for category in (0, 1)]
    assert np.abs(results[0] - results[1]).max() > 1e-4


@pytest.mark.parametrize("category", [2, -1, 0.5, "chair", True + 0.0])
def test_wrong_category_is_refused(segment, clouds, category):
    with pytest.raises(ValueError, match="`category` must be an integer in"):
        segment(clouds[0], category=category)


def test_number_of_categories_must_fit(segment, clouds):
    with pytest.raises(ValueError, match="one entry for each cloud, got 2 and 3 clouds"):
        segment(clouds, category=[0, 1])
    with pytest.raises(ValueError, match="one entry for each cloud"):
        list(segment((cloud for cloud in clouds), category=[0, 1]))


def test_up_axis_of_the_feature_extractor_holds(build, clouds):
    torch.manual_seed(0)
    upright = build("feature-extraction", JointMAEModel)
    torch.manual_seed(0)
    turned = build("feature-extraction", JointMAEModel, {"up_axis": "z"})
    z_up = clouds[0][:, [0, 2, 1]] * [1, -1, 1]
    np.testing.assert_allclose(turned(z_up), upright(clouds[0]), atol=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((5, 3), np.nan), "finite"),
        (np.zeros((5, 2)), r"\(num_points, 3\)"),
        (np.zeros((0, 3)), "at least one point"),
        (np.zeros(3), "cloud of shape"),
        (None, "cloud of shape"),
        ([[0, 0, 0], [1, 1]], "ragged"),
        ("gone.npy", "readable file"),
        ("scan.pcd", "read_point_cloud"),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_bad_cloud_is_named_by_its_index(extract, clouds, bad, message, batch_size):
    with pytest.raises(ValueError, match=rf"`inputs\[1\]`.*{message}"):
        extract([clouds[0], bad], batch_size=batch_size)


def test_text_in_place_of_numbers_is_named_by_its_index(extract):
    with pytest.raises(TypeError, match=r"`inputs\[0\]` must hold real numbers"):
        extract(np.array([["a", "b", "c"]]))


def test_empty_list_is_refused(extract):
    with pytest.raises(ValueError, match="at least one cloud"):
        extract([])


def test_clouds_of_several_sizes_are_not_padded(build, clouds):
    extract = build("feature-extraction", JointMAEModel, {"do_resample": False})
    assert len(extract(clouds[:2])) == 2
    with pytest.raises(ValueError, match="one size"):
        extract(clouds[:2], batch_size=2)


def test_reader_of_the_package_reads_more_formats(extract, clouds, tmp_path):
    np.savez(tmp_path / "a.npz", points=clouds[0].astype(np.float32))
    with pytest.raises(ValueError, match="read_point_cloud"):
        extract(tmp_path / "a.npz")
    np.testing.assert_allclose(extract(tmp_path / "a.npz", reader=read_point_cloud), extract(clouds[0]), atol=1e-5)


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True])
def test_wrong_top_k_is_refused(classify, clouds, top_k):
    with pytest.raises(ValueError, match="`top_k` must be"):
        classify(clouds[0], top_k=top_k)


def test_model_without_the_head_is_refused(build):
    with pytest.raises(ValueError, match=r"head called `classifier`.*JointMAEModel"):
        build("classification", JointMAEModel)


def test_missing_feature_extractor_is_refused(tiny_config):
    with pytest.raises(Exception, match="feature extractor"):
        pipeline(TASK.format("feature-extraction"), model=JointMAEModel(tiny_config))


@pytest.mark.parametrize("name", ["classify", "segment", "extract"])
def test_saved_pipeline_gives_the_same_without_trust(request, clouds, tmp_path, name):
    saved = request.getfixturevalue(name)
    saved.save_pretrained(tmp_path)
    loaded = pipeline(saved.task, model=str(tmp_path))
    assert type(loaded) is type(saved)
    np.testing.assert_equal(loaded(clouds[0]), saved(clouds[0]))


def test_saving_leaves_the_model_as_it_was(classify, tmp_path):
    classify.save_pretrained(tmp_path / "a")
    classify.model.save_pretrained(tmp_path / "b")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert not {"auto_map", "custom_pipelines"} & config.keys()
    assert not list((tmp_path / "b").glob("*.py"))


def test_pipelines_of_others_stay_in_the_configuration(build_tiny_config):
    ours = {"impl": "pipeline_jointmae.JointMAEPointCloudClassificationPipeline", "pt": ["AutoModel"]}
    theirs = {"impl": "mine.Mine", "pt": ["AutoModel"]}
    config = build_tiny_config(custom_pipelines={"point-cloud-classification": ours, "mine": theirs})
    assert config.custom_pipelines == {"mine": theirs}


LOAD_WITHOUT_PACKAGE = """
import sys
sys.modules["jointmae_hf"] = None
import numpy as np
from transformers import pipeline
folder, task, again = sys.argv[1:]
loaded = pipeline(task, model=folder, trust_remote_code=True)
result = loaded(np.load(folder + "/cloud.npy"))
loaded.save_pretrained(again)
repeated = pipeline(model=again, trust_remote_code=True)(folder + "/cloud.npy")
np.testing.assert_equal(repeated, result)
np.save(folder + "/result.npy", np.array([g["score"] for g in result] if isinstance(result, list)
        else result if isinstance(result, np.ndarray) else result["scores"]))
"""


@pytest.mark.hub
@pytest.mark.parametrize("name", ["classify", "segment", "extract"])
def test_saved_pipeline_works_without_the_package(request, clouds, tmp_path, name):
    saved = request.getfixturevalue(name)
    saved.save_pretrained(tmp_path / "saved")
    np.save(tmp_path / "saved" / "cloud.npy", clouds[0])
    arguments = [str(tmp_path / "saved"), saved.task, str(tmp_path / "again")]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", LOAD_WITHOUT_PACKAGE, *arguments], check=True, env=environment, cwd=tmp_path)
    expected = saved(clouds[0])
    if isinstance(expected, list):
        expected = [guess["score"] for guess in expected]
    expected = expected["scores"] if isinstance(expected, dict) else np.array(expected)
    np.testing.assert_array_equal(np.load(tmp_path / "saved" / "result.npy"), expected)


@pytest.mark.hub
def test_code_is_not_run_without_trust(classify, tmp_path):
    classify.save_pretrained(tmp_path)
    code = (
        'import sys; sys.modules["jointmae_hf"] = None\nfrom transformers import pipeline\npipeline(model=sys.argv[1])'
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, input="n\n")
    assert result.returncode != 0
    assert "trust_remote_code" in result.stderr
