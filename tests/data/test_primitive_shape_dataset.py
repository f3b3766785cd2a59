"""The dataset that generates compositions of primitives when they are read."""

import numpy as np
import pytest
import torch

from jointmae_hf.data import PointCloudCollator, PrimitiveShapeDataset


def test_loader_gives_the_same_batches_with_workers():
    shapes = PrimitiveShapeDataset(12, num_points=32)
    batches = [
        list(torch.utils.data.DataLoader(shapes, 4, collate_fn=PointCloudCollator(), num_workers=number))
        for number in (0, 2)
    ]
    for alone, shared in zip(*batches, strict=True):
        assert torch.equal(alone["points"], shared["points"])
        assert torch.equal(alone["index"], shared["index"])


def test_dataset_of_any_length_stores_nothing():
    shapes = PrimitiveShapeDataset(10**12, num_points=16)
    assert len(shapes) == 10**12
    np.testing.assert_array_equal(shapes[-1]["points"], shapes[10**12 - 1]["points"])
    with pytest.raises(IndexError, match="`index` must be between"):
        shapes[10**12]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_shapes": 0}, "`num_shapes` must be at least 1, got 0"),
        ({"num_shapes": 1, "seed": -1}, "`seed` must be at least 0, got -1"),
        ({"num_shapes": 1, "split": "dev"}, "`split` must be one of train, validation, test, got 'dev'"),
    ],
)
def test_arguments_of_the_generating_dataset_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        PrimitiveShapeDataset(**arguments)
