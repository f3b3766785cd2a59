"""Fixtures that all tests share: a tiny configuration, clouds in the unit sphere, tolerances."""

import pytest
import torch

from jointmae_hf import JointMAEConfig


TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "num_points": 64,
    "num_groups": [32, 16],
    "group_size": [4, 4],
    "image_size": 32,
    "target_group_size": 4,
    "classifier_hidden_sizes": [16, 16],
    "propagation_hidden_sizes": [32, 24],
    "segmentation_hidden_sizes": [24, 16],
    "category_embedding_size": 8,
}


def pytest_ignore_collect(collection_path, config):
    """Hold no doctests in `conftest.py` files: several of one name cannot be imported side by side."""
    return True if collection_path.name == "conftest.py" else None


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads cost more than they bring at these sizes, and one thread sums in one order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def fresh_compiler():
    """Forget the graphs of other tests: torch would take sizes that differ from theirs for dynamic."""
    torch._dynamo.reset()


@pytest.fixture(scope="session")
def build_tiny_config():
    """Build the tiny configuration with some fields changed."""
    return lambda **overrides: JointMAEConfig(**{**TINY, **overrides})


@pytest.fixture
def tiny_config(build_tiny_config):
    return build_tiny_config()


@pytest.fixture
def make_cloud():
    """Draw clouds that fill the unit sphere: zero mean, largest radius 1."""

    def draw(batch_size=2, num_points=64, seed=0, dtype=torch.float32):
        generator = torch.Generator().manual_seed(seed)
        points = torch.randn(batch_size, num_points, 3, generator=generator, dtype=torch.float64)
        points = points - points.mean(dim=1, keepdim=True)
        return (points / points.norm(dim=-1).amax(dim=1)[:, None, None]).to(dtype)

    return draw


@pytest.fixture
def unit_sphere_cloud(make_cloud):
    return make_cloud()


@pytest.fixture
def settle(make_cloud):
    """Give batch norms the statistics of a batch, and return the model in eval mode.

    With initial statistics the five linear layers of the 3D embedding shrink its tokens to 1e-12, and whatever a
    test says about groups would hold of anything.
    """

    def settle_statistics(model):
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.momentum = 1.0
        with torch.no_grad():
            model.train()(make_cloud(4, seed=5))
        return model.eval()

    return settle_statistics


@pytest.fixture
def tolerance():
    """Arguments of `torch.testing.assert_close` for each dtype: a few roundings of values near 1."""
    return {
        torch.float64: {"rtol": 1e-10, "atol": 1e-11},
        torch.float32: {"rtol": 1e-5, "atol": 1e-6},
        torch.float16: {"rtol": 1e-2, "atol": 1e-3},
        torch.bfloat16: {"rtol": 5e-2, "atol": 1e-2},
    }
