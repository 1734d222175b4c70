"""Rank correlation against scipy, and what it does not depend on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.faithfulness import rank_correlation


@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6).filter(lambda row: len(set(row)) > 1), min_size=2)
)
def test_each_row_is_spearmans_with_ties(rows):
    one, other = torch.tensor(rows, dtype=torch.float32), torch.tensor(rows[1:] + rows[:1], dtype=torch.float32)
    expected = [spearmanr(left, right).statistic for left, right in zip(one.numpy(), other.numpy(), strict=True)]
    assert rank_correlation(one, other).tolist() == pytest.approx(expected, abs=1e-9)


def test_only_the_order_counts():
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    assert rank_correlation(values, values.exp() * 1e6).tolist() == pytest.approx([1.0])
    assert rank_correlation(values, -(values**3)).tolist() == pytest.approx([-1.0])


def test_no_ranking_is_nan_and_shapes_must_agree():
    assert rank_correlation(torch.ones(4), torch.arange(4.0)).isnan().all()
    with pytest.raises(UserError, match=r"equal shapes only, not \(4,\) and \(5,\)"):
        rank_correlation(torch.ones(4), torch.ones(5))
