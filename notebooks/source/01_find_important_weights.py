# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Find the weights that matter
# A network of 29,374 weights reads handwritten digits. Which pixels does it look at, and which weights carry the answer? A dozen
# measures claim to know. You put them all to the test: against the *oracle*, which removes one thing at a time and looks at what happens.
#
# | you do | you learn | you need |
# |---|---|---|
# | draw maps of pixels and of weights, rank every measure by its distance from the oracle | which measures are worth their price, and why two maps beat one gradient only in part | lesson 00, a quarter of an hour |
#
# The lesson takes about a minute on two cores in `quick`; `full` differs only in the small convolutional net at the end. It decides
# the claims T1a to T1d, T2, T7 and T12 of the ledger, the list of published claims in `data/claims.toml`; what each one says stands in the
# table at the end.

# %% slideshow={"slide_type": "skip"}
import torch

from relcomp_kit import datasets, figures
from relcomp_kit.course import check
from relcomp_kit.course.cases import saliency as fresh
from relcomp_kit.evidence.record import Record, claims_text, reference
from relcomp_kit.models import conv_net, masked_net_training
from relcomp_kit.relevance import conv_saliency, saliency
from relcomp_kit.studies import saliency as saliency_study
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.thesis_net import trained_net

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "mnist"

# %% [markdown]
# ## The images
# The thesis scales every pixel to [-1, 1], adds Gaussian noise and then turns 15 % of the pixels black or white. The noise is drawn
# once and stays. So black is -1, white is 1, and 0 is a middle grey: setting a pixel to 0 does not make it black. Read the line that the next cell prints: if it says *digits*, the kit found no MNIST and works on a small
# stand-in, on which nothing about MNIST can be decided.

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).saliency
data = datasets.load(dataset)
record = Record("01_find_important_weights", profile, data.name)
print(f"profile: {profile}")
print(datasets.banner(data))

# %%
noisy = masked_net_training.prepare(data.train, seed * 10).x
figures.image_rows({"clean": data.train.images[:6], "as the net sees it": noisy[:6]})

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The net
# Three layers of tanh neurons, 784-36-25-10 for MNIST, with a mask on every weight and on every neuron. Each output should say 1 for its
# own class and -1 for all others ("one hot, others cold"). Stochastic gradient descent does 1,551 steps, as published, and reports
# its accuracy on the current batch every 100 steps (nothing is printed for a net that comes from the cache).


# %%
def report(step, batch_accuracy):
    print(f"step {step}: {batch_accuracy:.0%} of the batch", end="\n" if step % 500 == 0 else "   ")


# %%
nets = {
    s: trained_net(data, s, budget.training_steps, report=report if s == seed else None)
    for s in dict.fromkeys([seed, *budget.seeds])
}

# %%
net = nets[seed].net
images = nets[seed].train.subset(slice(0, budget.images))

# %% [markdown]
# Three nets are trained, with three seeds for the initial weights, the noise and the order of the images. Everything below is
# measured on all three, so that you see what is a finding and what is luck.

# %% tags=["nbval-check-output"]
accuracies = [masked_net_training.accuracy(trained.net, trained.test) for trained in nets.values()]
check.true("every net reads most of the noisy test images", min(accuracies) > 0.7, accuracies)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The idea on two pixels
# One neuron, $y = \tanh(2 x_1 - x_2)$, and an image with $x_1 = 0.5$ and $x_2 = -1$. Three ways to ask how much each pixel matters:
#
# - *saliency* $\partial y / \partial x$: how steep is $y$ here?
# - *impact* $x \, \partial y / \partial x$: how far would $y$ move, were it a straight line, if the pixel went to 0?
# - *oracle*: how far does $y$ really move if the pixel goes to 0?

