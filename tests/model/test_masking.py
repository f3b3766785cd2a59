import pytest
import torch

from jointmae_hf.model.masking import (
    align_noise,
    correlated_pairs,
    local_alignment_mask,
    num_hidden_tokens,
    random_mask,
    replace_tokens,
    split_tokens,
    take_visible,
)


@pytest.mark.parametrize(("num_tokens", "ratio", "expected"), [(64, 0.75, 48), (196, 0.75, 147), (64, 0.6, 38)])
def test_random_mask_hides_exactly_the_ratio(num_tokens, ratio, expected):
    assert num_hidden_tokens(num_tokens, ratio) == expected
    assert random_mask(torch.rand(5, num_tokens), ratio).is_hidden.sum(dim=1).tolist() == [expected] * 5


def test_random_mask_hides_the_largest_noise():
    mask = random_mask(torch.tensor([[0.3, 0.9, 0.1, 0.5]]), 0.5)
    assert mask.is_hidden.tolist() == [[False, True, False, True]]
    assert (mask.ids_visible.tolist(), mask.ids_hidden.tolist()) == ([[0, 2]], [[1, 3]])


def test_random_mask_hides_exactly_the_ratio_when_noise_is_tied():
    assert random_mask(torch.zeros(2, 8), 0.75).is_hidden.sum(dim=1).tolist() == [6, 6]


def test_random_mask_hides_each_token_equally_often():
    frequency = random_mask(torch.rand(20000, 16), 0.75).is_hidden.double().mean(dim=0)
    assert (frequency - 0.75).abs().max() < 0.0125  # four standard deviations


def test_random_mask_hides_each_pair_equally_often():
    mask = random_mask(torch.rand(20000, 8), 0.5).is_hidden.double()
    together = (mask.T @ mask / len(mask))[~torch.eye(8, dtype=torch.bool)]
    assert (together - 3 / 14).abs().max() < 0.0125


def test_split_tokens_returns_ascending_indices():
    is_hidden = torch.tensor([[True, False, True, False, True]])
    mask = split_tokens(is_hidden, 3)
    assert (mask.ids_visible.tolist(), mask.ids_hidden.tolist()) == ([[1, 3]], [[0, 2, 4]])
    assert mask.is_hidden is is_hidden


def test_replace_tokens_inverts_split_tokens():
    mask, values = random_mask(torch.rand(3, 10), 0.6), torch.randn(3, 10, 2, 4)
    indices = (mask.ids_visible, mask.ids_hidden)
    visible, hidden = (torch.stack([row[ids] for row, ids in zip(values, part, strict=True)]) for part in indices)
    given = replace_tokens(torch.zeros_like(values), mask.ids_visible, visible)
    assert torch.equal(given, values.masked_fill(mask.is_hidden[:, :, None, None], 0))
    assert torch.equal(replace_tokens(given, mask.ids_hidden, hidden), values)


def test_take_visible_returns_the_visible_rows():
    mask, tokens = random_mask(torch.rand(3, 10), 0.6), torch.randn(3, 10, 4)
    assert torch.equal(take_visible(tokens, mask), tokens[~mask.is_hidden].reshape(3, 4, 4))


def test_take_visible_returns_all_rows_without_a_mask():
    tokens = torch.randn(3, 10, 4)
    assert take_visible(tokens, None) is tokens


def test_token_mask_is_a_pytree_of_tensors():
    mask = random_mask(torch.rand(3, 10), 0.6)
    assert [leaf.shape for leaf in torch.utils._pytree.tree_leaves(mask)] == [(3, 10), (3, 4), (3, 6)]


def test_take_visible_passes_gradcheck():
    mask = random_mask(torch.rand(3, 6), 0.5)
    tokens = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda rows: take_visible(rows, mask), (tokens,))


def test_replace_tokens_passes_gradcheck():
    mask = random_mask(torch.rand(2, 6), 0.5)
    tokens, hidden = (torch.randn(2, size, 2, dtype=torch.float64, requires_grad=True) for size in (6, 3))
    assert torch.autograd.gradcheck(lambda *rows: replace_tokens(rows[0], mask.ids_hidden, rows[1]), (tokens, hidden))


def test_correlated_pairs_matches_the_patch_of_each_center():
    is_correlated = correlated_pairs(torch.tensor([[[7], [2], [-1]]]), torch.tensor([[2, 5, 7]]))
    assert is_correlated.int().tolist() == [[[0, 0, 1], [1, 0, 0], [0, 0, 0]]]


def test_correlated_pairs_takes_any_point_of_a_group():
    is_correlated = correlated_pairs(torch.tensor([[[7, 2], [-1, 5]]]), torch.tensor([[2, 5, 7]]))
    assert is_correlated.int().tolist() == [[[1, 0, 1], [0, 1, 0]]]


# Tokens a, b (3D) and c, d (2D), of which only a and c are correlated; rows are queries.
@pytest.mark.parametrize(
    ("local_2d_to_3d", "local_3d_to_2d", "expected"),
    [
        (False, False, ["1111", "1111", "1111", "1111"]),
        (True, False, ["1111", "1111", "1011", "0011"]),
        (False, True, ["1110", "1100", "1111", "1111"]),
        (True, True, ["1110", "1100", "1011", "0011"]),
    ],
)
def test_local_alignment_mask_equals_the_truth_table(local_2d_to_3d, local_3d_to_2d, expected):
    mask = local_alignment_mask(torch.tensor([[[True, False], [False, False]]]), local_2d_to_3d, local_3d_to_2d)
    assert ["".join(str(int(pair)) for pair in row) for row in mask[0]] == expected


def test_local_alignment_mask_leaves_no_row_empty():
    mask = local_alignment_mask(torch.zeros(2, 3, 4, dtype=torch.bool), True, True)
    assert mask.any(dim=2).all()


def test_align_noise_keeps_occupied_patches_visible():
    noise = align_noise(torch.rand(4, 16), torch.tensor([[3, 3, 7, -1]]).expand(4, -1))
    assert not random_mask(noise, 0.75).is_hidden[:, [3, 7]].any()


def test_align_noise_keeps_the_order_of_other_patches():
    noise = torch.rand(1, 16)
    aligned = align_noise(noise, torch.tensor([[3, -1]]))
    others = [patch for patch in range(16) if patch != 3]
    assert torch.equal(aligned[:, others], noise[:, others])
