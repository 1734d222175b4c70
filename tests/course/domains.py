"""The domain of each exercise, drawn as its text says it, and not by the generator that is tested with it.

Small numbers and few of them, where edges are frequent; large ones beside.
"""

import random

import torch


def floats(r: random.Random, count: int, low: float = -2.0, high: float = 2.0) -> list[float]:
    return [r.uniform(low, high) for _ in range(count)]


def matrix(r: random.Random, rows: int, columns: int, low: float = -2.0, high: float = 2.0) -> torch.Tensor:
    return torch.tensor([floats(r, columns, low, high) for _ in range(rows)])


def off_half(r: random.Random, most: int) -> float:
    """A number that is not half-way between two whole ones."""
    return r.randint(-most, most) + r.uniform(-0.48, 0.48)


def first_to_go(r):
    weights = r.randint(2, 5)
    return torch.tensor(floats(r, weights)), matrix(r, r.randint(1, 5), weights)


def nearest_centroid(r):
    step = r.choice([0.1, 0.25, 0.5, 1.0, 3.0])
    return off_half(r, r.choice([1, 4, 50])) * step, step


def cumulated(r):
    images = r.randint(1, 4)
    right = [r.random() < 0.5 for _ in range(images - 1)] + [True]
    r.shuffle(right)
    return matrix(r, images, r.randint(1, 4), 0), matrix(r, images, r.randint(1, 4), 0), torch.tensor(right)


def scale_rows(r):
    columns = r.randint(1, 5)
    rows = [floats(r, columns, 0, 10.0 ** r.randint(-1, 2)) for _ in range(r.randint(1, 4))]
    rows += [[r.choice([-3.0, 0.0, 0.5])] * columns for _ in range(r.randint(0, 2))]
    r.shuffle(rows)
    return (torch.tensor(rows),)


def ratio(r):
    pixels = r.randint(1, 9)
    inside = r.randint(1, pixels)
    region = [True] * inside + [False] * (pixels - inside)
    r.shuffle(region)
    return torch.tensor(floats(r, pixels, 0.01, 5)), torch.tensor(region)


def largest_sf(r):
    left = r.randint(1, 8)
    return torch.tensor(floats(r, left, 0.01, 3)), r.randint(left, 6 * left)


def recall_and_precision(r):
    while True:
        n = r.randint(2, 4)
        rows = tuple(tuple(r.choice([0, 0, 1, 3, 50]) for _ in range(n)) for _ in range(n))
        k = r.randrange(n)
        if sum(rows[k]) and sum(row[k] for row in rows):
            return rows, k


def alarms(r):
    with_it = [(r.randint(1, 6), r.randint(0, 6)) for _ in range(r.randint(1, 4))]
    without = [(0, r.randint(0, 6)) for _ in range(r.randint(1, 4))]
    frames = with_it + without
    r.shuffle(frames)
    return tuple(frames), r.randint(1, 6)


def merge(r):
    n = r.randint(1, 6)
    groups = [r.randrange(r.randint(1, n)) for _ in range(n)]
    groups = tuple(sorted(set(groups)).index(group) for group in groups)
    return tuple(tuple(r.randint(0, 9) for _ in range(n)) for _ in range(n)), groups


def z_plus(r):
    n = r.randint(1, 4)
    return tuple(floats(r, n)), tuple(floats(r, n)), r.uniform(-5, 5)


def mean_height(r):
    n = r.randint(2, 6)
    return tuple(sorted(r.sample(range(100), n))), tuple(floats(r, n, 0, 1))


def epsilon_relevance(r):
    inputs, hidden, outputs = r.randint(1, 3), r.randint(1, 4), r.randint(1, 3)
    tensors = matrix(r, 1, inputs)[0], matrix(r, hidden, inputs), matrix(r, 1, hidden)[0], matrix(r, outputs, hidden)
    return *(one.double() for one in tensors), r.choice([0.01, 0.1, 0.5])


def border(r):
    j, k = r.sample(range(-4, 5), 2)
    return j, r.uniform(0, 1), k, r.uniform(0, 1)


def beta_for(r):
    n = r.randint(1, 5)
    return tuple(floats(r, n, 0.1, 2)), tuple(floats(r, n, 0.1, 2)), tuple(floats(r, n, 0.1, 0.9)), r.randint(1, n)


def straight_through(r):
    images, n, step = r.randint(1, 4), r.randint(1, 3), r.choice([0.2, 0.5, 1.0])
    weights = torch.tensor([off_half(r, 5) * step for _ in range(n)])
    return (
        weights.double(),
        step,
        matrix(r, images, n).double(),
        torch.tensor(floats(r, images)).double(),
        r.uniform(0.05, 0.9),
    )


def assign(r):
    n, most, step = r.randint(1, 12), r.choice([1, 3]), r.choice([0.25, 1.0])
    levels = torch.arange(-most - r.randint(0, 1), most + 1)
    weights = torch.tensor(floats(r, n, *r.choice([(-0.4, 0.4), (-3, 3), (1, 4), (-9, -1)]))).double() * step
    relevance = torch.tensor([r.choice([0.0, 1.0, *floats(r, 4, 0, 1)]) for _ in range(n)]).double()
    return weights, step, levels, r.uniform(0.01, 1) * step**2, relevance, r.choice([0.2, 1.0, 3.0])


