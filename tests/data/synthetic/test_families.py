import numpy as np
import pytest

from jointmae_hf.data.synthetic.families import SHAPE_CLASS_PARTS, SHAPE_CLASSES, SHAPE_PARTS, generate_shape


NUM_CLASSES = len(SHAPE_CLASSES)
families = pytest.mark.parametrize("label", range(NUM_CLASSES), ids=SHAPE_CLASSES)


def test_shape_classes_are_sorted_and_at_least_fourteen():
    assert list(SHAPE_CLASSES) == sorted(SHAPE_CLASSES)
    assert NUM_CLASSES >= 14


def test_shape_class_parts_divide_all_parts():
    assert sum(SHAPE_CLASS_PARTS.values(), ()) == tuple(range(len(SHAPE_PARTS)))
    assert len(SHAPE_PARTS) < 256


def test_generate_shape_repeats_bit_for_bit():
    first, second = generate_shape(3, "test", 17), generate_shape(3, "test", 17)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.part_labels, second.part_labels)


@pytest.mark.parametrize("other", [(1, "train", 0), (0, "test", 0), (0, "train", NUM_CLASSES)])
def test_generate_shape_differs_between_seeds_splits_and_indices(other):
    assert np.abs(generate_shape(0, "train", 0).points - generate_shape(*other).points).max() > 0.1


@families
def test_generate_shape_fills_the_unit_sphere(label):
    for index in range(label, 5 * NUM_CLASSES, NUM_CLASSES):
        points = generate_shape(0, "train", index, num_points=256).points
        assert points.dtype == np.float32
        np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-6)
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(1.0, abs=1e-6)


@families
def test_generate_shape_shows_every_part_of_its_class_and_no_other(label):
    seen = set()
    for index in range(label, 40 * NUM_CLASSES, NUM_CLASSES):
        shape = generate_shape(0, "train", index, num_points=256)
        assert shape.label == label
        seen |= set(shape.part_labels.tolist())
    assert seen == set(SHAPE_CLASS_PARTS[SHAPE_CLASSES[label]])


@families
def test_generate_shape_varies_inside_a_class(label):
    extents = [np.ptp(generate_shape(0, "train", label + NUM_CLASSES * k, 256).points, axis=0) for k in range(20)]
    assert np.std(extents, axis=0).max() > 0.04


def test_generate_shape_puts_up_along_y():
    rocket = generate_shape(0, "train", SHAPE_CLASSES.index("rocket"))
    height = [
        rocket.points[rocket.part_labels == SHAPE_PARTS.index(part), 1].mean()
        for part in ("rocket fin", "rocket nose")
    ]
    assert height[0] < height[1]


@pytest.mark.parametrize(
    ("name", "arguments"), [("seed", (-1, "a", 0)), ("index", (0, "a", -1)), ("num_points", (0, "a", 0, 0))]
)
def test_generate_shape_names_the_argument_when_it_is_too_small(name, arguments):
    with pytest.raises(ValueError, match=f"`{name}` must be at least"):
        generate_shape(*arguments)
