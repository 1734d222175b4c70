# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Start here: check your machine, learn the words, remove your first weight
# A trained network has more weights than it needs. Which of them matter? This kit asks the network itself, removes what does
# not matter, and measures what is lost. Before you meet real networks, you do every step once by hand, on three weights.
#
# | you do | you learn | you need |
# |---|---|---|
# | check this machine, then take a neuron of three weights through four stations | why a large weight can be the first to go, and what the words of this field mean | school mathematics, some Python, ten minutes |
#
# The lesson runs in about ten seconds. It needs no data set and no internet. It decides no published claim, but prepares you for the
# lessons that do.

# %% [markdown] slideshow={"slide_type": "skip"}
# Every lesson starts with its imports and with one cell of parameters. `profile` chooses the budget: `quick` takes minutes on a
# laptop, `full` takes the published number of steps. `seed` fixes the random numbers.

# %% slideshow={"slide_type": "skip"}
import math

import torch
from scipy.special import lambertw

from relcomp_kit import figures
from relcomp_kit.course import check, environment
from relcomp_kit.course.cases import start_here as fresh

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Is your machine ready?
# The next cell looks at Python, the libraries, memory, disk and data sets. `[ok]` is good. `[warn]` means that something is small or
# missing, but the lessons run. `[fail]` means that they do not. For details run `relcomp check` in a terminal. It prints the same
# lines with versions, ready to be pasted into a bug report.

# %%
print(f"profile: {profile}")
findings = environment.findings()
print("\n".join(f"[{finding.state}] {finding.name}" for finding in findings))

