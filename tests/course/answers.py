"""Answers written by hand: wrong ones that look right, and right ones written another way than the solution."""

import math
import os
import statistics
from fractions import Fraction

import numpy as np
import torch
from scipy.integrate import trapezoid
from scipy.special import lambertw


def limit(c0, sf):
    return -c0 * math.log(sf) / lambertw(-c0 * 0.5 * math.log(sf)).real


def shares(scores):
    return sorted(scores, reverse=True)


def index_bits(indices, fast, slow, contexts):
    """The bits of the first question; the context is a function of the index before and the one at hand."""
    seen, before, bits = {}, 0, 0.0
    for index in indices:
        key = contexts(before, index)
        estimates = seen.setdefault(key, [0.5, 0.5])
        yes = sum(estimates) / 2
        bits -= math.log2(yes if index else 1 - yes)
        seen[key] = [one + ((index != 0) - one) / 2**shift for one, shift in zip(estimates, (fast, slow))]
        before = index
    return bits


def lrp(x, lower, bias, upper, eps, *, keep_bias=True, winner=True, sign=True):
    """Two layers, one neuron after the other."""
    hidden = [sum(w * v for w, v in zip(row, x)) + b for row, b in zip(lower.tolist(), bias.tolist())]
    sums = hidden if keep_bias else [value - b for value, b in zip(hidden, bias.tolist())]
    outputs = [sum(w * max(value, 0) for w, value in zip(row, hidden)) for row in upper.tolist()]
    received = [0.0] * len(hidden)
    for row, output in zip(upper.tolist(), outputs):
        if not winner or output == max(outputs):
            for place, weight in enumerate(row):
                received[place] += weight * max(hidden[place], 0) * output / stable(output, eps, sign)
    below = [0.0] * len(x)
    for row, z, one in zip(lower.tolist(), sums, received):
        for place, weight in enumerate(row):
            below[place] += weight * x[place].item() * one / stable(z, eps, sign)
    return below


def stable(z, eps, sign):
    return z - eps if sign and z < 0 else z + eps


def ecqx(weights, step, levels, lam, relevance, beta, *, floor=0.5, share=None, factor=2, others=True):
    """Weight by weight; what is changed by name is a mistake."""
    levels, chosen = levels.tolist(), []
    nearest = [min(levels, key=lambda k: abs(w / step - k)) for w in weights.tolist()]
    p = share or {k: nearest.count(k) / len(nearest) for k in levels}
    if p[0] < floor:
        p = {k: floor if k == 0 else p[k] * ((1 - floor) / (1 - p[0]) if others else 1) for k in levels}
    for w, r in zip(weights.tolist(), relevance.tolist()):
        cost = {k: (w - k * step) ** 2 - lam * math.log2(p[k]) for k in levels if p[k]}
        if 0 in cost:
            cost[0] *= factor * r**beta
        chosen.append(min(cost, key=cost.get))
    return chosen


def moved(weights, step, inputs, targets, rate, *, clip=3, at=None, start=None, scale=2):
    quantized = torch.clamp(torch.round(weights / step), -clip, clip) * step if at is None else at
    errors = (inputs * quantized).sum(1) - targets
    return (weights if start is None else start) - rate * scale * (errors[:, None] * inputs).mean(0)


def gated(state, masks, *, parts=("weight", "bias"), filters=False, biases=True):
    new = {name: value.clone() for name, value in state.items()}
    for layer, mask in masks.items():
        norm = layer.replace("conv", "bn")
        if f"{norm}.weight" in new:
            for part in parts:
                new[f"{norm}.{part}"] *= mask
        if f"{norm}.weight" not in new or filters:
            new[f"{layer}.weight"] *= mask[:, None]
            if biases and f"{layer}.bias" in new:
                new[f"{layer}.bias"] *= mask
    return new


def likely(things, marked, drawn, both):
    """How likely so many of the drawn things are marked."""
    return (
        math.comb(marked, both) * math.comb(things - marked, drawn - both) / math.comb(things, drawn)
        if both <= drawn
        else 0.0
    )


