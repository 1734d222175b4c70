# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Quantize by relevance
# A weight is stored in 32 bits and hardly needs them. Round it to one of sixteen values, and four bits will do. Let most weights share one value, zero, and a weight takes less than one bit on average.
# *ECQ* decides which weight gets which value by what the value costs to store. *ECQ^x* also asks how relevant the weight is. You rebuild both, train nets with them, and test what was published: two to five bits without loss, better by relevance, up to 103 times smaller.
#
# | you do | you learn | you need |
# |---|---|---|
# | round weights by hand, draw what a centroid costs, write both assignments, write the training loop, race relevance against magnitude and random numbers | entropy, entropy-constrained assignment, straight-through training, what relevance adds, two faults of the published code | lesson 04, an hour and a half |
#
# `quick` takes 3 min on two cores, `full` 20 min on MNIST and 2 h for `dataset = "rail-scenes"`. The lesson decides X1 to X3 of the ledger and two controls; sweeps decide the others in the table.

# %% slideshow={"slide_type": "skip"}
import copy
import math
from dataclasses import replace

import torch
from IPython.display import Audio, display

from relcomp_kit import datasets, figures
from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.compression.ecqx.qat_loop import Run
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.course import check
from relcomp_kit.course.cases import quantization as fresh
from relcomp_kit.datasets.audio import RATE, log_mel
from relcomp_kit.evidence.record import Record, claims_text, reference
from relcomp_kit.evidence.rules.series import percent
from relcomp_kit.studies import plans as sweeps
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.quantization import measurement as study
from relcomp_kit.studies.quantization import results as results_of
from relcomp_kit.studies.quantization import speech, sweep_claims
from relcomp_kit.studies.quantization.experiment import trained
from relcomp_kit.studies.segmentation.training import StepsLine

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "mnist"  # or "rail-scenes"

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).quantize
net, digits = trained("tanh", "mnist", seed)
scenes = datasets.load_scenes("rail-scenes")
segmenters = study.segmenters(scenes, profile)
print(f"profile: {profile}")
print(datasets.banner(digits))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Whole numbers times one step
# Every weight of a layer becomes $w = k\,\Delta$: a whole number $k$, its *index*, times a step $\Delta$ that the layer shares. The value $k\,\Delta$ is a *centroid*. With $b$ bits there are $2^b$ indices. That is an even number, so one side of 0 has one index more. The last index that both sides have is $2^{b-1} - 1$.
# The published step puts it at the 99.9th percentile of the weights' sizes: $\Delta = P_{99.9}(|w|) / (2^{b-1} - 1)$. Below is the first layer of the thesis' net. (If the banner says *digits*, MNIST is not there, and a small stand-in takes its place.)

# %%
weight = net.layers[0].weight.detach()


def step_of(weight, bits):
    """The 99.9th percentile of the weights' sizes, over the last index on both sides."""
    return (weight.abs().flatten().quantile(0.999) / (2 ** (bits - 1) - 1)).item()


def rounded(weight, step, bits):
    """The nearest index of every weight; the odd index lies on the side that has more weight."""
    most = 2 ** (bits - 1) - 1
    low, high = (-most, most + 1) if weight.sum() >= 0 else (-most - 1, most)
    return (weight / step).round().clamp(low, high)


grids = {"4 bit, published": (4, step_of(weight, 4)), "2 bit, published": (2, step_of(weight, 2))}
grids["2 bit, least squares"] = (2, ecqx.centroid_step(weight, 2, rule="least-squares"))
panels = {name: (step, rounded(weight, step, bits)) for name, (bits, step) in grids.items()}
figures.weights_on_grid(weight, panels)

# %% [markdown]
# **What you see.** The grey line is the distribution of the weights. Each dot is a centroid (the red one is 0), and its height is how many weights go there, on a logarithmic scale. At 4 bit the centroids lie close together. At 2 bit $2^{b-1} - 1$ is 1, so the first centroid on either side lies far out in the tail, and nearly all weights become 0. The grid on the right has the *least squared error*. This lesson's plans take that grid at 2 bit, because
# the published one leaves more than nine weights in ten at 0 from the start. The recorded run shows which one is better.
#
# A coder need not spend equally many bits on each index. If frequent indices get short words, a weight takes $H = -\sum_k P_k \log_2 P_k$ bits on average, the *entropy*, and no coder of single indices takes fewer. Until lesson 07, the size of a net is this number times its weights, plus biases, batch-norm and steps as they are. *Sparsity* is the share of weights that are 0.


# %%
def entropy(indices):
    """Bits per index of an ideal coder."""
    _, counts = indices.unique(return_counts=True)
    share = counts / counts.sum()
    return -(share * share.log2()).sum().item()


for name, (_, indices) in panels.items():
    zeros = (indices == 0).float().mean()
    print(f"{name:22} {entropy(indices):.2f} bits a weight, {zeros:.0%} zeros")

# %% [markdown]
# **What you see.** The more weights share one index, the fewer bits a weight takes. On the published grid at 2 bit nearly all of them are 0, and a quarter of a bit is enough. At 4 bit the sixteen indices take fewer than three bits on average.

# %% tags=["nbval-check-output"]
plain, (step, indices) = ecqx.quantize(net, 4, 0.0), panels["4 bit, published"]
first = "layers.0.weight"
check.close("the kit's step is yours", plain.steps[first].item(), step, atol=1e-6)
check.same("at lambda 0 the kit rounds as you did", plain.indices[first], indices)
check.close("and has your entropy", plain.entropies[first], entropy(indices), atol=1e-4)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Which 99.9 %?
# Your percentile *interpolates* between two neighbouring sizes, as NumPy's does, which the published code takes. Other code takes the *nearest rank*: a size that some weight really has. In the kit, the first is `step="p99.9-interpolated"`, the default, and the second `step="p99.9"`. Do they differ? Here are the two smallest weight tensors and the largest one of the compact DeepLabV3.