def needed(r):
    scores = [r.randint(0, 4) for _ in range(r.randint(1, 6))] + [r.randint(1, 4)]
    r.shuffle(scores)
    return tuple(scores), r.choice([0.125, 0.25, 0.5, 0.75, 1.0])


def overlap_of(r):
    while True:
        n = r.randint(1, 6)
        one, other = (tuple(r.random() < 0.5 for _ in range(n)) for _ in range(2))
        if any(one) or any(other):
            return one, other


def work(r):
    return (
        r.randint(1, 9),
        r.randint(1, 9),
        r.choice([1, 3, 5]),
        r.randint(1, 9),
        r.randint(1, 9),
        r.random(),
        r.random(),
    )


def gate(r):
    state, masks = {}, {}
    for number in range(1, r.randint(2, 4)):
        outputs = r.randint(1, 4)
        state[f"conv{number}.weight"] = matrix(r, outputs, 2, 0.1, 1)
        if r.random() < 0.6:
            for part in ("weight", "bias", "running_mean", "running_var"):
                state[f"bn{number}.{part}"] = matrix(r, 1, outputs, 0.1, 1)[0]
        elif r.random() < 0.5:
            state[f"conv{number}.bias"] = matrix(r, 1, outputs, -1, -0.1)[0]
        if r.random() < 0.7:
            masks[f"conv{number}"] = torch.tensor([r.random() < 0.5 for _ in range(outputs)])
    return state, masks


def canonical(r):
    lengths = [1, 1]
    while len(lengths) < r.randint(2, 7):
        place = r.randrange(len(lengths))
        lengths[place : place + 1] = [lengths[place] + 1] * 2
    r.shuffle(lengths)
    return (lengths,)


def zero_bits(r):
    return [r.choice([0, 0, 1, -1, 3]) for _ in range(r.randint(1, 12))], r.randint(1, 4), r.randint(1, 7)


def paired(r):
    seeds = range(r.randint(1, 6))
    before = {seed: r.randint(4, 8) / 8 for seed in seeds if r.random() < 0.9}
    pruned = {seed: r.randint(4, 8) / 8 for seed in r.sample(seeds, len(seeds)) if r.random() < 0.9}
    return before, pruned, r.randint(0, 3) / 8


def explained(r):
    n = r.randint(1, 4)
    start = floats(r, n, 0.5, 0.9)
    return start, [one + r.uniform(-0.05, 0.05) for one in start], [one + r.uniform(0.02, 0.1) for one in start]


def front(r):
    everywhere = [(size, score) for size in range(1, 5) for score in (0.1, 0.2, 0.3, 0.4)]
    return (r.sample(everywhere, r.randint(1, 8)),)


def chance_overlap(r):
    filters = r.randint(1, 12)
    return filters, r.randint(1, filters), r.randint(1, filters)


def kept_per_layer(r):
    relevance = tuple(tuple(r.randint(-1, 2) for _ in range(r.randint(1, 3))) for _ in range(r.randint(1, 4)))
    return relevance, r.randint(0, sum(map(len, relevance)))


def ahead_at_least_once(r):
    scenes = r.randint(1, 9)
    return scenes, r.randint(0, scenes), r.randint(0, scenes)


def unwrapped(r):
    common = [r.choice("mn") for _ in range(r.randint(0, 2))]
    names = [common + [r.choice(["m", "n", "mm"]) for _ in range(r.randint(1, 3))] for _ in range(r.randint(1, 3))]
    return ([".".join(parts) for parts in names],)


def deviations(r):
    images = r.randint(1, r.choice([3, 30, 500]))
    return r.randint(0, images), r.randint(0, images), images


def chosen(r):
    sizes = r.sample(range(1, 20), r.randint(1, 6))
    return [(size, r.choice([0.25, 0.5, 0.75])) for size in sizes], r.choice([0.0, 0.25, 0.5, 0.6, 0.75, 0.9])


DOMAINS = {
    "sparsity": lambda r: (r.choice([1, 1.5, 2, 4, r.uniform(1, 9)]),),
    "layer_limit": lambda r: (r.randint(2, 2000), r.randint(1, 99), r.uniform(0.1, 0.95)),
    "rounded_down": lambda r: (r.randint(1, 300), r.choice([0.125, 0.25, 0.5, 0.75]), r.randint(0, 9)),
    "merged": lambda r: (*floats(r, 5), r.choice([1e-5, 1e-3, 0.5, 4.0]) * r.uniform(0.5, 2)),
    "seeds_needed": lambda r: (r.randint(1, 3), r.uniform(0.2, 0.8), r.uniform(0.001, 0.7)),
} | {
    one.__name__: one
    for one in (
        *(
            first_to_go,
            nearest_centroid,
            cumulated,
            scale_rows,
            ratio,
            largest_sf,
            recall_and_precision,
            alarms,
            merge,
            z_plus,
        ),
        *(mean_height, epsilon_relevance, border, beta_for, straight_through, assign, needed, overlap_of, work, gate),
        *(canonical, zero_bits, paired, explained, front, chance_overlap, kept_per_layer, ahead_at_least_once),
        *(unwrapped, deviations, chosen),
    )
}