# %% tags=["nbval-check-output"]
check.true(
    "nothing on this machine stops the lessons",
    all(finding.state != "fail" for finding in findings),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The map
# Data passes through four packages of `relcomp_kit`, from top to bottom. Imports run the same way: a package imports only from those
# above it. Three more make a course of them.
#
# | package | in | out | the question it answers |
# |---|---|---|---|
# | `datasets` | a name | images for training, validation and test | which images are these, and are they complete? |
# | `models` | images | a trained network | how good is it before anything is removed? |
# | `relevance` | network and images | one number per weight | which weights matter? |
# | `compression` | network and relevance | masks, whole numbers, bytes | how small does it get, and at what price? |
# | `studies`, `evidence`, `course` | all of the above | a notebook, a record of measurements, a table of claims | which published claims hold? |
#
# Lesson 01 is about `relevance`: it compares more than a dozen ways to say that a weight matters. Lesson 02 is about `compression`: it
# prunes until nothing changes any more, and predicts where that is. `relcomp run` runs all lessons and writes the table of claims.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The words
# The first source of this course is a German thesis. The table gives its words, those that the field uses, and the names in
# our code. Come back to it when you meet a word that you do not know.
#
# | German | English, and in the code | meaning |
# |---|---|---|
# | Gewicht | weight, `weight` | a number that training has found; it multiplies an input |
# | Relevanz | relevance, `relevance` | how much a weight or an input contributes to the decision |
# | Wichtigkeit | importance, `importance` | the same question, answered with gradients; here never negative |
# | Salienz, Salienzkarte | saliency, saliency map | the gradient of the loss with respect to each input |
# | Einfluss (impact) | impact, `impact_map` | gradient times input: the first-order term of a Taylor series |
# | Eingangswichtigkeit | input importance | the absolute gradient of an input, scaled to 0 ... 1 |
# | kumulierte Wichtigkeit | cumulated importance | importance, summed over many images |
# | Beschneiden | pruning, `pruning` | setting weights to 0 for good |
# | Maske | mask, `mask` | one yes or no per weight: stays or is gone |
# | Schwellwert | threshold | what a weight's importance must exceed to stay |
# | Sparsität (share of zeros) | sparsity | the fraction of weights that are 0, between 0 and 1 |
# | Sparsity S (thesis only) | inverse density, `inverse_density` | weights at the start over weights left: $S = C_0 / C_t$, from 1 upwards |
# | Sparsifizierungsfaktor SF | sparsification factor, `sf` | the knob of the thesis' threshold, in (0, 1] |
# | Verlustfunktion | loss, `loss` | what training makes small |
# | Nachtrainieren | fine-tuning | training that goes on after pruning |
# | Genauigkeit | accuracy | the fraction of images that are classified correctly |
# | Lambert-W-Funktion | Lambert W function, `lambertw` | solves $w e^{w} = x$ for $w$ |
# | Grenzwert | limit | the count of weights at which pruning stops |
# | Quantisierung | quantization | rounding weights to few values |
# | Stützstelle | centroid | one of these few values |
# | Schrittweite | step, `step` | the distance between two centroids: weight = index x step |
# | Bitbreite | bit width, `bits` | bits per index: 4 bits name at most 16 centroids |
# | Rohgewicht | raw weight, float32 weight | the weight before it was rounded |
# | Kompressionsrate | compression ratio | original bytes over coded bytes |
# | Teilnetz, Pfad | path | the filters that one task needs |
#
# Mind one trap: the thesis calls $C_0 / C_t$ "sparsity", and everyone else calls the share of zeros so. We use the second meaning. Here
# are both, for a layer with 25 of 100 weights left:

# %% tags=["nbval-check-output"]
start, left = 100, 25
check.same("with a quarter of the weights left, the sparsity is 0.75", 1 - left / start, 0.75)
check.same("and the inverse density, the thesis' S, is 4", start / left, 4.0)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Station 1: which weight matters?
# Look at one neuron with three weights. It multiplies each input by its weight and adds up. A positive sum means "yes".
#
# The first input is nearly always dark, so it is small. The third is bright. Which weight would you remove?

# %%
weights = torch.tensor([2.0, -0.5, 0.3])
inputs = torch.tensor([0.05, 1.0, 4.0])  # what this neuron usually sees
contributions = weights * inputs  # 0.1, -0.5, 1.2
contributions.sum()

# %% [markdown]
# By size, the third weight goes first, because 0.3 is the smallest number. But this weight carries the decision: without it the sum turns
# negative and the neuron says "no". The largest weight, 2.0, contributes least, because its input is almost 0.
#
# So ask for each weight's *share* of all contributions, not for its size. This is the idea behind the whole course:


# %%
def relevance(weights, inputs):
    """Share of each weight in the sum of absolute contributions."""
    contributions = (weights * inputs).abs()
    return contributions / contributions.sum()


def without(weights, index):
    """The neuron after one weight was removed."""
    mask = torch.ones_like(weights)
    mask[index] = 0
    return weights * mask


# %%
by_size = (without(weights, weights.abs().argmin()) * inputs).sum()
by_relevance = (without(weights, relevance(weights, inputs).argmin()) * inputs).sum()

# %% tags=["nbval-check-output"]
check.close("all three weights say yes, with 0.8", contributions.sum(), 0.8, atol=1e-6)
check.close("without the smallest weight the neuron says no, with -0.4", by_size, -0.4, atol=1e-6)
check.close(
    "without the least relevant one it still says yes, with 0.7", by_relevance, 0.7, atol=1e-6
)

# %%
figures.two_orders(weights.abs(), relevance(weights, inputs))

# %% [markdown]
# **What you see.** The two orders are opposite. On the left, by size, weight 1 towers over the others and weight 3 is the shortest bar. On
# the right, by relevance, weight 3 holds two thirds of all contributions and weight 1 about a twentieth.
#
# Real networks have many layers, and a weight's contribution to the final answer cannot be read off from one product. But it can be
# estimated by the gradient. Here the gradient of the sum with respect to a weight *is* its input, so weight times gradient gives the
# contribution exactly. In a network of many layers it is an approximation, because a gradient is a straight line and the network is
# curved. But it can be computed for every weight. Several measures of lesson 01 are variations of this line:

# %% tags=["nbval-check-output"]
traced = weights.clone().requires_grad_()
(traced * inputs).sum().backward()
check.same(
    "weight times gradient is the contribution", traced.detach() * traced.grad, contributions
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Does it hold beyond one example?
# Three numbers can be chosen to prove anything. So take 2,000 random neurons of eight weights, whose inputs differ in brightness by up to
# a factor of a hundred. Remove one weight from each neuron, chosen in three ways, and measure how far the sum moves.

# %%
generator = torch.Generator().manual_seed(seed)
many_weights = torch.randn(2000, 8, generator=generator)
many_inputs = 10 ** (-2 * torch.rand(2000, 8, generator=generator))  # between 0.01 and 1
moved = (many_weights * many_inputs).abs()  # the sum moves by what is removed

# %%
change = {
    "random": moved[:, 0].mean(),
    "smallest weight": moved.gather(1, many_weights.abs().argmin(1, keepdim=True)).mean(),
    "least relevant": moved.min(1).values.mean(),
}
print("\n".join(f"{name:<16}{value:.4f}" for name, value in change.items()))

# %% [markdown]
# **What you see.** Removing the smallest weight is far better than removing a random one. Removing the least relevant one is better again,
# by more than a factor of three. Here it must win, because the neuron is linear and we measure what we minimise. In a real network nothing
# guarantees that. So lesson 01 compares every measure with an *oracle* that tries out each removal.

# %% tags=["nbval-check-output"]
check.true(
    "size is a better guide than a random choice", change["smallest weight"] < change["random"]
)
check.true(
    "relevance is a better guide than size",
    change["least relevant"] < change["smallest weight"] / 3,
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Station 2: when does pruning stop?
# Remove, train, remove again. If the threshold adapts to the weights that are left, their count converges. The thesis has a formula for
# the limit. It needs the inverse of $w e^{w}$, the Lambert W function. Lesson 02 derives the formula, and asks whether a real net follows
# it. For now, see that the function undoes the product:

# %% tags=["nbval-check-output"]
w = lambertw(5.0).real
check.close("W(5) is the number whose w times e to the w is 5", w * math.exp(w), 5.0, atol=1e-9)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Station 3: fewer values
# What stays need not be stored as a 32-bit number. Choose a step, and replace every weight by a whole number of steps. The multiples of
# the step are the centroids, and the whole numbers are the indices. See what becomes of
# 2.0, -0.5 and 0.3:

# %%
step = 0.25
indices = torch.round(weights / step).int()
indices

# %% [markdown]
# **What you see.** 2.0 and -0.5 are multiples of the step and stay as they are. 0.3 becomes one step, 0.25. Rounding moves a weight by half a
# step at most:

# %% tags=["nbval-check-output"]
check.true(
    "no weight moves by more than half a step", ((indices * step - weights).abs() <= step / 2).all()
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Station 4: fewer bytes
# A mask alone saves nothing. A zero takes four bytes like any other number, and the processor multiplies by it all the same. A paper
# that reports "90 % of the weights removed" has not made anything smaller yet:

# %% tags=["nbval-check-output"]
pruned = without(weights, 0)
check.same("a weight that is 0 takes as many bytes as before", pruned.nbytes, weights.nbytes)

# %% [markdown]
# A net gets smaller in one of two ways: by a code in which frequent indices are short, or by removing whole filters, so that the matrices
# shrink. Whenever a lesson gives a size, it says which of the two it means.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: sparsity ★
# The stars say how hard an exercise is: ★ takes one line, ★★ takes some thought first, ★★★ takes half an hour. The cell below your answer
# checks it: first the cases that it shows, then a hundred new ones at every run.
#
# Translate the thesis' word into ours. Given its S (weights at the start over weights left), return the share of zeros.


# %% tags=["exercise"]
def sparsity(inverse_density):
    """Fraction of weights that are 0."""
    # solution
    return 1 - 1 / inverse_density


# %% tags=["nbval-check-output"]
check.exercise(sparsity, {(1,): 0.0, (4,): 0.75, (10,): 0.9}, fresh.sparsity)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 2: first to go ★★
# Which weight goes first? Return the position of the least relevant one, now judged by *several* images at once. Each row holds the inputs
# of one image, each column belongs to one weight. Add up the absolute contributions over the images first.


# %% tags=["exercise"]
def first_to_go(weights, images):
    """Position, from 0, of the weight that contributes least; images: (count, weights)."""
    # solution
    return int((weights * images).abs().sum(0).argmin())


# %% tags=["nbval-check-output"]
dark_right = torch.tensor([[1.0, 1.0, 0.1], [1.0, 0.5, 0.0]])
cancels = torch.tensor(
    [[3.0, 1.0, 1.0], [-3.0, 1.0, 1.0]]
)  # the first adds and subtracts: it matters all the same
cases = [
    ((torch.tensor([1.0, 1.0, 4.0]), dark_right), 2),
    ((torch.tensor([1.0, -1, 2]), cancels), 1),
]
check.exercise(first_to_go, cases, fresh.first_to_go)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 3: nearest centroid ★★
# Round a weight to its nearest centroid. There are only a few of them: the index must lie between -3 and 3, and what lies outside is
# clipped. No weight lies half-way between two centroids.


# %% tags=["exercise"]
def nearest_centroid(weight, step):
    """The multiple of step, from -3 to 3 steps, that lies nearest to the weight."""
    # solution
    return max(-3, min(3, round(weight / step))) * step


# %% tags=["nbval-check-output"]
shown = {(0.3, 0.25): 0.25, (-0.4, 0.25): -0.5, (2.0, 0.25): 0.75, (-9.0, 0.5): -1.5}
check.exercise(nearest_centroid, shown, fresh.nearest_centroid)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open
# Judged one at a time, the least relevant weight is the best to remove. Now two go at once. The cell removes the two least relevant ones.
# Find a better pair, by any rule you can think of, and then the best of all 28 pairs by trying. Why do the two that matter least one by one
# not matter least together? What does that mean for a net of a million weights?

# %%
parts = many_weights * many_inputs  # of every neuron's sum
pair = parts.abs().topk(2, largest=False).indices
print(f"the two least relevant weights gone: {parts.gather(1, pair).sum(1).abs().mean():.4f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. A weight is large, but its input is always 0. What is its relevance, and what happens to the network when you remove it?
#
# <details><summary>Answer</summary>Its relevance is 0, and nothing happens: it multiplies nothing. Large weights can be irrelevant.</details>
#
# 2. Why do we add up *absolute* contributions over the images in exercise 2?
#
# <details><summary>Answer</summary>Because the contributions of a weight that pushes up for one image and down for another
# would cancel to 0. It would look irrelevant, although every single decision depends on it.</details>
#
# 3. A net has sparsity 0.9. Is its file a tenth as large?
#
# <details><summary>Answer</summary>No. Zeros are stored like any number, until a code or a smaller matrix makes use of them. And a
# code must also say where the zeros are.</details>

# %% [markdown]
# ## References
# - B. H. Böhnke, *Hardware-Beschleunigung von Edge-AI*, master project 2: the saliency pruning of lessons 01 and 02.
# - Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance propagation*, PLoS ONE 2015.
# - Corless et al., *On the Lambert W function*, Advances in Computational Mathematics 1996.
# - Becking et al., *ECQx: explainability-driven quantization for low-bit and sparse DNNs*, 2022.

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# [Glossary](glossary.md) · [01 Find the weights that matter](01_find_important_weights.ipynb) →