# %%
sizes = sorted(ecqx.quantizable(segmenters[0].net).items(), key=lambda pair: pair[1].numel())
for _, one in (*sizes[:2], sizes[-1]):
    rank, between = (ecqx.centroid_step(one, 4, rule=r) for r in ("p99.9", "p99.9-interpolated"))
    zeros = [f"{(rounded(one, step, 4) == 0).float().mean():.1%}" for step in (rank, between)]
    apart = f"{rank / between - 1:.1%} apart, zeros {' or '.join(zeros)}"
    print(f"{one.numel():7,} weights: step {rank:.4f} or {between:.4f}, {apart}")

# %% [markdown]
# **What you see.** In the large tensor the two agree. In the small ones the published step is finer by nearly a tenth, and fewer weights become 0. There, only the largest weight lies above the percentile, and the step depends on how far out that one weight is. So name the rule whenever you compare two codes.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What a centroid costs
# Rounding takes the nearest centroid. ECQ takes the cheapest: squared error plus $\lambda$ times the bits of the index,
#
# $$k(w) = \operatorname*{argmin}_k \; (w - k\Delta)^2 - \lambda \log_2 P_k .$$
#
# $P_k$ is the share of weights that $k$ is nearest to. $P_0$ is raised to one half at least, and the others shrink in proportion, so that all add up to 1. This makes 0 the cheapest index to store in every layer. In code:


# %%
def nearest_shares(weight, grid):
    """P of every index: how many weights it is nearest to."""
    nearest = (weight / grid.step).round().clamp(*grid.levels)
    levels = range(grid.levels[0], grid.levels[1] + 1)
    return torch.stack([(nearest == level).float().mean() for level in levels])


def with_half(share, zero):
    """Raise the share of 0 to one half, if it is less; shrink the others to the other half."""
    made = share * min(1, 0.5 / (1 - share[zero]))
    made[zero] = max(0.5, share[zero])
    return made


def costs(weight, grid, share, factor=1.0):
    """What every index costs for every weight, (..., levels); that of 0 times a factor."""
    levels = torch.arange(grid.levels[0], grid.levels[1] + 1)
    bits = -share.clamp_min(2**-30).log2()  # 30 bits at most, not infinitely many
    cost = (weight[..., None] - levels * grid.step) ** 2 + grid.lam * bits
    cost[..., levels == 0] *= factor
    return cost


# %%
def cheapest(weight, grid, share, factor=1.0):
    """The argmin: the cheapest index of every weight."""
    return costs(weight, grid, share, factor).argmin(-1) + grid.levels[0]


grid = ecqx.plan(net, 3, 0.05)[first]
share = with_half(nearest_shares(weight, grid), -grid.levels[0])
scaled = {f"{times} × λ of the layer": replace(grid, lam=times * grid.lam) for times in (0, 1, 8)}
some = torch.linspace(-1.1, 1.1, 401) * grid.step * grid.levels[1]
levels = list(range(grid.levels[0], grid.levels[1] + 1))
shown = {name: (some, costs(some, one, share).T, levels) for name, one in scaled.items()}
figures.cost_parabolas(shown)

# %% [markdown]
# **What you see.** Each centroid has one parabola, and all have the same shape. The black line is the lowest cost, and the strip below names the index that it belongs to. $\lambda$ lifts each by the bits of its index, rare ones most. So the borders move outwards, and the range of weights that become 0 grows: more zeros, fewer bits, more error.
#
# There is nothing to search. Without $w^2$ the parabolas are straight lines, and the cheapest index changes where two lines cross. The kit computes these borders once and sorts the weights between them. It never builds the table of costs that your cell builds. For the 58 million weights of a DeepLabV3 with ResNet-101 that table would take 3.7 GB at 4 bit.

# %% tags=["nbval-check-output"]
yours = cheapest(weight, grid, share)
kit = ecqx.assign(weight, grid.step, grid.levels, grid.lam)
more = ecqx.assign(weight, grid.step, grid.levels, 8 * grid.lam)
differ = (kit != yours).float().mean()
check.true("the kit takes your cheapest index, but for a few weights on a border", differ < 1e-4)
zeros = [(one == 0).sum() for one in (rounded(weight, grid.step, 3), kit, more)]
check.true("a larger lambda leaves more zeros", zeros[0] < zeros[1] < zeros[2])

# %% [markdown]
# Every layer has a $\lambda$ of its own, $\Lambda\,\lambda_{max}\,(n / n_{largest} + 0.05) / 1.05$. $\lambda_{max}$ is the one that would send all of the layer's weights to 0, and $n$ is the number of its weights. So small layers, whose bits hardly count, are spared. One setting is left, $\Lambda$. The published default is 0.05.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## A fault in the published code
# The paper says what you wrote: the others shrink so that all shares add up to 1. The published code shrinks them one after another, from the lowest index to the highest, by what 0 lacks at that moment. It forgets to leave 0 out. When its turn comes, 0 shrinks too, so it lacks more than before, and all indices *above* 0 shrink by too much. At the end 0 is set to one half. Written without the loop:


# %%
def as_published(share, zero):
    """The same with the fault: 0 shrinks in its turn, and what comes behind it shrinks by more."""
    if share[zero] >= 0.5:
        return share
    others = 1 - share[zero]
    below = 1 - (0.5 - share[zero]) / others  # the factor for indices below 0, and for 0 itself
    above = 1 - (0.5 - share[zero] * below) / others
    return torch.cat([share[:zero] * below, torch.tensor([0.5]), share[zero + 1 :] * above])


grid = ecqx.plan(net, 4, 0.1)[first]
share, zero = nearest_shares(weight, grid), -grid.levels[0]
for name, raised in (("as meant", with_half), ("as published", as_published)):
    made = raised(share, zero)
    index = cheapest(weight, grid, made)
    negative, positive = ((index[side] == 0).float().mean() for side in (weight < 0, weight > 0))
    zeros = f"{negative:.1%} zeros among negative weights, {positive:.1%} among positive ones"
    print(f"{name:13} sum of shares {made.sum():.3f}; {zeros}")