# %%
weight = torch.tensor([2.0, -1.0])
pixels = torch.tensor([0.5, -1.0], requires_grad=True)
output = torch.tanh(weight @ pixels)
slope = torch.autograd.grad(output, pixels)[0]
impact = slope * pixels.detach()
without = torch.stack([torch.tanh(weight[1] * pixels[1]), torch.tanh(weight[0] * pixels[0])])
print("saliency", slope, "impact", impact, "oracle", (output - without).detach(), sep="\n")

# %% [markdown]
# Saliency calls the first pixel twice as important as the second, because its weight is twice as large. Impact and oracle call them
# equal: both contribute 1 to the sum. The impact is smaller than the oracle, because tanh flattens out and the straight line does not know it.

# %% tags=["nbval-check-output"]
check.close("saliency prefers the larger weight, two to one", slope[0] / slope[1], -2, rtol=1e-5)
check.close("impact and oracle find both pixels equally important", impact[0] - impact[1], 0, atol=1e-6)
check.true("tanh saturates, so the impact underestimates the oracle", impact[0] < output - without[0])

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The core: a map in six lines
# For a net and an image the question is the same; only the neuron's output becomes a loss $J$, the mean squared error of all outputs.
# Each image's loss depends on that image alone, so one backward pass through the sum gives every image its own gradient.


# %%
def impact_map(net, x, labels):
    """Gradient of the loss at each pixel, times the pixel."""
    x = x.clone().requires_grad_()
    loss = (net(x) - masked_net_training.one_hot_others_cold(labels, net(x).shape[1])) ** 2
    slope = torch.autograd.grad(loss.mean(1).sum(), x)[0]
    return (slope * x).detach()


# %%
few = images.subset(slice(0, 200))

