import numpy as np
import pytest

from jointmae_hf.data.few_shot_folds import FoldDraw


LABELS = np.repeat(np.arange(8), 6)
IDS = [f"cloud {row:02d}" for row in range(48)]


@pytest.fixture
def draw():
    return FoldDraw(num_ways=5, num_shots=3, fold=1, seed=2)


def test_draw_takes_classes_and_rows_without_repeats(draw):
    classes = draw.classes(range(8))
    rows = draw.rows("train", LABELS, classes, 3)
    assert len(set(classes)) == 5
    assert len(set(rows)) == 15
    assert LABELS[rows].tolist() == np.repeat(classes, 3).tolist()


def test_draw_takes_classes_out_of_the_candidates(draw):
    assert sorted(draw.classes([1, 3, 4, 6, 7])) == [1, 3, 4, 6, 7]


def test_draw_takes_other_rows_out_of_each_split(draw):
    classes = draw.classes(range(8))
    assert draw.rows("train", LABELS, classes, 3) != draw.rows("test", LABELS, classes, 3)


def test_draw_of_named_clouds_does_not_depend_on_their_order(draw):
    order = np.random.default_rng(0).permutation(48)
    rows = draw.rows("train", LABELS, [4, 2, 0, 1, 7], 3, IDS)
    shuffled = draw.rows("train", LABELS[order], [4, 2, 0, 1, 7], 3, [IDS[row] for row in order])
    assert [int(order[row]) for row in shuffled] == rows


@pytest.mark.parametrize("other", [{"num_ways": 4}, {"num_shots": 2}, {"fold": 0}, {"seed": 3}])
def test_draw_follows_each_of_its_numbers(draw, other):
    classes = FoldDraw(**(vars(draw) | other)).classes(range(8))
    assert classes != draw.classes(range(8))[: len(classes)]