# %% [markdown]
# **What you see.** As published, the shares sum to less than 1. An index above 0 seems rarer than it is, so it costs more bits, and more positive weights go to 0 than negative ones. The paper's baseline, ECQ, carries this fault as well as ECQ^x. What does it cost? The whole net, without training, at 4 bit:


# %%
def ecq_net(Lambda, raised):
    """The net after ECQ at 4 bit, with the shares raised in one way or the other."""
    made = copy.deepcopy(net)
    for name, grid in ecqx.plan(net, 4, Lambda).items():
        one, zero = made.get_parameter(name).data, -grid.levels[0]
        share = raised(nearest_shares(one, grid), zero)
        one.copy_(cheapest(one, grid, share) * grid.step)
    return made


for Lambda in (0.05, 0.1, 0.2, 0.4):
    both = [ecq_net(Lambda, raised) for raised in (with_half, as_published)]
    meant, published = (study.validation_accuracy(one, digits, seed) for one in both)
    print(f"Λ {Lambda:<4} validation accuracy {meant:.1%} as meant, {published:.1%} as published")

# %% [markdown]
# **What you see.** From $\Lambda = 0.1$ on, ECQ as meant is one to two points better; at 0.05 the two hardly differ. One reason is that ECQ as meant sends fewer weights to 0. The fault weakens the baseline against which the paper measures relevance. So a gain over the *published* ECQ is not yet a gain by relevance. All this is about one small net; on four nets of CIFAR-10, further down, the fault does no harm. The kit computes the shares as meant, and in all that follows ECQ is the mended one.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What relevance changes
# ECQ does not know what a weight is for. ECQ^x multiplies the cost of index 0 by a factor,
#
# $$k(w) = \operatorname*{argmin}_k \; f_k \left[ (w - k\Delta)^2 - \lambda \log_2 P_k \right], \qquad f_0 = \rho R^\beta, \quad f_k = 1 \text{ for } k \neq 0 .$$
#
# $R$ is the weight's relevance (LRP-epsilon, mean of absolute values, as in lesson 04) over the largest of its layer, and $\rho = 2$. A relevant weight pays up to twice as much for becoming 0, an irrelevant one next to nothing.
# $\beta$ starts at $\ln 0.5 / \ln \bar R$, so that a weight of mean relevance is treated as by ECQ. Then $\beta$ is moved until there are no more zeros than under ECQ, and at most 10 % of all weights fewer.
#
# The project's slides show the factor $\rho R$, without $\beta$. Does that make a difference? Your `cheapest` takes a factor:

# %%
images = study.small_batches(net, digits, seed)
found = study.relevances(net, images, seed)
relevance = ecqx.normalized(found[study.LRP][first])
fitted, ecq_x = ecqx.fit(weight, grid, relevance=relevance)  # the kit: its beta, and its indices
nearest = nearest_shares(weight, grid)
share = with_half(nearest, zero)
powers = {"ECQ": None, "factor 2 R": 1.0, f"factor 2 R^{fitted.beta:.2f}": fitted.beta}
print(f"mean relevance of the layer {relevance.mean():.3f}")
for name, beta in powers.items():
    factor = 1.0 if beta is None else 2 * relevance[..., None] ** beta
    zeros = (cheapest(weight, grid, share, factor) == 0).float().mean()
    dearer = (torch.as_tensor(factor) > 1).float().mean()
    print(f"{name:15} {zeros:.0%} zeros; 0 costs more than under ECQ for {dearer:.0%} of weights")

# %% [markdown]
# **What you see.** Most weights have little relevance, so $2R$ is far below 1 for nearly all of them: nearly everything goes to 0. The exponent mends that. It brings the mean weight to a factor of 1, and leaves the number of zeros close to ECQ's. What changes is *which* weights they are.
#
# A weight with $R = 0$ goes to 0 at any $\beta$, because then 0 costs nothing. If a layer has more such weights than ECQ has zeros, it gets more zeros after all.

# %%
ecq = ecqx.assign(weight, grid.step, grid.levels, grid.lam)
figures.zero_cluster(weight, relevance, ecq, ecq_x)

# %% [markdown]
# **What you see.** A sample of the layer's weights at 4 bit and $\Lambda = 0.1$, ranked by relevance; 100 is the most relevant. ECQ draws two upright borders: small weights become 0, whatever they do. ECQ^x bends the borders a little. Red weights are small and relevant, and stay. Blue ones are large enough for ECQ, but less relevant than their size suggests, and become 0. (Large weights are mostly relevant, because relevance is weight times gradient; hence the shape of a funnel.)

# %% tags=["nbval-check-output"]
yours = cheapest(weight, grid, share, 2 * relevance[..., None] ** fitted.beta)
check.close("as meant, the shares add up to 1", with_half(nearest, zero).sum(), 1, atol=1e-5)
check.true("as published, to less", as_published(nearest, zero).sum() < 1 or nearest[zero] >= 0.5)
check.true("the kit's ECQ^x is your argmin", (yours != ecq_x).float().mean() < 1e-4)
zeros, zeros_x = ((one == 0).float().mean().item() for one in (ecq, ecq_x))
check.true("it leaves at most as many zeros as ECQ", zeros_x <= zeros)
check.true("and gives back at most a tenth of all weights", zeros - zeros_x <= 0.1)
kept, dropped = (ecq == 0) & (ecq_x != 0), (ecq != 0) & (ecq_x == 0)
kept, dropped = relevance[kept].mean(), relevance[dropped].mean()
check.true("what it keeps is more relevant than what it drops", kept > dropped)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Without any training
# Take a trained DeepLabV3, quantize it once to 4 bit with a strong $\Lambda = 0.2$, and test it. The rivals are called *arms* of the experiment: ECQ, and ECQ^x with three kinds of relevance: LRP, the *magnitude* of the weights, and *random* numbers. A fifth arm takes an LRP without a rule for the sums of residual blocks, as the published code does; lesson 04 showed what that does to relevance. In tables and figures, *LRP* is short for ECQ^x by LRP.

