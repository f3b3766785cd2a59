"""Features, and the clouds that they are extracted from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jointmae_hf.data import RandomRotate
from jointmae_hf.evaluation import LeadingPoints, extract_features, sample_clouds


class TinyModel(nn.Module):
    """Model with linear tokens; dropout reveals the training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm1d(3).eval()
        self.project = nn.Linear(3, 8)
        self.dropout = nn.Dropout(0.5)
        self.batch_sizes: list[int] = []

    def forward(self, points: Tensor) -> SimpleNamespace:
        assert points.dtype == torch.float32
        assert not torch.is_grad_enabled()
        self.batch_sizes.append(len(points))
        tokens = self.dropout(self.project(points))
        return SimpleNamespace(last_hidden_state=tokens, pooler_output=tokens.mean(1) + tokens.amax(1))


@pytest.fixture
def model() -> TinyModel:
    torch.manual_seed(0)
    return TinyModel()


@pytest.fixture
def clouds() -> list[dict]:
    random = np.random.default_rng(0)
    return [{"points": random.standard_normal((16, 3)), "labels": index % 3} for index in range(7)]


def tokens_of(model: TinyModel, cloud: dict) -> np.ndarray:
    with torch.inference_mode():
        return model.project(torch.as_tensor(cloud["points"], dtype=torch.float32)).numpy()


def test_extract_features_keeps_the_order_of_the_dataset(model, clouds):
    features, labels = extract_features(model, clouds, batch_size=3)
    expected = np.stack([tokens_of(model, c).mean(0) + tokens_of(model, c).max(0) for c in clouds])
    assert np.allclose(features, expected, atol=1e-6)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_extract_features_returns_float32_and_int64(model, clouds):
    features, labels = extract_features(model, clouds)
    assert (features.dtype, labels.dtype) == (np.float32, np.int64)


def test_extract_features_fills_batches(model, clouds):
    extract_features(model, clouds, batch_size=3)
    assert model.batch_sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ("sum", lambda tokens: tokens.mean(0) + tokens.max(0)),
        ("concat", lambda tokens: np.concatenate([tokens.mean(0), tokens.max(0)])),
        ("max", lambda tokens: tokens.max(0)),
        ("mean", lambda tokens: tokens.mean(0)),
    ],
)
def test_extract_features_pools_tokens(model, clouds, pooling, pool):
    features, _ = extract_features(model, clouds, pooling=pooling)
    assert np.allclose(features[0], pool(tokens_of(model, clouds[0])), atol=1e-6)


def test_extract_features_takes_the_first_points(model, clouds):
    features, _ = extract_features(model, clouds, pooling="max", num_points=4)
    assert np.allclose(features[0], tokens_of(model, clouds[0])[:4].max(0), atol=1e-6)


def test_extract_features_takes_a_torch_dataset(model):
    class Clouds(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict:
            return {"points": torch.ones(4, 3), "labels": torch.tensor(index)}

    assert extract_features(model, Clouds())[1].tolist() == [0, 1]


def test_extract_features_returns_no_labels_when_there_are_none(model, clouds):
    assert extract_features(model, [{"points": cloud["points"]} for cloud in clouds])[1] is None


def test_extract_features_restores_the_mode_of_every_module(model, clouds):
    extract_features(model, clouds)
    assert (model.training, model.dropout.training, model.frozen.training) == (True, True, False)


def test_extract_features_restores_the_mode_when_it_fails(model, clouds):
    with pytest.raises(ValueError, match="`num_points` must not exceed"):
        extract_features(model, clouds, num_points=17)
    assert model.training


def test_extract_features_names_the_item_when_sizes_differ(model, clouds):
    clouds[2] = {"points": np.zeros((5, 3)), "labels": 0}
    with pytest.raises(ValueError, match=r"16 points and 5 in item 2"):
        extract_features(model, clouds)


def test_extract_features_names_the_item_when_a_label_is_missing(model, clouds):
    del clouds[4]["labels"]
    with pytest.raises(ValueError, match=r"`labels` must be in every item or in none, got none in item 4"):
        extract_features(model, clouds)


def test_extract_features_names_the_item_when_a_feature_is_nan(model, clouds):
    clouds[5]["points"][0] = np.nan
    with pytest.raises(ValueError, match="finite features, got NaN or infinity for item 5"):
        extract_features(model, clouds, batch_size=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "min"}, "`pooling` must be one of"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"num_points": 0}, "`num_points`"),
        ({"dataset": []}, "`dataset` must hold"),
        ({"dataset": [{"points": np.zeros((4, 2))}]}, "`points` of item 0"),
    ],
)
def test_extract_features_names_the_argument_when_it_is_wrong(model, clouds, arguments, message):
    with pytest.raises(ValueError, match=message):
        extract_features(**({"model": model, "dataset": clouds} | arguments))


def test_sampled_clouds_lie_in_the_unit_sphere(dataset):
    batch = sample_clouds(dataset["train"], max_clouds=10, num_points=32)
    assert batch["points"].shape == (10, 32, 3)
    assert torch.allclose(batch["points"].norm(dim=-1).amax(dim=1), torch.ones(10))


def test_sampled_clouds_are_those_of_the_seed(dataset):
    first, same, other = (sample_clouds(dataset["train"], 10, 64, seed)["labels"] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_sampled_clouds_are_turned_by_the_transform(dataset):
    plain = sample_clouds(dataset["train"], 4, 64)["points"]
    turned = sample_clouds(dataset["train"], 4, 64, transform=RandomRotate())["points"]
    assert not torch.allclose(plain, turned)
    assert torch.allclose(plain.norm(dim=-1), turned.norm(dim=-1), atol=1e-5)


def test_sampling_refuses_no_clouds(dataset):
    with pytest.raises(ValueError, match="`max_clouds` must be at least 1, got 0"):
        sample_clouds(dataset["train"], 0, 64)


def test_leading_points_are_the_first_in_the_unit_sphere(dataset):
    first = torch.tensor(dataset["test"][3]["points"])[:16]
    centered = first - first.mean(dim=0)
    item = LeadingPoints(dataset["test"], 16)[3]
    torch.testing.assert_close(item["points"], centered / centered.norm(dim=1).amax())
    assert item["labels"] == dataset["test"][3]["label"]


def test_leading_points_names_a_cloud_that_is_too_small(dataset):
    with pytest.raises(ValueError, match="`num_points` must not exceed the points of item 2, got 65 and 64"):
        LeadingPoints(dataset["test"], 65)[2]
