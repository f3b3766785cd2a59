"""Numbers of the paper."""

import pytest

from jointmae_hf.evaluation import paper_number


def test_paper_number_refuses_a_table_that_does_not_exist():
    with pytest.raises(ValueError, match="`table` must be one of the paper's, 1 to 8, got 9"):
        paper_number(9, "Joint-MAE", "")