# %%
once = {made: study.one_shot(made, scenes, budget) for made in segmenters}
compact = [rows for made, rows in once.items() if made.name == "compact"]
at_four = results_of.by_arm(compact, 4, 0.2)
figures.bars(at_four, "pixel accuracy", mark=at_four["float"][0], mark_label="float")

# %%
print(f"{segmenters[0].name}, {segmenters[0].source}")
tables = [(made.name, rows) for made, rows in once.items()]
print("\n".join(results_of.one_shot_table(tables)))

# %% [markdown]
# **What you see.** At this $\Lambda$ ECQ ruins the net, and LRP saves a good part of it at nearly as many zeros: it matters *which* weights go. Random numbers in the place of relevance do harm, so the few weights that are given back are not what helps. Magnitude comes close to LRP, at fewer zeros. One net proves little; the recorded run has three nets, more scenes and other settings:

# %%
lesson = "05_quantize_by_relevance"
recorded_once = results_of.recorded_one_shot(reference(lesson) or {"measurements": []})
small = [(name, rows) for name, rows in recorded_once if name == "compact"]
print("\n".join(results_of.one_shot_table(small)), end="\n\n")
print("\n".join(results_of.ahead_table([rows for _, rows in small])))

# %% [markdown]
# **What you see.** By pixel accuracy, LRP beats ECQ and random relevance on every net, at every setting. Magnitude is a harder rival: at each setting it is better on one net, and at $\Lambda = 0.2$ its mean is the highest of all arms, at fewer zeros. The missing rule for sums costs four to five points on average at the two strong settings (4 bit at $\Lambda = 0.2$, and 3 bit), and hardly anything at the others. With the published $\Lambda = 0.05$ all arms but *random* lie close together.

# %% tags=["nbval-check-output"]
arms = [row for rows in compact for row in rows if row["arm"] != "float"]
most = {(row["bits"], row["Lambda"]): row["sparsity"] for row in arms if row["arm"] == study.ECQ}
no_more = all(row["sparsity"] <= most[row["bits"], row["Lambda"]] for row in arms)
check.true("no arm leaves more zeros than ECQ", no_more)
ahead = all(lrp > chance for lrp, chance in zip(at_four[study.LRP], at_four[study.RANDOM]))
check.true("relevance by LRP is better than random relevance", ahead)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### The published size
# DeepLabV3 with ResNet-101 has 58 million weights. This one was trained for 150 of 9,000 steps, all that a processor allowed. So compare arms only, not nets.

# %%
large = [(name, rows) for name, rows in recorded_once if name == "resnet101"]
print("\n".join(results_of.one_shot_table(large)))
taps = [(y * rate, x * rate) for rate in (12, 24, 36) for y in (-1, 0, 1) for x in (-1, 0, 1)]
outside = sum(abs(y) >= 12 or abs(x) >= 20 for y, x in taps)  # the map has 12 x 20 fields
print(f"weights that meet nothing but padding: {outside * 2048 * 256 / 1e6:.1f} million")

# %% [markdown]
# **What you see.** At $\Lambda$ 0.05 and 0.1 LRP leaves *more* zeros than ECQ and is more accurate. Most of that comes for free. The *atrous* convolutions at the end of this net look 12, 24 and 36 fields away, and the map of a scene as small as ours has 12 by 20 fields. So a fifth of all weights only ever meet the padding around the map. Their relevance is exactly 0. ECQ cannot know that, and to drop them costs nothing.
# At 0.2 ECQ and LRP leave equally many zeros. LRP is four points ahead of ECQ, magnitude three, at fewer zeros. No arm is without loss. The arm without a rule for sums is missing: its relevance grows at each of the 33 sums until it exceeds the range of float32.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Four published nets on real pictures
# ResNet-20, -32, -44 and -56 were trained on CIFAR-10 by others, and are quantized at once, to 4 bit at the published $\Lambda = 0.05$. Relevance is measured on 1,000 training pictures, accuracy on the 10,000 of the test. *As published, ECQ* has the fault in the shares. Points are draws: of the pictures for LRP (three), of the numbers for *random* (five).

# %%
real, scores = (reference(f"{lesson}.cifar10-one-shot{end}") for end in ("", "-scores"))
if real:
    figures.bars_by_group(sweep_claims.lost_at_once(real), "accuracy lost in the test")
    print("\n".join(sweep_claims.at_once_table(real)), end="\n\n")
if scores:
    print("\n".join(sweep_claims.scores_table(scores)))

