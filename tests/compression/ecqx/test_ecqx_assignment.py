"""Assignment against brute force: every cost of every weight, with ties, odd tensors, all widths and number types."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx import centroids as steps
from relcomp_kit.compression.ecqx import interval_lookup
from relcomp_kit.compression.ecqx.lower_envelope import lambda_max, shares
from relcomp_kit.errors import UserError

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SCALES = {torch.float16: [-3, 3], torch.bfloat16: [-30, 30], torch.float32: [-30, 30], torch.float64: [-120, 120]}
SHAPES = ["normal", "heavy", "uniform", "positive", "negative", "sparse", "few values", "constant", "lattice", "zeros"]


def draw_weights(shape: str, count: int, dtype: torch.dtype, scale: float, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    w = torch.randn(count, generator=draw, dtype=torch.float64)
    if shape == "heavy":
        w = w**3
    elif shape == "uniform":
        w = torch.rand(count, generator=draw, dtype=torch.float64) * 2 - 1
    elif shape in ("positive", "negative"):
        w = w.abs() * (1 if shape == "positive" else -1)
    elif shape == "sparse":
        w *= torch.rand(count, generator=draw) < 0.1
    elif shape == "few values":
        w = w.round()
    elif shape == "constant":
        w = torch.full_like(w, w[0].item())
    elif shape == "lattice":
        w = (w * 8).round() / 4  # with a step that is a power of two, half of them lie halfway between two levels
    elif shape == "zeros":
        w = torch.zeros_like(w)
    return (w * scale).to(dtype)


@st.composite
def weights(draw, shapes=tuple(SHAPES), dtypes=tuple(DTYPES)):
    dtype = draw(st.sampled_from(dtypes))
    scale = 10.0 ** draw(st.integers(*SCALES[dtype]))
    count = draw(st.sampled_from([1, 2, 3, 17, 100, 400]))
    return draw_weights(draw(st.sampled_from(shapes)), count, dtype, scale, draw(st.integers(0, 10**6)))


HALFWAY = torch.tensor([-200.0, 200.0] + [-100.0] * 8 + [0.0] * 6, dtype=torch.float64)  # 100 is 15.5 steps of 6 bit


def dense_costs(w: torch.Tensor, step: float, levels: tuple[int, int], lam: float) -> np.ndarray:
    """(levels, weights) in squared steps, in double precision."""
    level = np.arange(levels[0], levels[1] + 1)
    u = w.double().numpy() / step
    distance = (u - level[:, None]) ** 2
    order = np.argsort(np.abs(level), kind="stable")  # nearer to 0 first: it wins ties, however rounded
    nearest = level[order][(distance[order] <= distance.min(0) + 1e-9).argmax(0)]
    share = (nearest == level[:, None]).mean(1)
    zero = share[-levels[0]]
    if zero < 0.5:
        share *= 0.5 / (1 - zero)
        share[-levels[0]] = 0.5
    with np.errstate(divide="ignore"):
        bits = -np.log2(share)
    return distance + (lam / step**2 * bits[:, None] if lam else 0)


def check_against(costs: np.ndarray, index: torch.Tensor, lowest: int, scale: np.ndarray, tolerance: float) -> None:
    """Equal costs everywhere; equal indices where the best cost is less than the second best by more than rounding."""
    row, column = index.numpy().astype(int) - lowest, np.arange(costs.shape[1])
    best = np.partition(costs, 1, axis=0)[:2]
    slack = tolerance * scale
    assert (costs[row, column] <= best[0] + slack).all()
    clear = best[1] > best[0] + 2 * slack
    assert (row == costs.argmin(0))[clear].all()


def forced_tables(patch: pytest.MonkeyPatch, tables: bool) -> None:
    """Let small tensors go through look-up tables of few cells, and through many pieces."""
    if tables:
        patch.setattr(interval_lookup, "FEWEST", 0)
        patch.setattr(interval_lookup, "CELLS", 4)
        patch.setattr(steps, "CHUNK", 130)


LAMBDAS = st.sampled_from([0.0, 1e-6, 0.01, 0.1, 0.3, 1.0, 3.0, 1e3])  # in squared steps


@pytest.mark.slow
@settings(max_examples=1500)
@given(w=weights(), bits=st.integers(2, 8), lam=LAMBDAS, tables=st.booleans())
def test_ecq_is_the_cheapest_centroid(w, bits, lam, tables):
    step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
    assert levels in [(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)), (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)]
    lam *= step**2
    with pytest.MonkeyPatch.context() as patch:
        forced_tables(patch, tables)
        index = ecqx.assign(w, step, levels, lam)
    costs = dense_costs(w, step, levels, lam)
    check_against(costs, index, levels[0], (w.double().numpy() / step) ** 2 + lam / step**2 + 1, 1e-12)
    assert index.shape == w.shape
    assert index.dtype == (torch.int16 if levels[1] == 128 else torch.int8)
    assert (index.double() * w.double() >= 0).all(), "no weight changes its sign"
    assert not index[w == 0].any()


@pytest.mark.slow
@given(bits=st.integers(2, 8), exponent=st.integers(-100, 100), seed=st.integers(0, 1000), tables=st.booleans())
def test_ties_go_to_the_index_nearer_to_zero(bits, exponent, seed, tables):
    step = 2.0**exponent
    w = draw_weights("lattice", 300, torch.float32, 4 * step, seed)
    high = 2 ** (bits - 1)
    with pytest.MonkeyPatch.context() as patch:
        forced_tables(patch, tables)
        index = ecqx.assign(w, step, (1 - high, high), 0.0)
    u = w.double() / step
    expected = (u.sign() * (u.abs() - 0.5).ceil()).clamp(1 - high, high)
    assert torch.equal(index.double(), expected)


@pytest.mark.slow
@settings(max_examples=600)
@given(
    w=weights(),
    bits=st.integers(2, 8),
    lam=LAMBDAS,
    give_back=st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0]),
    power=st.sampled_from([0.1, 1, 4, 12]),
    kind=st.sampled_from(["any", "zeros", "ones", "steps", "weights"]),
    tables=st.booleans(),
)
@example(w=HALFWAY, bits=6, lam=1e-6, give_back=0.0, power=0.1, kind="any", tables=False)
def test_ecqx_is_the_cheapest_centroid_at_a_beta_that_keeps_the_sparsity(w, bits, lam, give_back, power, kind, tables):
    step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
    lam *= step**2
    r = torch.rand(len(w), generator=torch.Generator().manual_seed(bits)).double() ** power
    if kind == "zeros":
        r *= torch.rand(len(w), generator=torch.Generator().manual_seed(1)) < 0.7
    elif kind == "ones":
        r[torch.rand(len(w), generator=torch.Generator().manual_seed(2)) < 0.3] = 1
    elif kind == "steps":
        r = (r * 3).round() / 3
    elif kind == "weights":
        r = w.double().abs() / w.double().abs().max().clamp(min=1e-300)
    r = r.to(torch.promote_types(w.dtype, torch.float32))
    with pytest.MonkeyPatch.context() as patch:
        forced_tables(patch, tables)
        fitted, index = ecqx.fit(w, ecqx.Grid(step, levels, lam), relevance=r, give_back=give_back)
        assert torch.equal(fitted.indices(w), index), "made again, the indices are the same"
    plain = ecqx.assign(w, step, levels, lam)
    if fitted.others is None:
        assert r.min() == r.max() or not plain.any() or not 0 < r.mean() < 1
        assert torch.equal(index, plain)
        return
    costs = dense_costs(w, step, levels, lam)
    scale = (w.double().numpy() / step) ** 2 + (lam / step**2) + 1
    relevance, zero = r.double().numpy(), -levels[0]
    factor = np.where(relevance == 0, 0, 2 * relevance**fitted.beta)
    changed = costs.copy()
    changed[zero] *= factor
    precision = 1e-12 if w.dtype == torch.float64 else 2e-5
    check_against(changed, index, levels[0], scale * np.maximum(factor, 1), precision)
    assert not index[r == 0].any()

    # the sparsity lies in its range if any beta brings it there
    most = int((plain == 0).sum())
    fewest = math.ceil(most - give_back * len(w))
    found = int((index == 0).sum())
    critical = fitted.critical(*(next(steps.chunks(value)) for value in (w, r)))[0].double().numpy()
    finite = np.append(critical[(critical >= 0) & np.isfinite(critical)], 0.0)
    reachable = {int((critical <= beta).sum()) for beta in finite}
    start = math.log(0.5) / math.log(r.mean().item())
    if any(fewest <= count <= most for count in reachable):
        assert fewest <= found <= most
    elif min(reachable) > most:
        assert found == min(reachable)
    else:
        assert found == max(count for count in reachable if count < fewest)
    if fewest <= (critical <= start).sum() <= most:
        assert fitted.beta == start


@pytest.mark.slow
@given(w=weights(dtypes=(torch.float32, torch.float64)), bits=st.integers(2, 8), level=st.sampled_from([0.0, 0.3, 1.0]))
def test_relevance_that_says_nothing_changes_nothing(w, bits, level):
    step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
    index = ecqx.assign(w, step, levels, 0.2 * step**2, relevance=torch.full_like(w, level))
    assert torch.equal(index, ecqx.assign(w, step, levels, 0.2 * step**2))


def test_relevant_weights_stay_and_irrelevant_ones_go():
    """Half of the weights ten times as relevant as the others: the zeros move to the others, their number does not."""
    w = draw_weights("normal", 20_000, torch.float32, 1.0, 0)
    r = torch.where(torch.arange(20_000) % 2 == 0, 1.0, 0.1)
    step, levels = ecqx.centroid_step(w, 4), ecqx.level_range(w, 4)
    plain, index = (ecqx.assign(w, step, levels, step**2, relevance=relevance) for relevance in (None, r))
    zeros, before = ([(one[half::2] == 0).float().mean() for half in (0, 1)] for one in (index, plain))
    assert zeros[0] < before[0] - 0.05
    assert zeros[1] > before[1] + 0.05


@pytest.mark.slow
@given(w=weights(), bits=st.integers(2, 8))
def test_lambda_max_sends_the_extreme_weight_to_zero_and_less_does_not(w, bits):
    step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
    share = shares(w, step, levels)
    largest = lambda_max((w.min().item(), w.max().item()), share, levels, step)
    if largest == 0:  # all are 0 already, or all that are not share one level, which is as probable as 0
        assert not w.any() or share[share > 0].tolist() == pytest.approx([0.5, 0.5])
        return
    if np.sort(share)[-2] < 0.4999:  # otherwise one level's weights stay where they are
        assert not ecqx.assign(w, step, levels, largest * (1 + 1e-9)).any()
    assert ecqx.assign(w, step, levels, largest * (1 - 1e-6)).any()


@given(w=weights(), bits=st.integers(2, 8))
def test_published_probabilities_leave_the_share_of_zero_in(w, bits):
    step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
    normalized, published = (shares(w, step, levels, probabilities=which) for which in ("normalized", "published"))
    assert normalized.sum() == pytest.approx(1)
    zero = (ecqx.assign(w, step, levels, 0) == 0).double().mean().item()
    assert published.sum() == pytest.approx(1 if zero >= 0.5 else 1 - zero / 2)
    assert published[-levels[0]] == normalized[-levels[0]] >= 0.5


def test_probabilities_are_named():
    with pytest.raises(UserError, match="no probabilities 'mended'; choose one of normalized, published"):
        shares(torch.ones(3), 1.0, (-1, 1), probabilities="mended")


@pytest.mark.slow
def test_many_weights_go_through_tables_and_come_out_the_same(monkeypatch):
    w = draw_weights("heavy", 300_000, torch.float32, 0.01, 0).view(300, 1000)
    r = draw_weights("positive", 300_000, torch.float32, 1.0, 1).view(300, 1000)
    r /= r.max()
    for bits in (2, 4, 8):
        step, levels = ecqx.centroid_step(w, bits), ecqx.level_range(w, bits)
        with_tables = [ecqx.assign(w, step, levels, step**2 / 3, relevance=relevance) for relevance in (None, r)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interval_lookup, "FEWEST", w.numel() + 1)
            without = [ecqx.assign(w, step, levels, step**2 / 3, relevance=relevance) for relevance in (None, r)]
        for one, other in zip(with_tables, without, strict=True):
            assert one.unique().numel() > 2
            assert torch.equal(one, other)
    turned = ecqx.assign(w.T, step, levels, step**2 / 3)  # not contiguous
    assert torch.equal(turned, ecqx.assign(w, step, levels, step**2 / 3).T)


W = torch.linspace(-1, 1, 12).view(3, 4)
R = torch.linspace(0, 1, 12).view(3, 4)


def bad(tensor: torch.Tensor, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed[1, 2] = value
    return changed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ecqx.assign(bad(W, math.nan), 0.1, (-7, 8), 0.1), "holds NaN or infinite weights"),
        (lambda: ecqx.assign(bad(W, math.inf), 0.1, (-7, 8), 0.1), "holds NaN or infinite weights"),
        (lambda: ecqx.assign(W[:0], 0.1, (-7, 8), 0.1), "one at least, not 0"),
        (lambda: ecqx.assign(W.long(), 0.1, (-7, 8), 0.1), "must hold float weights"),
        (lambda: ecqx.assign(W, 0.0, (-7, 8), 0.1), "step must be a positive number, not 0.0"),
        (lambda: ecqx.assign(W, math.nan, (-7, 8), 0.1), "step must be a positive number, not nan"),
        (lambda: ecqx.assign(W, 0.1, (1, 8), 0.1), "must enclose 0 and be 256 at most, not 1 to 8"),
        (lambda: ecqx.assign(W, 0.1, (-128, 128), 0.1), "be 256 at most, not -128 to 128"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), -0.1), "lambda must be 0 or a positive number, not -0.1"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), math.nan), "lambda must be 0 or a positive number, not nan"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), 0.1, give_back=1.1), r"give back must lie in \[0, 1\], not 1.1"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), 0.1, relevance=R[:2]), r"relevance \(2, 4\) and weights \(3, 4\)"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), 0.1, relevance=2 * R), r"lie in \[0, 1\], not 0.0 to 2.0"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), 0.1, relevance=bad(R, -1)), r"lie in \[0, 1\], not -1.0"),
        (lambda: ecqx.assign(W, 0.1, (-7, 8), 0.1, relevance=bad(R, math.nan)), r"lie in \[0, 1\], not nan"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