# %% tags=["nbval-check-output"]
check.same(
    "your six lines and the kit draw the same map",
    impact_map(net, few.x, few.labels),
    saliency.impact_map(net, few.x, few.labels),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where the net looks
# The thesis' figures 5 and 6 again, with the oracle below them. The black line is the clean digit. Red means: for *saliency*, the loss
# rises if the pixel gets brighter; for *impact*, the loss rises if the pixel moves further away from 0, whichever side it is on; for the
# *oracle*, the loss rises if the pixel is set to 0. Mind the sign: here the oracle is the loss without the pixel minus the loss with it.

# %%
clean = data.train.images[:5]
signed = {
    "impact": saliency.impact_map(net, images.x[:5], images.labels[:5]),
    "saliency": saliency.saliency_map(net, images.x[:5], images.labels[:5]),
    "oracle": saliency_study.input_oracle(net, images.x[:5], images.labels[:5]),
}
figures.input_maps(signed, clean)

# %% [markdown]
# **What you see.** Importance fills the middle of the image, inside and outside the digit's outline, and fades towards the borders, where
# no digit ever reaches. Most of it lies *beside* the digit: a dark pixel where a loop would make a 3 an 8 says as much as a bright one.
# Impact and oracle show the same places in opposite colours: one asks for more of the pixel, the other takes it away.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Who is right? Ask the oracle
# The oracle sets every pixel of 500 images to 0, one at a time, and measures the loss. Then it ranks the pixels by the
# absolute change, every measure ranks them
# too, and Spearman's rank correlation says how alike the rankings are: 1 is the same order, 0 is no better than random numbers.
# Random numbers therefore run along as the control.
#
# Three more measures of the thesis join in. The *traced share* hands each output back to the inputs by their share of every sum (formula II);
# the *class difference* adds up by how much the slope of the true class exceeds that of each other class (V); *clamped outputs* is what
# must be taken from the image until its class is gone, with the other outputs held.

# %%
maps, correlations = {}, []
for trained in nets.values():
    x, labels = trained.train.x[: budget.oracle_images], trained.train.labels[: budget.oracle_images]
    maps = saliency_study.input_maps(trained.net, x, labels)
    correlations.append(saliency_study.map_correlations(maps))
by_measure = {name: [one[name] for one in correlations] for name in correlations[0]}
agreement = by_measure.pop("agreement")
figures.measures(by_measure, "rank correlation with the oracle, pixels")

# %% [markdown]
# **What you see.** Impact follows the oracle almost perfectly, saliency is close behind: the two measures built on the gradient of the
# *loss* know which pixels matter. The other three answer a different question. The traced share asks which pixels *make up* the outputs,
# class difference and clamped outputs ask what speaks for the class against others, so they agree little with an oracle of the loss.

# %% tags=["nbval-check-output"]
check.true("impact and saliency rank the pixels alike", min(agreement) > 0.7, agreement)
check.true(
    "impact is closer to the oracle than saliency, for every seed",
    all(i > s for i, s in zip(by_measure["impact"], by_measure["saliency"])),
)
check.true("every measure of the loss beats random numbers by far", min(by_measure["saliency"]) > 0.5)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The digit, other digits' places, edges
# The thesis says by eye that three regions matter. Eyes can be counted: take the share of a map's importance that falls into a region and
# divide it by the region's share of pixels. 1 is chance. A region is *important* here from 1.2 on. The digit is where its clean image is
# brighter than half, edges are the ring along its outline, and others is where another class is bright on average and the digit is not.

# %%
classes = range(len(data.classes))
means = torch.stack([data.train.images[data.train.labels == k].mean(0).flatten() for k in classes])

# %%
region_ratios, blob_ratios = [], []
for trained in nets.values():
    x, labels = trained.train.x[: budget.oracle_images], trained.train.labels[: budget.oracle_images]
    parts = saliency_study.regions(data.train.images[: len(x)], labels, means)
    slopes = saliency.importance_map(saliency.saliency_map(trained.net, x, labels))
    region_ratios.append(saliency_study.region_ratios(slopes, parts))
    blob_ratios.append(saliency_study.region_ratios(means.mean(0).expand_as(slopes), parts))
for name, ratios_of in (("net", region_ratios), ("mean digit", blob_ratios)):
    print(f"{name:10}: " + ", ".join(f"{part} {ratios_of[0][part]:.2f}" for part in ratios_of[0]))

# %% [markdown]
# All three regions hold more than their share, and the places of *other* digits hold most. Now the control: the second line is a "map" that knows
# neither net nor image, the mean of all digits, the same for every image. It passes the thesis' test too, and with higher
# ratios. The three regions cover the middle of the image, and whatever fades towards the borders finds them important.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What does a map cost?
# The thesis reports a high loss of time for the impact. Both maps need one forward and one backward pass; the impact adds a single
# multiplication per pixel. The cell below takes both in turn, nine times, and divides.

# %%
ratios = [
    saliency_study.time_ratio(
        lambda net=trained.net: saliency.impact_map(net, few.x, few.labels),
        lambda net=trained.net: saliency.saliency_map(net, few.x, few.labels),
    )
    for trained in nets.values()
]
print("impact / saliency, run time:", ", ".join(f"{ratio:.2f}" for ratio in ratios))

# %%
for title, costs in (
    ("saliency", saliency_study.input_costs(net, few.x, few.labels)),
    ("the direct gradient of weights", saliency_study.weight_costs(net, few.x, few.labels)),
):
    print(f"as a multiple of {title}: " + ", ".join(f"{name} {cost:,.1f}" for name, cost in costs.items()))

# %% [markdown]
# Impact costs as much as saliency, so the reported loss of time was the program's, not the formula's. The oracle is the only dear one: it is the
# reference that cheap measures are judged by, not one to prune with.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## From pixels to weights: two maps, one product
# A weight ties an input to a neuron. The thesis calls it important if *both ends* are: scale each end's absolute gradient to [0, 1]
# and multiply, $I_W[y, x] = I_Y[y] \cdot I_X[x]$. Here it is on four inputs and three neurons (figure 3 of the thesis).

# %%
ends = torch.tensor([0.1, 0.9, 0.5, 0.0]), torch.tensor([1.0, 0.2, 0.6])
figures.outer_product(*ends)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Thousands of images in one matrix product
# The importance is *cumulated*: added up over 2,000 images. A loop makes a table of 28,224 products for each of them. But a sum of
# outer products is a matrix product, $\sum_n I_Y[n]\, I_X[n]^\top = I_Y^\top I_X$, and no table is ever made.

# %%
importances = saliency.input_importance(net, few.x, few.labels)
in_a_loop = sum(torch.outer(importances[1][n], importances[0][n]) for n in range(len(few)))
at_once = importances[1].T @ importances[0]

# %% tags=["nbval-check-output"]
check.close("one matrix product gives the sum of all outer products", at_once, in_a_loop, rtol=1e-4, atol=1e-4)
check.same(
    "and it is what the kit computes", at_once, saliency.weight_importance(net, few.x, few.labels)["layers.0.weight"]
)
check.true("no image adds more than 1 to a weight", at_once.min() >= 0 and at_once.max() <= len(few))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Thirty-six neurons, thirty-six maps
# Every neuron of the first layer sees the whole image, so its weights can be drawn as an image: one tile a neuron. Figures 7 to 10 of the
# thesis show four measures. Dark red weights are the most important of their neuron.

# %%
for_weights = saliency_study.weight_measures(net, images.x, images.labels, budget.oracle_images, seed)
first = {name: importance["layers.0.weight"] for name, importance in for_weights.items()}
figures.neuron_tiles(first["two maps: impact"], "two maps, by impact (figure 7)")
figures.neuron_tiles(first["two maps: saliency"], "two maps, by saliency (figure 8)")
figures.neuron_tiles(first["gradient"], "direct gradient (figure 9)")
from_inputs = saliency.input_importance(net, images.x, images.labels)[0].sum(0)
figures.neuron_tiles(from_inputs.expand(36, -1), "from the inputs alone (figure 10)")

# %%
figures.neuron_tiles(first["weight x gradient"], "weight times gradient (not in the thesis)")
figures.neuron_tiles(first["oracle"], "oracle: absolute change of the loss without the weight")

# %% [markdown]
# **What you see.** The tiles of the two-map measures look alike: the same centre for every neuron, because $I_X$ is nearly the same
# whatever the neuron. The direct gradient is error times input, and an empty border pixel lies near -1 or, where
# salt fell, at 1: its absolute value is large in every image. So it finds the border most important and the digits' places least. The oracle's tiles differ from neuron to neuron, with fine strokes, and weight times gradient
# shows those strokes too. A product of two ends cannot: it knows that the pixel matters and that the neuron matters, but not whether
# *this* weight connects them. Tiles of mere noise belong to neurons that have not learned much in 1,551 steps.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The same test for weights
# The oracle now sets every single weight to 0 and measures how much the loss of each of 500 images changes: 29,374 small experiments for
# each net. All measures are ranked against its mean absolute change, layer by layer.
#
# *Magnitude* is the absolute weight. *Two maps, per neuron* scales each end over the images instead of within one. Four more multiply a number
# at both ends of a weight: the mean absolute activation, its standard deviation, the share of images that make it positive (*1 - APoZ*; APoZ is
# the average percentage of zeros), and the *information* it carries about the class. *Oracle, signed* averages the changes with their sign.

# %%
studies = [for_weights] + [
    saliency_study.weight_measures(
        nets[s].net, nets[s].train.x[: budget.images], nets[s].train.labels[: budget.images], budget.oracle_images, s
    )
    for s in nets
    if s != seed
]
weight_correlation = {
    name: [saliency_study.weight_correlation(study[name], study["oracle"]) for study in studies]
    for name in studies[0]
    if name != "oracle"
}
figures.measures(weight_correlation, "rank correlation with the oracle, weights")

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## The test that counts: remove half
# A ranking is only a means to an end. Each neuron now loses the half of its weights that a measure ranks lowest. Nothing is trained again. How many test
# images does the net still read?

# %%
half = {
    name: [
        saliency_study.accuracy_at_half(trained.net, study[name], trained.test)
        for trained, study in zip(nets.values(), studies)
    ]
    for name in studies[0]
}
figures.measures(half, "accuracy with half of the weights, no training")

# %% [markdown]
# **What you see.** Two maps are no closer to the oracle than the direct gradient, but a net pruned by them still reads seven images in ten,
# while the gradient's net guesses: it has kept the weights of the empty border. Plain magnitude and weight times gradient beat both
# by far and do as well as the oracle itself. That comparison is not in the thesis. The oracle that averages *with sign* loses: a weight that helps
# one image and harms another cancels out, though both decisions need it (you met this in lesson 00, exercise 2).

# %% tags=["nbval-check-output"]
check.true(
    "pruning by two maps keeps more than pruning by the direct gradient",
    all(a > b for a, b in zip(half["two maps: saliency"], half["gradient"])),
)
mean_half = {name: sum(values) / len(values) for name, values in half.items()}
check.true(
    "plain magnitude keeps more than two maps, on average over the seeds",
    mean_half["magnitude"] > mean_half["two maps: saliency"],
    mean_half,
)
check.true(
    "weight times gradient is the closest to the oracle",
    max(weight_correlation, key=lambda name: sum(weight_correlation[name])) == "weight x gradient",
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Does it have to be tanh?
# The thesis prefers tanh by eye: ReLU is worst, mixtures are no better. The kit trains six nets for each of three seeds with the same
# budget. Only hidden layers change, because the targets -1 and 1 need an output that reaches both.

# %%
quality, map_quality = {}, {}
for name, activations in saliency_study.HIDDEN.items():
    trained = [trained_net(data, s, budget.training_steps, activations, like=nets[s]) for s in nets]
    quality[name] = [masked_net_training.accuracy(one.net, one.test) for one in trained]
    map_quality[name] = []
    for one in trained:
        x, labels = one.train.x[: budget.oracle_images], one.train.labels[: budget.oracle_images]
        map_quality[name].append(
            saliency_study.map_correlations(saliency_study.input_maps(one.net, x, labels))["saliency"]
        )
figures.measures(quality, "test accuracy after 1,551 steps", mark="")

# %% [markdown]
# **What you see.** Sigmoid falls far behind at this learning rate: its steepest slope is a quarter of tanh's, and two hidden layers multiply
# that to a sixteenth.
# Everything else lies within about a point, and the spread over seeds is of the same size. Whether tanh wins is left to the rule below.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Why -1, and why noise?
# A weight's gradient is the product of its neuron's error and its input. Where the input is 0 there is nothing to learn from. On [0, 1]
# without noise four of five pixels of an MNIST image are exactly 0. How many first-layer weights never get a gradient?

# %%
silent = {}
for signed, noise in ((False, False), (True, True), (False, True), (True, False)):
    name = f"{'[-1, 1]' if signed else '[0, 1]'}, {'noise' if noise else 'no noise'}"
    silent[name] = []
    for s in nets if signed == noise else (seed,):
        one = nets[s] if signed and noise else trained_net(data, s, budget.training_steps, noise=noise, signed=signed)
        silent[name].append(saliency_study.silent_share(one.net, one.train.subset(slice(0, budget.images))))
    ever, each = silent[name][0]["ever"], silent[name][0]["per image"]
    print(f"{name:17}: {ever:5.1%} of the weights get no gradient from any image, {each:5.1%} on average from one")

# %% [markdown]
# The last two lines change one thing at a time, and either is enough: on [-1, 1] no grey value of these images is exactly 0, and with noise no
# pixel stays at 0 for long. The argument of the thesis holds; that you need *both* does not follow from it.

# %% tags=["nbval-check-output"]
check.true(
    "without noise on [0, 1] some weights never get a gradient",
    min(one["ever"] for one in silent["[0, 1], no noise"]) > 0,
)
check.close(
    "with noise on [-1, 1] every weight gets one",
    [one["ever"] for one in silent["[-1, 1], noise"]],
    [0] * len(budget.seeds),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Layers that keep places
# Two measures of the thesis need convolutions: the mean over the layers' maps, squeezed by tanh (formula IV), and guided
# backpropagation, which lets only positive evidence pass each ReLU. A small convolutional net on the same images shows both.

# %%
eyes = conv_net.conv_net(clean.shape[-1], len(data.classes), seed=seed)
scaled = data.train.images * 2 - 1
conv_net.train_conv_net(eyes, scaled, data.train.labels, budget.conv_steps, seed)
figures.conv_maps(
    clean,
    {
        "all layers (IV)": conv_saliency.combined_layers(eyes, scaled[:5], data.train.labels[:5]),
        "guided": conv_saliency.guided_backpropagation(eyes, scaled[:5], data.train.labels[:5]),
    },
)

# %% [markdown]
# **What you see.** The combined map covers the digit and what surrounds it, in a raster of two and four pixels that the pooling layers
# leave behind. Guided backpropagation is sparser and draws parts of the strokes. After so few training steps neither is more than a sketch.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the claims come to
# Nobody types a verdict. Every claim of the ledger has a rule in code. It is *reproduced* if the rule holds for each of three seeds, *not
# reproduced* if it holds for none, and *partly* in between. On other data or with a smaller budget it *holds on a stand-in* at best.

# %% slideshow={"slide_type": "skip"}
scale = {"at_scale": budget.at_scale, "seeds": list(nets)}
against_oracle = {name: by_measure[name] for name in ("impact", "saliency", "random")}
two_ways = {"outer": weight_correlation["two maps: saliency"], "direct": weight_correlation["gradient"]}
two_ways |= {"outer_accuracy": half["two maps: saliency"], "direct_accuracy": half["gradient"]}
ever = {name: [one["ever"] for one in shares] for name, shares in silent.items()}
record.claim("T1a", correlation=agreement, **against_oracle, **scale)
record.claim("T1b", ratio=ratios, **scale)
record.claim("T1c", **{part: [one[part] for one in region_ratios] for part in region_ratios[0]}, **scale)
record.claim(
    "T1d",
    net={p: [one[p] for one in region_ratios] for p in parts},
    blob={p: [one[p] for one in blob_ratios] for p in parts},
    **scale,
)
record.claim("T2", **two_ways, **scale)
record.claim("T7", accuracy=quality, maps=map_quality, mixtures=saliency_study.MIXTURES, **scale)
record.claim("T12", unit_range=ever["[0, 1], no noise"], signed_noisy=ever["[-1, 1], noise"], **scale)
print(claims_text(record.content))

# %% slideshow={"slide_type": "skip"}
studies = {"map correlation": by_measure, "weight correlation": weight_correlation, "accuracy at half": half}
studies |= {"accuracy by activation": quality, "map quality by activation": map_quality}
for name, values in studies.items():
    unit = "share" if "accuracy" in name else "rank correlation"
    for measure, series in values.items():
        record.measure(name, series, unit, measure=measure, seeds=list(nets))
where = record.save()

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### The recorded full run
# The same claims from the record that the project keeps of its `full` profile on MNIST. If your table differs, look at the data set
# and at the seeds first.

# %%
full = reference("01_find_important_weights")
print(claims_text(full) if full else "no full run has been recorded yet: relcomp run 01 --profile full --record")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: both ends ★
# Write the cumulated importance of the weights between two layers, given the importance of the inputs (images, inputs) and of the neurons
# (images, neurons). One matrix product, rows are neurons.


# %% tags=["exercise"]
def cumulated(inputs, neurons):
    # solution
    return neurons.T @ inputs


# %% tags=["nbval-check-output"]
check.exercise(
    cumulated,
    [
        ((torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])), [[3.0, 6.0]]),
        ((torch.tensor([[1.0, 0.0], [0.5, 1.0]]), torch.tensor([[1.0, 0.0], [2.0, 1.0]])), [[2.0, 2.0], [0.5, 1.0]]),
    ],
    fresh.cumulated,
    rtol=1e-5,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: scale without dividing by zero ★★
# Scale every row to [0, 1] by its minimum and maximum. A row without any variation becomes 0: a dead neuron must not turn into NaN.


# %% tags=["exercise"]
def scale_rows(values):
    # solution
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    span = high - low
    return (values - low) / torch.where(span > 0, span, 1.0)


# %% tags=["nbval-check-output"]
check.exercise(
    scale_rows,
    [
        (torch.tensor([[1.0, 3.0, 2.0]]), [[0.0, 1.0, 0.5]]),
        (torch.tensor([[4.0, 4.0], [-1.0, 1.0]]), [[0.0, 0.0], [0.0, 1.0]]),
    ],
    fresh.scale_rows,
    atol=1e-5,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: more than its share ★★
# Given a map of importance and a region, both flat, return the region's share of importance over its share of pixels.


# %% tags=["exercise"]
def ratio(importance, region):
    # solution
    return (importance[region].sum() / importance.sum() / region.float().mean()).item()


# %% tags=["nbval-check-output"]
half_of_four = torch.tensor([True, True, False, False])
check.exercise(
    ratio,
    [
        ((torch.ones(4), half_of_four), 1.0),
        ((torch.tensor([3.0, 3.0, 1.0, 1.0]), half_of_four), 1.5),
        ((torch.tensor([0.0, 0.0, 1.0, 1.0]), half_of_four), 0.0),
    ],
    fresh.ratio,
    rtol=1e-5,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open
# Make a map that knows nothing of the net. The cell starts you with a blob in the middle that fades towards the borders (`parts` still holds the last seed's regions). Does it pass the rule of
# claim T1c, more than 1.2 in all three regions? How high can a blind map get? What would a fairer rule compare with?

# %%
place = torch.linspace(-1, 1, data.train.images.shape[-1]) ** 2
blob = torch.exp(-2 * (place[:, None] + place)).flatten()
blind = saliency_study.region_ratios(blob.expand_as(slopes), parts)
print(", ".join(f"{part} {value:.2f}" for part, value in blind.items()))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. Why is the direct gradient $\partial J / \partial W$ a poor reason to *keep* a weight?
# 2. What does impact know that saliency does not, and when does that help?
# 3. Removing half of the weights by the *signed* oracle's ranking hurts more than by magnitude. How can a measured truth lose?
#
# <details><summary>Answers</summary>
#
# 1. It says how the loss changes if the weight changes a little, not if it goes: a weight of 0 can have the largest gradient of all. And it
#    is error times input, so it favours inputs that are never 0, such as an empty border at -1.
# 2. The value of the input. It helps where inputs differ in size; on images of almost only -1 and 1 the two hardly differ.
# 3. It averages over the images. A weight that lowers the loss of one image and raises that of another looks unimportant, although both
#    decisions need it. (And any oracle of one weight at a time misses weights that stand in for each other.)
#
# </details>
#
# ## References
# - T. Böhnke, *Hardware-Beschleunigung von Edge-AI*, master project 2: formulas I to VIII, sections 4.1, 5.1 and 5.2.
# - K. Simonyan, A. Vedaldi, A. Zisserman, *Deep inside convolutional networks*, 2014: saliency maps.
# - P. Molchanov et al., *Pruning convolutional neural networks for resource efficient inference*, 2017: Taylor criterion and oracle.
# - J. T. Springenberg et al., *Striving for simplicity*, 2015: guided backpropagation.
# - S. Bach et al., *On pixel-wise explanations by layer-wise relevance propagation*, 2015: where formula II leads.