# %% [markdown]
# **What you see.** LRP is ahead of ECQ and of magnitude on all four nets, at equally many zeros, and further ahead of ECQ the deeper the net: 0.7 points on ResNet-20, 3.3 on ResNet-56. It hardly matters which pictures it is measured on. Random numbers lose 4 to 26 points against ECQ, depending on net and draw, so a single draw is no control. But without training nothing comes free: LRP itself loses 6 to 10 points against float.
#
# The fault in the shares does these nets no harm. ECQ with the published shares is 0.4 to 2.8 points *better* than as meant, at two more zeros in a hundred; the thesis' net lost by it. LRP leads ECQ by 1.4 points on average if both have the fault, and by 2.1 if neither has it. The nearest rank (lines with *p99.9*) costs ResNet-20 two points and deeper nets one point at most.
#
# The second table has other scores in the place of relevance, at equally many zeros. *Taylor* is the change of the loss, to first order, if a weight becomes 0; *Fisher* is its square; *activation-aware* is the size of a weight times the norm of its input. Four nets do not tell LRP with the rule epsilon from Taylor and Fisher (X2e). Both are weight times a gradient. The rule matters more: gamma is ahead of epsilon on every net, and alpha2-beta1, the paper's rule for convolutions, on all but the smallest. z+ gives many weights no relevance at all. They all become 0, and the net only guesses. With a floor, a thousandth of a tensor's largest relevance (`floor=0.001`), z+ is the best of all on the two deeper nets, and behind plain ECQ on the smallest.
#
# Do *the most relevant weights end in clusters of high information*, as the paper's abstract says? They do: their clusters have 5.1 bits, those of all weights 2.4 (X4). But the largest weights have 5.5 (X4c), and ECQ puts the relevant ones into clusters as rare as ECQ^x does (X4d). A large weight lies in a rare cluster whatever relevance says.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Rivals that know no relevance
# Two ways to quantize at once that ask nobody what matters. *GPTQ* (Frantar et al. 2023) rounds a layer column by column, and moves the weights that are left so that its outputs change little; it needs pictures, but no labels. *RDOQ* is nncodec's own rounding, which weighs the squared error of a weight against the bits that its index takes; *qp* sets the step. All are held against each other by the bytes of the file.

# %%
if rivals := reference(f"{lesson}.cifar10-one-shot-rivals"):
    print("\n".join(sweep_claims.bytes_table(rivals)), claims_text(rivals), sep="\n\n")

# %% [markdown]
# **What you see.** Both rivals are far ahead, on every net. Where GPTQ needs 3 bit, 132 kB, it loses one to two points against float; ECQ^x has to take so large a $\Lambda$ for that size that more than half of its answers are wrong on average, and RDOQ lies between them (X2f). At the bytes of 4 bit ECQ^x is two to three points behind GPTQ. Without training, then, entropy pushes weights to 0 and nothing makes up for them, whereas GPTQ lets the others make up for each error. That is worth more here than knowing which weight is relevant. (ECQ^x keeps the 4-bit grid, as published; coarser grids were not run. It is made to be trained, which no rival here is.)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## A word, spoken
# The work quantizes a net that hears words, too: *MLP_GSC*, fully connected, for twelve classes of Google Speech Commands. It was trained on MFCC. Here its input is the *log-mel picture* of one second: how much energy each of 40 bands of frequency has in each of 98 frames. If the set is on this machine, the cell trains the net for two epochs of the recipe's twenty. Then it quantizes it at 4, 3 and 2 bit, without any more training, and asks all four nets about one clip.

# %%
said, commands = "stop", speech.speech()
if commands:
    hear = speech.hearers(commands, seed, bits=(4, 3, 2))
    for name, one in hear.items():
        print(f"{name:8}{one.size:>11,} bytes, accuracy in the test {one.accuracy:.1%}")
    samples = speech.clip(said)
    heard = {name: speech.answers(one.net, commands, samples) for name, one in hear.items()}
    figures.spoken_word(log_mel(samples), said, heard)
    display(Audio(samples.numpy(), rate=RATE))
else:
    print("without Speech Commands there is nothing to hear: relcomp fetch speech-commands")

# %% [markdown]
# **What you see.** After so little training the net hears about two words of three. Four bits cost it next to nothing, at a thirteenth of the bytes, and three bits only a few points. At two bits it is lost: what it says of the clip has nothing to do with what was said. Without training there is no way back. With training there is, as the next section shows.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Train with it
# Rounding hurts, and training heals. The net runs forward and backward on quantized weights. But a small gradient step would be lost in the next rounding. So there is a copy in full precision, the *shadow*. The gradient at the quantized weights goes *straight through* to the shadow, as if there were no rounding in between. From the shadow the indices are assigned anew. Biases and batch-norm learn in float. This is the loop, for ECQ at 3 bit:

# %%
recipe = QatRecipe(arm="ecq", bits=3, Lambda=0.2, steps=20, fit_every=1)
task = task_of(net, recipe, digits, seed)  # gives batches and the loss
mine = copy.deepcopy(net).train()
weights = {name: one for name, one in mine.named_parameters() if one.ndim > 1}
shadow = {name: one.detach().clone() for name, one in weights.items()}
biases = [one for one in mine.parameters() if one.ndim == 1]
optimizer = torch.optim.Adam([*shadow.values(), *biases], 1e-3)
plan, losses = ecqx.plan(net, 3, 0.2), []
for step in range(20):
    for name, one in weights.items():  # assign the shadow's weights, and run on what comes out
        grid = plan[name]
        one.data = ecqx.assign(shadow[name], grid.step, grid.levels, grid.lam) * grid.step
    mine.zero_grad()
    loss = task.loss(mine, task.batch(step))
    loss.backward()
    for name, one in weights.items():  # straight through: as if the assignment were not there
        shadow[name].grad = one.grad
    optimizer.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.3f} at the first step, {losses[-1]:.3f} at the last")

# %% tags=["nbval-check-output"]
run = Run(net, recipe, task, seed)  # the kit's training, step by step
for _ in range(20):
    run.fit()
    run.step()
check.true("your loop makes the loss smaller", losses[-1] < losses[0])
check.same("the kit's loop has your losses", run.losses, losses)
check.same("and your shadow", run.shadow[first], shadow[first])

# %% [markdown]
# The loss falls, although each pass used at most eight different weights a layer. Now longer, with all arms, beside the same net trained without quantization:

# %%
histories, nets = {}, {}
settings = {"bits": 3, "Lambda": 0.2, "steps": budget.live_steps, "schedule": "poly"}
for arm in (*results_of.ARMS, "float"):
    recipe = QatRecipe(arm=arm, warm_up=50, validate_every=20, **settings)
    with StepsLine(arm) as line:
        nets[arm], histories[arm] = quantized_net(recipe, net, digits, seed, report=line)
figures.training(histories, "validation accuracy")