def middle(left):
    return sorted(left.tolist())[(len(left) - 1) // 2]


def words(lengths, order):
    """A canonical code, with the symbols of one length in an order of one's own."""
    code, before, found = 0, 0, {}
    for place in sorted(range(len(lengths)), key=order):
        code <<= lengths[place] - before
        found[place] = format(code, f"0{lengths[place]}b")
        code, before = code + 1, lengths[place]
    return [found[place] for place in range(len(lengths))]


def counted(relevance, key, count):
    ranked = sorted(((value, layer) for layer, row in enumerate(relevance) for value in row), key=key)[:count]
    return [sum(layer == number for _, layer in ranked) for number in range(len(relevance))]


def falls(weights, rate, steps, rounding):
    for _ in range(steps):
        weights -= rounding(weights * rate)
    return weights


def word(margins, least=3):
    if len(margins) < least:
        return "open"
    return "met" if min(margins) >= 0 else "failed" if max(margins) < 0 else "crossed"


def by_hand(start, trained, pruned):
    return [(b - a) / (c - a) for a, b, c in zip(start, trained, pruned)]


WRONG = {
    "sparsity": [lambda s: 1 / s, lambda s: s / (s + 1) if s > 1 else 0.0, lambda s: round(1 - 1 / s, 2)],
    "first_to_go": [
        lambda weights, images: int(images.abs().sum(0).argmin()),
        lambda weights, images: int((weights * images).abs().amax(0).argmin()),
        lambda weights, images: int((weights * images[0]).abs().argmin()),
        lambda weights, images: int((weights * images).sum(0).abs().argmin()),
        lambda weights, images: int(weights.abs().argmin()),
    ],
    "nearest_centroid": [
        lambda weight, step: max(-3, min(3, math.floor(weight / step))) * step,
        lambda weight, step: max(-3, min(3, int(weight / step))) * step,
        lambda weight, step: round(weight / step) * step,
        lambda weight, step: max(-3, min(3, round(weight / step))),
        lambda weight, step: max(-4, min(3, round(weight / step))) * step,
    ],
    "cumulated": [
        lambda inputs, neurons, right: neurons.T @ inputs,
        lambda inputs, neurons, right: inputs[right].T @ neurons[right],
        lambda inputs, neurons, right: neurons[~right].T @ inputs[~right],
        lambda inputs, neurons, right: neurons[right].T @ inputs[right] / len(inputs),
        lambda inputs, neurons, right: torch.outer(neurons[right].sum(0), inputs[right].sum(0)),
    ],
    "scale_rows": [
        lambda v: (v - v.amin(1, True)) / (v.amax(1, True) - v.amin(1, True)).clamp(min=1),
        lambda v: (v - v.amin()) / (v.amax() - v.amin()).clamp(min=1e-9),
        lambda v: (v - v.amin(1, True)) / (v.amax(1, True) - v.amin(1, True)),
        lambda v: v / v.amax(1, True),
    ],
    "ratio": [
        lambda importance, region: (importance[~region].sum() / importance.sum() / region.float().mean()).item(),
        lambda importance, region: (importance[region].sum() / importance.sum() / region.sum()).item(),
        lambda importance, region: (importance[region].sum() / importance.sum()).item() * 2,
        lambda importance, region: (importance[region].sum() / importance.mean()).item() / 2,
    ],
    "layer_limit": [
        lambda inputs, neurons, sf: limit(inputs * neurons, sf),
        lambda inputs, neurons, sf: inputs * limit(neurons, sf) if neurons > 1 else inputs,
        lambda inputs, neurons, sf: round(neurons * limit(inputs, sf), 2),
    ],
    "largest_sf": [
        lambda left, at_start: left.min() / left.median(),
        lambda left, at_start: (left.min() / left.median()) ** (at_start / len(left)),
        lambda left, at_start: (left.min() / left.mean()) ** (len(left) / at_start),
        lambda left, at_start: (left[0] / left.median()) ** (len(left) / at_start),
        lambda left, at_start: (left.min().item() / statistics.median(left.tolist())) ** (len(left) / at_start),
    ],
    "rounded_down": [
        lambda weights, rate, steps: falls(weights, rate, steps, round),
        lambda weights, rate, steps: falls(weights, rate, steps, math.ceil),
        lambda weights, rate, steps: math.floor(weights * (1 - rate) ** steps),
        lambda weights, rate, steps: max(0, weights - steps * math.floor(weights * rate)),
    ],
    "recall_and_precision": [
        lambda rows, k: (rows[k][k] / sum(row[k] for row in rows), rows[k][k] / sum(rows[k])),
        lambda rows, k: (rows[k][k] / sum(rows[k]),) * 2,
        lambda rows, k: (rows[0][0] / sum(rows[0]), rows[0][0] / max(1, sum(row[0] for row in rows))),
    ],
    "alarms": [
        lambda frames, least: alarmed([(present, min(present, found)) for present, found in frames], least),
        lambda frames, least: alarmed(frames, least + 1),
        lambda frames, least: tuple(reversed(alarmed(frames, least))),
        lambda frames, least: tuple(share * 2 for share in alarmed(frames, least)),
    ],
    "merge": [
        lambda rows, groups: merged_rows(rows, groups, 2),
        lambda rows, groups: np.array(merged_rows(rows, groups, max(groups) + 1)).T,
        lambda rows, groups: [[row[group] for group in range(max(groups) + 1)] for row in rows[: max(groups) + 1]],
        lambda rows, groups: merged_rows(rows, groups, len(groups)),
    ],
    "z_plus": [
        lambda values, weights, received: positive(values, weights, abs(received)),
        lambda values, weights, received: positive([max(v, 0) for v in values], weights, received),
        lambda values, weights, received: positive(values, weights, max(received, 0)),
        lambda values, weights, received: positive(values, [abs(w) for w in weights], received),
        lambda values, weights, received: [max(one, 0.0) for one in share_all(values, weights, received)],
    ],
    "mean_height": [
        lambda shares, accuracies: sum(accuracies) / len(accuracies),
        lambda shares, accuracies: float(trapezoid(accuracies, shares)),
        lambda shares, accuracies: float(trapezoid(accuracies, shares)) / shares[-1],
        lambda shares, accuracies: sum(np.diff(shares) * accuracies[1:]) / (shares[-1] - shares[0]),
        lambda shares, accuracies: (accuracies[0] + accuracies[-1]) / 2,
    ],
    "epsilon_relevance": [
        lambda *given: lrp(*given, keep_bias=False),
        lambda *given: lrp(*given, winner=False),
        lambda *given: lrp(*given, sign=False),
        lambda x, lower, bias, upper, eps: lrp(x, lower, bias, upper, 0.0),
        lambda x, lower, bias, upper, eps: lrp(x, lower.abs(), bias, upper, eps),
    ],
    "border": [
        lambda j, a, k, b: (j + k) / 2 + (b - a) / 2,
        lambda j, a, k, b: (j + k) / 2 + (b - a) / (k - j),
        lambda j, a, k, b: (j + k) / 2 + (a - b) / (2 * (k - j)),
        lambda j, a, k, b: (j + k) / 2 + (b - a) / (2 * abs(k - j)),
        lambda j, a, k, b: (j + k) / 2,
    ],
    "beta_for": [
        lambda zeros, others, r, count: count - 1,
        lambda zeros, others, r, count: betas(zeros, others, r)[-count],
        lambda zeros, others, r, count: betas(zeros, others, r)[0],
        lambda zeros, others, r, count: [math.log(o / (2 * z)) / math.log(p) for z, o, p in zip(zeros, others, r)][
            count - 1
        ],
        lambda zeros, others, r, count: max(0.0, betas(zeros, others, r)[count - 1]),
        lambda zeros, others, r, count: betas([zero / 2 for zero in zeros], others, r)[count - 1],
    ],
    "straight_through": [
        lambda weights, *rest: moved(weights, *rest, at=weights),
        lambda weights, step, *rest: moved(weights, step, *rest, start=(weights / step).round().clamp(-3, 3) * step),
        lambda *given: moved(*given, clip=99),
        lambda *given: moved(*given, scale=-2),
        lambda *given: moved(*given, scale=1),
        lambda weights, step, inputs, targets, rate: moved(weights, step, inputs, targets, rate * len(inputs)),
    ],
    "assign": [
        lambda *given: ecqx(*given, floor=0.0),
        lambda *given: ecqx(*given, others=False),
        lambda *given: ecqx(*given, factor=1),
        lambda w, step, levels, lam, r, beta: ecqx(w, step, levels, 0.0, r, beta),
        lambda w, step, levels, lam, r, beta: ecqx(w, step, levels, lam, r * 0 + 0.5, 1),
        lambda w, step, levels, lam, r, beta: ecqx(w, step, levels, lam, r, 1),
        lambda w, step, levels, lam, r, beta: (w / step).round().clamp(levels[0], levels[-1]),
        lambda w, step, levels, lam, r, beta: ecqx(
            w, step, levels, lam, r, beta, share=dict.fromkeys(levels.tolist(), 0.1)
        ),
    ],
    "needed": [
        lambda scores, share: math.ceil(share * len(scores)),
        lambda scores, share: sum(score >= share * max(scores) for score in scores),
        lambda scores, share: reached(scores, share),
        lambda scores, share: reached(sorted(scores), share),
        lambda scores, share: max(1, sum(sum(shares(scores)[:n]) <= share * sum(scores) for n in range(len(scores)))),
    ],
    "overlap_of": [
        lambda one, other: sum(a and b for a, b in zip(one, other)) / len(one),
        lambda one, other: sum(a == b for a, b in zip(one, other)) / len(one),
        lambda one, other: sum(a and b for a, b in zip(one, other)) / max(sum(one), 1),
        lambda one, other: 2 * sum(a and b for a, b in zip(one, other)) / (sum(one) + sum(other)),
    ],
    "work": [
        lambda inputs, outputs, side, height, width, a, b: a * inputs * b * outputs * side**2 * height * height,
        lambda inputs, outputs, side, height, width, a, b: inputs * outputs * side**2 * height * width * a * a,
        lambda inputs, outputs, side, height, width, a, b: a * inputs * b * outputs * side * height * width,
        lambda inputs, outputs, side, height, width, a, b: inputs * outputs * side**2 * height * width * (a + b) / 2,
    ],
    "gate": [
        lambda state, masks: gated(state, masks, parts=("weight",)),
        lambda state, masks: gated(state, masks, parts=("weight", "bias", "running_mean")),
        lambda state, masks: gated(state, masks, filters=True),
        lambda state, masks: gated(state, masks, biases=False),
        lambda state, masks: gated(state, masks, parts=()),
        lambda state, masks: gated(state, {layer: ~mask for layer, mask in masks.items()}),
    ],
    "canonical": [
        lambda lengths: words(lengths, lambda place: (lengths[place], -place)),
        lambda lengths: sorted(words(lengths, lambda place: lengths[place]), key=len),
        lambda lengths: [format(place, f"0{length}b") for place, length in enumerate(lengths)],
    ],
    "merged": [
        lambda w, b, gamma, beta, mean, var: fold(w, b, gamma, beta, mean, var, 0.0),
        lambda w, b, gamma, beta, mean, var: [fold(w, b, gamma, beta, mean, var)[0], b + beta - mean * gamma],
        lambda w, b, gamma, beta, mean, var: [
            w * gamma / (math.sqrt(var) + 1e-5),
            fold(w, b, gamma, beta, mean, var)[1],
        ],
        lambda w, b, gamma, beta, mean, var: [w * gamma / (var + 1e-5), fold(w, b, gamma, beta, mean, var)[1]],
    ],
    "zero_bits": [
        lambda indices, fast, slow: index_bits(indices, fast, slow, lambda before, index: 0),
        lambda indices, fast, slow: index_bits(indices, fast, slow, lambda before, index: before != 0),
        lambda indices, fast, slow: index_bits(indices, fast, slow, lambda before, index: before),
        lambda indices, fast, slow: index_bits(indices, fast, fast, lambda before, index: (before > 0) - (before < 0)),
        lambda indices, fast, slow: index_bits(indices, fast, slow, lambda before, index: (index > 0) - (index < 0)),
        lambda indices, fast, slow: float(len(indices)),
    ],
    "chance_overlap": [
        lambda filters, one, other: one * other / filters / (one + other - one * other / filters),
        lambda filters, one, other: one * other / filters**2,
        lambda filters, one, other: min(one, other) / max(one, other),
        lambda filters, one, other: one / (2 * filters - one),
    ],
    "kept_per_layer": [
        lambda relevance, count: counted(relevance, lambda pair: (-pair[0], -pair[1]), count),
        lambda relevance, count: counted(relevance, lambda pair: (pair[0], pair[1]), count),
        lambda relevance, count: counted(relevance, lambda pair: (-abs(pair[0]), pair[1]), count),
        lambda relevance, count: [min(len(row), count // len(relevance)) for row in relevance],
    ],
    "ahead_at_least_once": [
        lambda scenes, wins, shown: 1 - (1 - wins / scenes) ** shown,
        lambda scenes, wins, shown: min(1.0, wins / scenes * shown),
        lambda scenes, wins, shown: likely(scenes, wins, shown, 1),
    ],
    "seeds_needed": [
        lambda conditions, chance, level: math.ceil(math.log(level) / math.log(chance)),
        lambda conditions, chance, level: math.floor(math.log(level) / (conditions * math.log(chance))),
        lambda conditions, chance, level: max(3, math.ceil(math.log(level) / (conditions * math.log(chance)))),
        lambda conditions, chance, level: math.ceil(math.log(level) / math.log(1 - (1 - chance) ** conditions)),
    ],
    "paired": [
        lambda before, pruned, lost: word([a - b + lost for a, b in zip(pruned.values(), before.values())]),
        lambda before, pruned, lost: (
            word([pruned[s] - before[s] + lost for s in before if s in pruned], 0)
            if set(before) & set(pruned)
            else "open"
        ),
        lambda before, pruned, lost: word([pruned[s] - before[s] - lost for s in before if s in pruned]),
        lambda before, pruned, lost: word([pruned[s] - before[s] + lost - 1e-9 for s in before if s in pruned]),
        lambda before, pruned, lost: word([pruned.get(s, 0) - value + lost for s, value in before.items()]),
        lambda before, pruned, lost: word(
            [sum(pruned[s] - before[s] + lost for s in before if s in pruned)] * len(set(before) & set(pruned))
        ),
    ],
    "explained": [
        lambda start, trained, pruned: sum(by_hand(start, trained, pruned)) / len(start),
        lambda start, trained, pruned: sum(trained) / sum(pruned),
        lambda start, trained, pruned: (sum(pruned) - sum(trained)) / (sum(pruned) - sum(start)),
        lambda start, trained, pruned: min(1.0, max(0.0, (sum(trained) - sum(start)) / (sum(pruned) - sum(start)))),
    ],
    "front": [
        lambda points: sorted(p for p in points if not any(o[0] < p[0] and o[1] > p[1] for o in points)),
        lambda points: [p for p in points if not any(o[0] <= p[0] and o[1] > p[1] for o in points)],
        lambda points: sorted(p for p in points if not any(o[0] <= p[0] and o[1] >= p[1] and o != p for o in points)),
        lambda points: sorted(points),
    ],
    "unwrapped": [
        lambda names: [name.removeprefix("module.") for name in names],
        lambda names: [name.split(".", 1)[-1] for name in names],
        lambda names: [name[len(os.path.commonprefix(list(names))) :] for name in names],  # noqa: RUF071
        lambda names: [name.rsplit(".", 1)[-1] for name in names],
    ],
    "deviations": [
        lambda right, other, images: ahead(right, other, images, lambda p, q: 2 * p * (1 - p)),
        lambda right, other, images: ahead(right, other, images, lambda p, q: (p + q) * (1 - (p + q) / 2)),
        lambda right, other, images: abs(ahead(right, other, images, lambda p, q: p * (1 - p) + q * (1 - q))),
        lambda right, other, images: ahead(right, other, images, lambda p, q: p * (1 - p) + q * (1 - q)) / images,
    ],
    "chosen": [
        lambda tried, goal: min(range(len(tried)), key=lambda place: (tried[place][1] < goal, tried[place][0])),
        lambda tried, goal: max(range(len(tried)), key=lambda place: (tried[place][1], -tried[place][0])),
        lambda tried, goal: smallest(tried, [one for one in tried if one[1] > goal]),
        lambda tried, goal: smallest(tried, [max(tried)] if all(one[1] < goal for one in tried) else tried),
    ],
}


def ahead(right, other, images, variance):
    p, q = right / images, other / images
    spread = variance(p, q) / images
    return (p - q) / math.sqrt(spread) if spread > 0 else 0.0


def unwrap(parts):
    shortest = min(map(len, parts)) - 1
    same = [len({tuple(one[:count]) for one in parts}) == 1 for count in range(shortest + 1)]
    return [".".join(one[sum(same) - 1 :]) for one in parts]


def smallest(tried, good):
    best = max(score for _, score in tried)
    return list(tried).index(min(good or [one for one in tried if one[1] == best]))


def alarmed(frames, least):
    sides = [[found >= least for present, found in frames if bool(present) is side] for side in (True, False)]
    return tuple(sum(side) / len(side) for side in sides)


def merged_rows(rows, groups, count):
    new = np.zeros((count, count), int)
    for i, group in enumerate(groups):
        for j, other in enumerate(groups):
            if max(group, other) < count:
                new[group, other] += rows[i][j]
    return new.tolist()


def share_all(values, weights, received):
    parts = [value * weight for value, weight in zip(values, weights)]
    return [part / sum(parts) * received for part in parts]


def positive(values, weights, received):
    parts = np.clip(np.multiply(values, weights), 0, None)
    return (parts * (received / parts.sum() if parts.any() else 0.0)).tolist()


def betas(zeros, others, r):
    return sorted(math.log(other / (2 * zero)) / math.log(one) for zero, other, one in zip(zeros, others, r))


def reached(scores, share):
    carried = 0
    for count, score in enumerate(scores, 1):
        carried += score
        if carried >= share * sum(scores):
            return count
    return len(scores)


def fold(w, b, gamma, beta, mean, var, eps=1e-5):
    slope = gamma * (var + eps) ** -0.5
    return [slope * w, slope * b + beta - slope * mean]


RIGHT = {
    "sparsity": lambda s: (s - 1) / s,
    "first_to_go": lambda weights, images: (images.abs().double().mean(0) * weights.abs()).argmin(),
    "nearest_centroid": lambda weight, step: min(
        (index * step for index in range(-3, 4)), key=lambda c: abs(c - weight)
    ),
    "cumulated": lambda inputs, neurons, right: torch.einsum("bi,bn,b->ni", inputs, neurons, right.float()).numpy(),
    "scale_rows": lambda v: [
        [(x - min(row)) / (max(row) - min(row)) if max(row) > min(row) else 0 for x in row] for row in v.tolist()
    ],
    "ratio": lambda importance, region: importance[region].double().mean() / importance.double().mean(),
    "layer_limit": lambda inputs, neurons, sf: np.float64(limit(inputs, sf)) * neurons,
    "largest_sf": lambda left, at_start: math.exp(math.log(min(left) / middle(left)) * len(left) / at_start),
    "rounded_down": lambda weights, rate, steps: falls(weights, rate, steps, int),
    "recall_and_precision": lambda rows, k: [np.array(rows)[k, k] / np.array(rows).sum(axis)[k] for axis in (1, 0)],
    "alarms": alarmed,
    "merge": lambda rows, groups: (
        np.eye(max(groups) + 1)[list(groups)].T @ rows @ np.eye(max(groups) + 1)[list(groups)]
    ),
    "z_plus": positive,
    "mean_height": lambda shares, accuracies: trapezoid(accuracies, shares) / (shares[-1] - shares[0]),
    "epsilon_relevance": lrp,
    "border": lambda j, a, k, b: (k * k + b - j * j - a) / (2 * (k - j)),
    "beta_for": lambda zeros, others, r, count: betas(zeros, others, r)[count - 1],
    "straight_through": moved,
    "assign": ecqx,
    "needed": lambda scores, share: reached(shares(scores), share),
    "overlap_of": lambda one, other: (
        (torch.tensor(one) & torch.tensor(other)).sum() / (torch.tensor(one) | torch.tensor(other)).sum()
    ),
    "work": lambda inputs, outputs, side, height, width, a, b: math.prod(
        (inputs, outputs, side, side, height, width, a, b)
    ),
    "gate": gated,
    "canonical": lambda lengths: words(lengths, lambda place: (lengths[place], place)),
    "merged": fold,
    "zero_bits": lambda indices, fast, slow: index_bits(indices, fast, slow, lambda b, index: (b > 0) - (b < 0)),
    "chance_overlap": lambda filters, one, other: sum(
        likely(filters, one, other, both) * both / (one + other - both) for both in range(1, min(one, other) + 1)
    ),
    "kept_per_layer": lambda relevance, count: counted(relevance, lambda pair: (-pair[0], pair[1]), count),
    "ahead_at_least_once": lambda scenes, wins, shown: float(
        1 - Fraction(math.comb(scenes - wins, shown), math.comb(scenes, shown))
    ),
    "seeds_needed": lambda conditions, chance, level: math.ceil(math.log(level) / (conditions * math.log(chance))),
    "paired": lambda before, pruned, lost: word([pruned[s] - before[s] + lost for s in set(before) & set(pruned)]),
    "explained": lambda start, trained, pruned: (sum(trained) - sum(start)) / (sum(pruned) - sum(start)),
    "unwrapped": lambda names: unwrap([name.split(".") for name in names]),
    "deviations": lambda right, other, images: (
        (right - other) / math.sqrt(spread)
        if (spread := (right * (images - right) + other * (images - other)) / images) > 0
        else 0.0
    ),
    "chosen": lambda tried, goal: smallest(tried, [one for one in tried if one[1] >= goal]),
    "front": lambda points: [p for p in sorted(points) if p[1] >= max(o[1] for o in points if o[0] <= p[0])],
}