# %% [markdown]
# **What you see.** $\lambda$ rises for 50 steps, and zeros with it. Later, training moves some weights away from 0 again. Random numbers end below the other arms, and all arms end below the float net. (The axis does not begin at 0.) The right panel shows why this is no fair race yet: the arms do not leave equally many zeros. Of the states with the whole $\lambda$, the one that is best on the *validation* split is kept.

# %% tags=["nbval-check-output"]
chosen = next(row for row in histories["lrp"] if row["chosen"])
again = study.with_weights(net, ecqx.from_tensors(ecqx.to_tensors(nets["lrp"])))
accuracy = study.validation_accuracy(again, digits, seed)
best = chosen["accuracy"]
check.same("packed and unpacked, a net has the accuracy it was chosen for", accuracy, best)
values = [len(layer.weight.unique()) for layer in again.layers]
check.true("it has at most eight different weights a layer", max(values) <= 8)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### A sign that went wrong
# The paper scales the gradient of a weight by the value of its centroid. The published code forgets to take the absolute value. So a weight whose centroid is below 0 walks *up* its gradient instead of down. ECQ, 3 bit, three nets, 200 steps:

# %%
switched = study.swept("ecqx-mnist-switches", digits)
by_scale = {}
for scale in ("none", "abs", "signed"):
    some = results_of.select(switched, gradient_scale=scale, bits=3)
    by_scale[scale] = [row["accuracy"] for row in some]
    print(f"gradient scale {scale:7} accuracy in the test {percent(by_scale[scale])}")

# %% tags=["nbval-check-output"]
drawn = bool(digits.stand_in_for)  # the stand-in for MNIST is too small to tell
worse = all(signed < size for signed, size in zip(by_scale["signed"], by_scale["abs"]))
check.true("the sign costs accuracy, for every net", drawn or worse)

# %% [markdown]
# **What you see.** The sign costs accuracy, but little: the net was trained before, and all other weights make up for it. The scale itself hardly matters here. On a ResNet-20 at 2 bit, trained by the published code, the sign cost seven points: 25.9 % with it, 33.0 % by the absolute value.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The race
# One net proves little, and so does one $\Lambda$. A *sweep* runs all combinations of bit width, $\Lambda$, arm and seed: `relcomp sweep data/sweeps/ecqx-mnist.toml` on your cores, or with `--cluster` on a Dask cluster. What is done stays done. This cell runs the plan of the profile. `quick` stops after 80 steps and has three $\Lambda$ only, so believe the record below, not this table.
#
# The table holds every net against the float net *that was trained as long*. *Best* is the net with the highest validation accuracy of those with half of their weights at 0 or more; the last two columns belong to it. A negative loss is a gain.

# %%
data = digits if dataset == "mnist" else scenes
plans = budget.plans[dataset]
rows = [row for plan in plans for row in study.swept(plan, data)]
print(f"{len(rows)} nets of {', '.join(plans)}")
print("\n".join(results_of.summary(rows, results_of.trained_as_long(rows))))

# %% [markdown]
# **What you see.** Random relevance loses most at both bit widths. At 70 % zeros the other arms lie within half a point of each other, which so short a training does not order.

# %% tags=["nbval-check-output"]
means = results_of.mean_accuracies(results_of.judged(rows))["equal sparsity"]
ahead = all(lrp > chance for lrp, chance in zip(means["lrp"], means["random"]))
told = dataset == "mnist" and not drawn
check.true("at equal zeros, LRP is better than random for every net", ahead or not told)
sparse = [row for row in rows if row["arm"] != "float" and row["sparsity"] > 0.4]
ratios = [row["ratio"] for row in sparse if row["bits"] == 3]
small = drawn or all(one > 10 for one in ratios)  # biases are a larger share of the net for digits
check.true("3 bit and 40 % zeros or more: over ten times smaller", small)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run: DeepLabV3
# Three nets, 2 to 5 bit, five $\Lambda$, four arms. Mind the settings, which are not the published ones: the gradient goes through unscaled, relevance is measured anew only twice, and the step takes the nearest rank (*Which 99.9 %?*). The paper scales gradients by centroids and measures relevance every few steps. In both pictures the green line is the float net that was trained as long.

# %%
for plan in ("ecqx-rail-scenes", "ecqx-mnist"):
    point = sweeps.points(plan)[0].values
    names = ("steps", "relevance_every", "gradient_scale", "step_rule")
    print(f"{plan}: {', '.join(f'{name} = {point[name]}' for name in names)}")
if full := reference(f"{lesson}.rail-scenes"):
    recorded, before = results_of.recorded(full)
    fair = results_of.trained_as_long(recorded)
    unquantized = sum(one["test"] for one in fair.values()) / len(fair)
    judged = results_of.judged(recorded)
    print("\n".join(results_of.summary(recorded, fair)))
    figures.pareto(
        results_of.curves(judged, "sparsity"), "zeros", "pixel accuracy", None, fair=unquantized
    )
    curves = results_of.curves(judged, "bytes")
    figures.pareto(curves, "coded size", "pixel accuracy", None, log=True, fair=unquantized)

# %% [markdown]
# **What you see.** At 4 and 5 bit, 70 % of the weights can go for less than half a point, and all arms lie together, random relevance included. 3 bit costs nearly a point, 2 bit one and a half. There random relevance is behind on average, and which of LRP, magnitude and ECQ leads changes from net to net. The second picture, by coded size, says the same. The nets with half of their weights at 0 or more are twelve to twenty-five times smaller.
#
# Remember the table without training. There it mattered a great deal which weights went, and at 4 bit and $\Lambda = 0.2$ LRP was eleven points ahead of ECQ. A hundred steps of training close that gap. So relevance pays where there is little training or none; with enough of it, the net finds another way with the weights that are left. This run cannot say whether the published settings would change that.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run: the thesis' net on MNIST
# Three nets, 2 to 5 bit, six $\Lambda$. Again the gradient goes through unscaled, and relevance is measured anew every 40 of 500 steps. Points are means of the nets, and vertical lines their range. The green line is the float net that was trained as long. At 2 bit, a fifth curve shows LRP on the published grid.

# %%
mnist, learned = reference(lesson), reference(f"{lesson}.mnist-learned-steps")
if mnist:
    recorded, before = results_of.recorded(mnist)
    fair = results_of.trained_as_long(recorded)
    unquantized = sum(one["test"] for one in fair.values()) / len(fair)
    curves = results_of.curves(results_of.judged(recorded), "sparsity")
    curves["2 bit"]["LRP, published grid"] = results_of.published_grid(recorded, "sparsity")
    print("\n".join(results_of.summary(recorded, fair)), end="\n\n")
    figures.pareto(curves, "zeros", "accuracy", None, fair=unquantized)
if learned:
    print("\n".join(sweep_claims.learned_steps_table(learned)))

# %% [markdown]
# **What you see.** At 70 % zeros, 4 and 5 bit cost less than half a point against the float net that was trained as long, 3 bit 0.7 to 0.8 points, and 2 bit 1.6 to 1.9. Random relevance loses more than the others at every bit width, so the choice of weights counts. But between LRP, magnitude and plain ECQ the ranges of the three nets overlap at every bit width. In a net of three layers, relevance says little that size does not. At nine zeros in ten, the published grid at 2 bit is better than the one chosen here.
#
# The table below the picture has a modern rival. *LSQ* rounds to the nearest centroid, and learns the step of every tensor together with the weights; it knows neither relevance nor bits. Ten nets, trained 500 steps each from the same steps. With next to no pressure on entropy ($\Lambda = 0.02$), ECQ^x stays within a fifth of a point of LSQ at every bit width (X2g), and takes a tenth fewer bytes at 5 bit. But plain ECQ does the same: what saves the bytes is the price on bits, not relevance.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where it was published: Speech Commands
# MLP_GSC again, three nets trained for twenty epochs, and then quantized while they are trained for *one* more; the paper takes twenty, which no two cores do for so many points. The other settings are the published ones: gradients are scaled by centroids, and relevance is measured every few steps. 4 and 2 bit, six $\Lambda$, four arms. Sizes are those of files. Of each arm, a net is drawn if no smaller one is better on validation. The thick line is the float net that was trained as long.

# %%
if commands_recorded := reference(f"{lesson}.speech-commands-one-epoch"):
    figures.published_tasks(*sweep_claims.task(commands_recorded))
    print(claims_text(commands_recorded))

# %% [markdown]
# **What you see.** At 4 bit and $\Lambda = 0.1$ six weights in ten are 0 by every arm, without any loss against the float net that was trained as long, in files 18 to 22 times smaller. At 2 bit every arm loses, 2.5 points by magnitude and 4.7 by LRP. And ECQ^x is *behind* ECQ, by one point at equal zeros. Magnitude equals ECQ, and random numbers in the place of relevance are the best of all, in each of the three nets. At nine zeros in ten (4 bit, $\Lambda = 0.7$) ECQ falls to 43.5 %, LRP to 68.8 %; with random numbers the net keeps 79.5 %. So it helps to give weights back, but not by relevance. No net is 103 times smaller; 20 times is what two cores could show. All of this is after one epoch, and says nothing of twenty.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What it decides
# The claims were published for CIFAR-10, Pascal VOC and Speech Commands, and for other nets. What holds here *holds on a stand-in*. Three nets give three margins. If their 95 % interval reaches into both sides of the bound, the claim is *undecided*.
#
# X1 takes the net before quantization as its baseline, X1c the float net that was trained as long. X2 holds ECQ^x against ECQ, as the paper does. X2c holds it against magnitude and random numbers in the place of relevance. X2d holds it against all of them at once, without training, X2e against scores by the loss and by activations. X2g holds it against LSQ, at equal bits. X4 is about the clusters of relevant weights.

# %% slideshow={"slide_type": "skip"}
record = Record(lesson, profile, data.name)
start = study.start_scores([point for plan in plans for point in sweeps.points(plan)])
print(results_of.verdicts(record, rows, start, once, scenes.name))

# %%
records = {"DeepLabV3 on rail scenes": full, "MNIST": mnist, "CIFAR-10 at once": real}
records |= {"CIFAR-10 at once, other scores": scores, "MNIST beside learned steps": learned}
for name, content in records.items():
    decided = claims_text(content) if content else "not recorded yet"
    print(f"The recorded full run, {name}\n{decided}\n")

# %% [markdown]
# **What you see.** X1 and X1c test the same nets and differ in the baseline. In the recorded run on MNIST the float net gains more than a point by the training, so X1c asks for more; on rail scenes it gains nothing. LRP lies within a tenth of a point of ECQ and of magnitude, sometimes ahead and sometimes behind, and is ahead of random relevance. The smallest nets that lose at most a point on validation are some 25 times smaller on rail scenes and 40 times on MNIST, not 103.


# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: where the border lies ★
# In units of the step, a weight $u$ pays $(u - j)^2 + a$ for the index $j$ and $(u - k)^2 + b$ for $k$. Return the $u$ at which both cost the same.


# %% tags=["exercise"]
def border(j, a, k, b):
    # solution
    return (j + k) / 2 + (b - a) / (2 * (k - j))


# %% tags=["nbval-check-output"]
shown = {(0, 0.0, 1, 0.0): 0.5, (0, 0.1, 1, 0.5): 0.7, (-1, 0.4, 1, 0.2): -0.05}
check.exercise(border, shown, fresh.border)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: the beta for a wanted sparsity ★★
# You are given three numbers for every weight of a layer: what index 0 costs before relevance (`zeros`), what the best other index costs (`others`), and the relevance (`r`, above 0 and below 1). A weight goes to 0 if $2\,r^\beta$ times the cost of 0 is at most the cost of the other index. Return the smallest $\beta$ at which `count` weights are 0. There is nothing to search for: sort.


# %% tags=["exercise"]
def beta_for(zeros, others, r, count):
    # solution
    weights = zip(zeros, others, r)
    turning = [math.log(other / (2 * zero)) / math.log(one) for zero, other, one in weights]
    return sorted(turning)[count - 1]


# %% tags=["nbval-check-output"]
shown = {((1, 1, 0.5), (1, 0.5, 1), (0.5, 0.5, 0.1), count): count - 1.0 for count in (1, 2, 3)}
check.exercise(beta_for, shown, fresh.beta_for)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: one straight-through step ★★
# The smallest net is one neuron, `inputs @ w`. Its loss is the mean over the images of (output - target)². Its `weights`, a tensor, are in full precision, but the net runs on quantized ones: the nearest index from -3 to 3, times `step`. Return the full-precision weights after one step of gradient descent. The gradient is taken *at the quantized weights* and goes straight through the rounding; the full-precision weights move by `rate` times the gradient, downhill. `inputs` has the shape (images, weights), `targets` (images).


# %% tags=["exercise"]
def straight_through(weights, step, inputs, targets, rate):
    # solution
    quantized = (weights / step).round().clamp(-3, 3) * step
    errors = inputs @ quantized - targets
    return weights - rate * 2 * (errors @ inputs) / len(targets)


# %% tags=["nbval-check-output"]
tensor = torch.tensor
one = (tensor([0.4]), 0.5, tensor([[1.0]]), tensor([1.0]), 0.1)
two = (tensor([0.4, -9.0]), 1.0, tensor([[1.0, 2.0], [0.0, 1.0]]), tensor([1.0, 0.0]), 0.5)
shown = [(one, [0.5]), (two, [3.9, -0.5])]
check.exercise(straight_through, shown, fresh.straight_through, rtol=1e-5, atol=1e-6)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: the ECQ^x assignment ★★★
# Put *What a centroid costs* and *What relevance changes* into one function, from the equations and without a look at the cells above, for a flat tensor of `weights`. `levels` holds all indices in rising order, 0 among them.
# 1. $P_k$ is the share of weights that $k$ is nearest to, among the levels. If $P_0$ is below one half, it becomes one half, and the others shrink by a common factor, so that all add up to 1.
# 2. The index $k$ costs $(w - k\Delta)^2 - \lambda \log_2 P_k$. No weight takes a level with $P_k = 0$, because it costs infinitely much.
# 3. For index 0 the cost is multiplied by $2 R^\beta$, with `relevance` from 0 to 1 and a given `beta`.
#
# Return the cheapest index of every weight, as a tensor. What happens to a weight that has no relevance at all?


# %% tags=["exercise"]
def assign(weights, step, levels, lam, relevance, beta):
    # solution
    nearest = (weights / step).round().clamp(levels[0], levels[-1])
    share = (nearest[:, None] == levels).double().mean(0)
    if share[levels == 0] < 0.5:
        share = torch.where(levels == 0, 0.5, share / (1 - share[levels == 0]) / 2)
    cost = (weights[:, None] - levels * step) ** 2 - lam * share.log2()
    cost[:, levels == 0] *= 2 * relevance[:, None] ** beta
    return levels[cost.argmin(1)]


# %% tags=["nbval-check-output"]
few, four = torch.tensor([-1.0, -0.4, 0.1, 0.6, 0.8]), torch.arange(-1, 3)
even = torch.full((5,), 0.5)  # at beta 1, this is plain ECQ
uneven = torch.tensor([0.5, 0.5, 0.5, 0.0, 1.0])
shown = [
    ((few, 1.0, four, 0.1, even, 1.0), [-1, 0, 0, 1, 1]),
    ((few, 1.0, four, 0.1, uneven, 1.0), [-1, 0, 0, 0, 1]),
]
check.exercise(assign, shown, fresh.assign)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 5: open
# Invent an arm, that is, a relevance of your own: one number for every weight, 0 or more. The cell multiplies LRP and magnitude. Can you beat both at equally many zeros, without training? On all three nets, and with a seed that you have not tried before? If so, you know what to sweep next.

# %%
scores = study.relevances(net, images, seed)
lrp, magnitude = scores[study.LRP], scores[study.MAGNITUDE]
scores["mine"] = {name: value * magnitude[name] for name, value in lrp.items()}
for arm in (study.ECQ, study.LRP, study.MAGNITUDE, "mine"):
    made = ecqx.quantize(net, 3, 0.2, relevance=scores[arm])
    accuracy = study.validation_accuracy(study.with_weights(net, made), digits, seed)
    print(f"{results_of.arm_label(arm):16} {made.sparsity:.0%} zeros, validation {accuracy:.1%}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. Why is one half the least probability of index 0?
# 2. ECQ^x with random numbers in the place of relevance does worse than ECQ. Why not equally well?
# 3. The nets are chosen on the validation split. What would be wrong with the test split?
#
# <details><summary>Answers</summary>1. So that 0 is the cheapest index even in a layer that has few zeros yet. Otherwise the entropy term would pull weights towards whatever index is frequent. 2. It moves weights into and out of 0 although they lie farther from where they go. The error grows, and nothing is gained for it. 3. The
# best of many tries on a split is best partly by luck. Measured on that split, the luck would count as accuracy.</details>
#
# ## References
# Becking et al., *ECQ^x: Explainability-Driven Quantization for Low-Bit and Sparse DNNs*, 2022 · Wiedemann et al., *Entropy-Constrained Training of Deep Neural Networks*, 2018 · Bengio et al., *Estimating or Propagating Gradients Through Stochastic Neurons*, 2013 (straight-through) · Shannon, *A Mathematical Theory of Communication*, 1948

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# ← [04 Ask which weights matter](04_ask_which_weights_matter.ipynb) · [Glossary](glossary.md) · [06 Cut out relevant experts](06_cut_out_relevant_experts.ipynb) →
