# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Ask which weights matter
# A net says *rail*. Which of its two million weights said so? *Layer-wise relevance propagation* (LRP) traces an answer back through the net, and on its way
# tells every pixel, every channel and every weight how much it contributed. Fraunhofer HHI prunes, quantizes and specialises nets by it, and so do all later lessons.
# Here you compute it by hand, prove that nothing gets lost, and put it to the test against the dullest rivals there are: the size of a weight, and chance.
#
# | you do | you learn | you need |
# |---|---|---|
# | trace answers back by hand and by the kit, take filters away in the order of their relevance | LRP rules, conservation, aggregation, concepts, how to test an explanation | lessons 01 and 03, thirty minutes |
#
# `quick` takes about three minutes on two cores, `full` about three quarters of an hour. It decides B3 and B4 of the ledger, and two controls that the publications left out.

# %% slideshow={"slide_type": "skip"}
import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from zennit.canonizers import SequentialMergeBatchNorm

from relcomp_kit import datasets, figures
from relcomp_kit.course import check
from relcomp_kit.course.cases import relevance as fresh
from relcomp_kit.evidence.record import Record, claims_text, reference
from relcomp_kit.relevance import attribution_tests, lrp, saliency
from relcomp_kit.relevance.concepts import channel_relevance
from relcomp_kit.relevance.faithfulness import area, rank_correlation
from relcomp_kit.studies.profiles import get_profile, training_recipe
from relcomp_kit.studies.relevance import examples
from relcomp_kit.studies.relevance import measurement as study
from relcomp_kit.studies.relevance import results as results_of
from relcomp_kit.studies.segmentation.measurement import predict
from relcomp_kit.studies.thesis_net import trained_net

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "rail-scenes"

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).relevance
data = datasets.load_scenes(dataset, training_recipe("compact", dataset, profile).size)
record = Record("04_ask_which_weights_matter", profile, data.name)
print(f"profile: {profile}")
print(datasets.describe(data))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## By hand: who made the five?
# Two inputs, two ReLU neurons, one output. The output is 5, and all of it is to be handed out. A neuron that received relevance $R_j$ gives each of its inputs the share that
# the input has in its sum, $R_{i \leftarrow j} = \frac{x_i w_{ij}}{\sum_i x_i w_{ij}} R_j$. What flows through one weight is that weight's relevance. This is the rule LRP-0.

# %%
net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).eval()
with torch.no_grad():
    net[0].weight.copy_(torch.tensor([[1.0, 0.5], [2.0, -0.5]]))
    net[2].weight.copy_(torch.tensor([[3.0, -1.0]]))
    x = torch.tensor([1.0, 2.0])
    hidden, output = net[:2](x), net(x)


# %%
def hand_down(values, weight, received):
    """R of every weight (outputs, inputs): its share of its neuron's sum, times what the neuron received."""
    parts = weight.detach() * values
    return parts / parts.sum(1, keepdim=True) * received[:, None]


upper = hand_down(hidden, net[2].weight, output)
lower = hand_down(x, net[0].weight, upper.sum(0))

# %%
figures.small_net(
    x, [net[0].weight, net[2].weight], [hidden, output], [lower, upper], [lower.sum(0), upper.sum(0), output]
)

# %% [markdown]
# **What you see.** Red speaks for the answer, blue against it. The second neuron pulls the output down by 1, so it receives -1, and the input that drives it gets the blame:
# $x_1$ has 3 from the one neuron and -2 from the other. The sum of all relevances is 5 in every layer. The kit gives the same numbers, in a dict that has the names
# and shapes of the net's parameters.

# %% tags=["nbval-check-output"]
kit = lrp.weight_relevance(net, [x[None]], aggregate="sum", start="predicted")
check.same("the kit's relevance of the lower weights is that by hand", kit["0.weight"], lower)
check.same("the kit's relevance of the upper weights is that by hand", kit["2.weight"], upper)
check.same("every layer holds all of the output", [lower.sum(), upper.sum()], [output.item()] * 2)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## It begins where the thesis stops
# In lesson 01 a measure named *traced share*, formula II of Böhnke's thesis, did poorly against the oracle of the loss. It is LRP-0, down to the inputs. The net is that of lesson 01;
# if the next line says *digits*, there is no MNIST here, and a small stand-in takes its place.

# %%
digits = datasets.load("mnist")
thesis = trained_net(digits, seed)
thesis.net.eval()
print(datasets.banner(digits))
few = thesis.test.subset(slice(0, 200))

# %% tags=["nbval-check-output"]
check.close(
    "LRP-0 of a tanh net is formula II of the thesis",
    lrp.heatmap(thesis.net, few.x, start=lambda output, target: output),
    saliency.traced_share(thesis.net, few.x),
    rtol=1e-2,
    atol=1e-3,
)

# %% [markdown]
# It answers another question than the oracle did: not what the loss would do without a pixel, but what the outputs are *made of*. Whether that makes it a good guide for pruning is to
# be measured, and will be.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the railway net looks at
# DeepLabV3 gives a class to every pixel. To ask for one class, relevance starts with the logits of that class where it wins, and with 0 elsewhere. *Epsilon* is LRP-0 with a
# tiny number added to each sum, so that none is 0. *z+* hands relevance to positive parts only, so nothing can speak against the answer; in the first layer it is
# spread evenly over what the filter sees (the *flat* rule).

# %%
nets = examples.nets(data, profile)
first = nets[0]
asked = examples.rare_classes(first.net, data)
print("asked for:", ", ".join(data.classes[k] for k in asked))

# %%
shown = [(k, index) for k, scenes in asked.items() for index in scenes[:2]]
rows = {
    rule: [examples.heat(first.net, data.test[index][0], k, rule=rule) for k, index in shown]
    for rule in ("epsilon", "z+")
}
regions = [predict(first.net, data.test[index][0]) == k for k, index in shown]
figures.heatmaps(
    [data.test[index][0] for _, index in shown], rows, outlines=regions, titles=[data.classes[k] for k, _ in shown]
)

# %% [markdown]
# **What you see.** The outline is where the net predicts the class. z+ marks the obstacle itself, and the two rails that lead up to it: what stands between rails is something on the track. Epsilon shows
# red and blue side by side, pixel against pixel, and few people see anything in it. That is no proof that z+ is right and epsilon wrong. The flat rule alone makes a map smooth, whatever the net has learned.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Nothing may get lost
# What an explanation hands out must be what it explains. Within one layer that holds by construction and proves nothing. So the kit cuts the *whole net* in two, at every place that all
# information passes, and adds up: the relevance of all values at the cut, and what constants behind it have kept. A bias is such a constant, and what batch-norm adds is another: it has a share in its neuron's
# sum, and that share belongs to no input.

# %%
x, _ = study.batches(data.test, 2)[0]
epsilon, plus = (lrp.conservation(first.net, x, rule=rule) for rule in ("epsilon", "z+"))
broken = lrp.conservation(first.net, x, rule="z+", canonizers=[SequentialMergeBatchNorm()], strict=False)
cases = {"z+, as it should be": plus, "z+, sums left out": broken}
figures.conservation({name: examples.kept(found) for name, found in cases.items()})
print(f"epsilon: biases keep {epsilon['input'].bias_share:.0%} of the answer, z+: {plus['input'].bias_share:.0%}")

# %% tags=["nbval-check-output"]
check.true(
    "epsilon: at every cut, relevance and biases add up to the answer, to a thousandth of it",
    max(found.error for found in epsilon.values()) < 1e-3,
)
check.true("z+: the same", max(found.error for found in plus.values()) < 1e-3)
check.true("without a rule for sums, z+ invents more relevance than there was", broken["input"].error > 1)

# %% [markdown]
# **What you see.** Above, the two parts always fill the bar up to 1, and biases keep most of it on the way: of what the net says, less than a quarter can be shown in the pixels. Below, somebody forgot a *canonizer*: zennit attaches rules to modules, but ResNet adds its two branches with a
# bare plus sign, to which nothing can be attached. So each branch receives all of the relevance, block after block. In every single layer the books still balance. Only the cut through the whole net shows it.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Epsilon is gradient times weight
# Write $c_j = R_j / z_j$. Then LRP-0 says $R_{i \leftarrow j} = w_{ij} x_i c_j$ and $c_i = \sum_j w_{ij} c_j$: the chain rule, as long as an activation hands relevance on as it is, and its output is its input or 0. On a net of ReLUs, relevance is the gradient of the start, times the
# weight. So it costs one backward pass, and whoever has PyTorch can compute it. The other rules are not this gradient.


# %%
def gradient_times_weight(net, x):
    """The weight times the slope of the winning logits, summed over all pixels of all scenes."""
    winners = net(x)["out"].amax(1).sum()
    slopes = torch.autograd.grad(winners, list(net.parameters()))
    return {name: (w * slope).detach() for (name, w), slope in zip(net.named_parameters(), slopes)}


plain = gradient_times_weight(first.net, x)
asked_so = {"aggregate": "sum", "start": "predicted", "way": "zennit"}
by_rule = {rule: lrp.weight_relevance(first.net, [x], rule=rule, **asked_so) for rule in ("epsilon", "z+")}

# %%
layer = "backbone.layer4.0.conv2.weight"
figures.gradient_identity({rule: (plain[layer], found[layer]) for rule, found in by_rule.items()})

# %% tags=["nbval-check-output"]
flat = {rule: torch.cat([value.flatten() for value in found.values()]).double() for rule, found in by_rule.items()}
slope = torch.cat([value.flatten() for value in plain.values()]).double()
check.true("epsilon by zennit is gradient times weight", cosine_similarity(flat["epsilon"], slope, 0) > 0.999)
check.true("z+ is something else", cosine_similarity(flat["z+"], slope, 0) < 0.9)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Large, yet irrelevant?
# HHI shows by example that large weights can be irrelevant and small ones relevant. B3 turns it into numbers: within the layers the rankings by size and by relevance shall agree by less than 0.5, and at least one weight in a hundred shall be in the upper
# quarter of the one and the lower quarter of the other, both ways. By chance it would be one in sixteen. Relevance comes from training scenes, starts at the true class with the same amount for each scene, and is
# the mean over the scenes of its absolute value.

# %%
images = study.batches(data.train, budget.scenes)
relevance = lrp.weight_relevance(first.net, images, normalize=True)
figures.weight_against_relevance(dict(first.net.named_parameters())[layer], relevance[layer])

# %%
results = [study.measured(made, data, budget) for made in nets]
for of in ("all classes", *(data.classes[k] for k in asked)):
    found = [sum(one["corners"][of][name] for one in results) / len(results) for name in study.CORNERS]
    print(
        f"{of:17} rank correlation {found[0]:.2f}; large, yet irrelevant {found[1]:.1%}, small, yet relevant {found[2]:.1%}"
    )

# %% [markdown]
# **What you see.** For epsilon, size and relevance go together: the diagonal is dark, the two corners are nearly empty, and no class alone gets below 0.5. That is no accident.
# Epsilon relevance is the gradient *times the weight*, so size is one of its two factors. z+ sees it differently: there a weight whose part is never positive gets nothing, however large. So whether a large weight is irrelevant depends on
# the rule that is asked, and B3 is decided by epsilon, the rule that prunes. It fails on this small net. A small net cannot refute a claim about a large one, so the verdict below is *not testable here*, with the command that would test it.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## How to add up scenes
# One weight speaks for *rail* in one scene and against it in the next. Is it relevant? The absolute value of the mean says no, the mean of the absolute values says yes. Four scenes, one weight:

# %%
of_scenes = torch.tensor([3.0, -3.0, 2.0, -2.0])
print(
    "sum",
    of_scenes.sum().item(),
    "| abs of mean",
    of_scenes.mean().abs().item(),
    "| mean of abs",
    of_scenes.abs().mean().item(),
)

# %%
aggregates = {
    how: lrp.weight_relevance(first.net, images[:1], aggregate=how) for how in ("sum", "abs_of_mean", "mean_of_abs")
}
of_mean, of_abs = aggregates["abs_of_mean"], aggregates["mean_of_abs"]
alike = rank_correlation(of_mean[layer].flatten(), of_abs[layer].flatten()).item()
print(f"rank correlation of the two in {layer}: {alike:.2f}")

# %% tags=["nbval-check-output"]
count = len(images[0][0])
check.same(
    "abs of mean is the absolute sum over the number of scenes", of_mean[layer], aggregates["sum"][layer].abs() / count
)
check.true(
    "the mean of the absolute values is never smaller", bool((of_abs[layer] >= of_mean[layer] * (1 - 1e-4)).all())
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The judges: ablation and removal
# Two tests, three nets, six measures. *Ablation* sets one channel to 0 and measures how much the loss changes, up or down, on average over scenes: the truth about one channel of an intact net, at the price of a pass for each. *Removal* takes a share of every
# layer's filters away, without any training after it, and looks at the accuracy on test scenes: a good measure keeps it high when the least relevant go first, and ruins it when the most relevant do. The rivals:
#
# - *magnitude*, the L2 norm of a filter, and *random*, which know nothing of the data;
# - *Taylor of the loss*, LRP-epsilon with another start: the logits times the slope of the cross entropy;
# - LRP with *z+*, and LRP-epsilon added up the other way.

# %%
filters = {name: [one["correlation"]["filters"][name] for one in results] for name in study.MEASURES}
figures.agreement(filters)

# %%
weights = {name: [one["correlation"]["weights"][name] for one in results] for name in study.MEASURES}
for name, values in weights.items():
    print(f"single weights, rank correlation with ablation: {name:20} {sum(values) / len(values):5.2f}")

# %%
shares = budget.shares["layer"]
curves = {order: results_of.by_measure(results, "pixel_accuracy", "layer", order) for order in ("least", "most")}
unpruned = sum(curve[0] for curve in curves["least"][study.LRP]) / len(nets)
figures.removal_curves(shares, curves, unpruned, "pixel accuracy")

# %%
areas = {order: results_of.areas(found, shares) for order, found in curves.items()}
orders = [study.random_orders(made, data, budget) for made in nets]
for name in study.MEASURES:
    least, most = (sum(areas[order][name]) / len(results) for order in ("least", "most"))
    print(f"{name:20} mean accuracy, least first {least:.1%}, most first {most:.1%}")
chance = [area(shares, curve) for one in orders for curve in one]
print(f"{len(chance)} random orders: mean {sum(chance) / len(chance):.1%}, from {min(chance):.1%} to {max(chance):.1%}")

# %% [markdown]
# **What you see.** At the same share of every layer both LRP rules keep more accuracy than magnitude, and z+ most. Chance is a better rival than it looks: a single random order is luck, so ten are drawn for each net, and their mean is
# the control. *Taylor* is closest to ablation, since it asks for the same loss, and prunes worst; below, on other terms, it does as well as LRP, so mind how much hangs on the test. The mean of absolute values ranks channels better than the absolute
# value of the mean, but prunes no better. (The oracle takes absolute changes too, which may favour it.) And a warning about the first figure: it pools the channels of all layers, and much of what LRP knows is which *layers* matter. Within a layer the correlations of the
# recorded run are half as high.

# %% tags=["nbval-check-output"]
drawn = data.name == "rail-scenes"
check.true(
    "channels: LRP is closer to ablation than chance and magnitude, for every net",
    not drawn or all(a > max(b, c) for a, b, c in zip(filters[study.LRP], filters["magnitude"], filters["random"])),
)
check.true(
    "taking the most relevant filters first does more harm than chance, for every net",
    not drawn or all(a < b for a, b in zip(areas["most"][study.LRP], areas["most"]["random"])),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What single channels stand for
# Which channels carry a class? A channel that answers to one kind of thing is a *concept* of the net, though nobody named it. *Concept relevance propagation* (CRP) lets relevance pass through one channel of a layer only. On the left, crops of the scenes
# where a channel was most relevant for the class (*RelMax*), cut where that relevance lies. On the right, where it was most active (*ActMax*), in whatever scene.

# %%
concept_layer, (k, scenes) = "classifier.0", next(iter(asked.items()))
x = examples.as_input([data.test[index][0] for index in scenes[:8]])
per_channel = channel_relevance(first.net, x, concept_layer, k).mean(0)
strongest = per_channel.topk(3).indices.tolist()
print(f"{data.classes[k]}: channels {strongest} of {len(per_channel)}")

# %%
crops = examples.reference_crops(first.net, data.test, concept_layer, k, strongest, budget.reference_scenes)
figures.reference_crops(strongest, crops, (per_channel[strongest] / per_channel.sum()).tolist())

# %% [markdown]
# **What you see.** Most crops on the left show something that lies on the track. On the right there is the bare track, its ballast and sleepers. These channels answer to the bed of the track all the time; only where something stands on it
# do they have a say in the answer *anomaly*. Active is not relevant. And the three channels share their favourite scenes: they are not three ideas.

# %% tags=["nbval-check-output"]
whole = lrp.heatmap(first.net, x, class_=k)
parts = lrp.heatmap(first.net, x, class_=k, concept=(concept_layer, range(len(per_channel))))
check.close("all concepts of a layer together are the class", parts, whole, atol=1e-3 * whole.abs().max().item())

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### A concept as a criterion
# A class can decide what is pruned, and so can a concept. The weights below the layer, ranked by what flows through the strongest channel alone, and by the whole class. The closer the correlation is to 1, the less this concept would choose other weights than its class.

# %%
batch = [(x, None)]
of_class, of_concept = (
    lrp.weight_relevance(first.net, batch, start="predicted", class_=k, concept=only)
    for only in (None, (concept_layer, strongest[0]))
)
alike = rank_correlation(of_class[layer].flatten(), of_concept[layer].flatten()).item()
print(f"rank correlation of class and concept in {layer}: {alike:.2f}")

# %% tags=["nbval-check-output"]
check.true("what lies behind the concept's layer is not asked", not of_concept["classifier.4.weight"].any())
check.true("what lies before it is", all(of_concept[name].any() for name in (layer, "backbone.conv1.weight")))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Is the heatmap any good?
# Two tests of maps of the input, on the thesis' net. *Pixel flipping* sets pixels to grey (0, between black -1 and white 1) in the order of a map, most important first: the sooner the output falls, the better. *Parameter
# randomisation* draws the weights of layers anew: a map that stays as it was does not show what the net has learned.

# %%
maps = examples.digit_maps(thesis.net, few.x, few.labels, seed)
flipped = {
    name: attribution_tests.pixel_flipping(thesis.net, few.x, few.labels, one, steps=examples.steps_for(few.x))[0]
    for name, one in maps.items()
}
figures.flipping({name: [curve] for name, curve in flipped.items()}, "output at the true class")

# %%
for name, explain in examples.DIGIT_MAPS.items():
    left = attribution_tests.parameter_randomisation(thesis.net, few.x, few.labels, explain, seed=seed)
    print(
        f"{name:14} still alike after new weights: "
        + ", ".join(f"{layer} {value:.2f}" for layer, value in left.items())
    )

# %% [markdown]
# **What you see.** A tenth of the pixels, chosen by relevance or by gradient times input, brings the output from its height to its floor. Without its sign the same map takes far longer, since it also takes what speaks *against* the class. At the right end
# all curves meet at what the net says of an image that is grey all over. After new weights, from the last layer on to the first, at most 0.3 of the ranking is left.
# Mind what these tests cannot tell. A digit with grey holes is nothing the net was trained on; it may fail because the image is strange. The curve depends on the grey: pixels that are grey already cannot be flipped. And noise, drawn anew,
# passes the randomisation test best of all, so a low number is no merit.

# %% tags=["nbval-check-output"]
check.true("flipping by relevance lowers the output sooner than chance", sum(flipped["LRP-ε"]) < sum(flipped["random"]))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run
# Ten times as many scenes, six times as many channels, the same three nets. Besides the same share of every layer, it takes filters from the *whole net*, wherever the scores are lowest, and single weights.

# %%
full = reference("04_ask_which_weights_matter" + ("" if dataset == "rail-scenes" else f".{dataset}"))
for line in results_of.summary(full) if full else ():
    print(line)

# %%
if full:
    at, recorded = results_of.recorded_curves(full, "net")
    figures.removal_curves(at, recorded, recorded["least"][study.LRP][0][0], "pixel accuracy")

# %% [markdown]
# **What you see.** (The columns average other shares, so compare within a column.) Over the whole net every kind of relevance is far ahead of magnitude and chance, perhaps because it is one unit for all layers, which norms are not. z+ leads: half of all filters can go, and two thirds
# of the pixels are still right, without any training. With epsilon a tenth costs less than half a point, a fifth about two. For single weights it is the other way round: z+ is hardly better than chance, and magnitude ends ahead of epsilon, although ablation ranked
# it far behind. Ablation asks for one weight in an intact net; where a half is gone, the intact net's answer is out of date. So *relevance tells which filters matter*; which of two weights in a filter matters is another question. Lesson 05 comes back to it.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What it decides
# B3 and B4 were published on other data and a larger net. What is met here *holds on a stand-in*.

# %% slideshow={"slide_type": "skip"}
results_of.note(record, nets, results, orders, budget)
results_of.decide(record, nets, results, orders, budget)
record.save()
print(claims_text(record.content))

# %%
print(claims_text(full) if full else "no full run has been recorded yet: relcomp run 04 --profile full --record")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: only what speaks for it ★
# One neuron without bias. Return what each input receives by z+: only positive parts $x_i w_i$ count, and share what the neuron received. If there is none, all receive 0.


# %% tags=["exercise"]
def z_plus(values, weights, received):
    # solution
    parts = [max(value * weight, 0.0) for value, weight in zip(values, weights)]
    return [part / sum(parts) * received if sum(parts) else 0.0 for part in parts]


# %% tags=["nbval-check-output"]
shown = {((-1, 1), (-2, 1), 3): [2.0, 1.0], ((1, 2), (2, -0.5), 4): [4.0, 0.0], ((1,), (-1,), 3): [0.0]}
check.exercise(z_plus, shown, fresh.z_plus)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: the area under a removal curve ★★
# Accuracies at rising shares of filters removed. Return the mean height of the line through them, by trapezoids: the area, divided by the width of the range.


# %% tags=["exercise"]
def mean_height(shares, accuracies):
    # solution
    total = 0.0
    for i in range(len(shares) - 1):
        total += (shares[i + 1] - shares[i]) * (accuracies[i] + accuracies[i + 1]) / 2
    return total / (shares[-1] - shares[0])


# %% tags=["nbval-check-output"]
shown = {((0.2, 0.6), (0.9, 0.5)): 0.7, ((0, 0.2, 0.6), (0.9, 0.9, 0.1)): 19 / 30}
check.exercise(mean_height, shown, fresh.mean_height)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: epsilon through two layers ★★★
# A net of two layers: `hidden = relu(lower @ x + bias)`, `output = upper @ hidden`. Return the relevance of every input for the *largest* output, which starts with its own value; the other outputs start with 0.
# A neuron with the sum $z$ hands down by LRP-epsilon: an input gets its part $x_i w_i$ over $z + \epsilon$, or over $z - \epsilon$ where $z$ is negative, times what the neuron received. The bias belongs to the sum of its neuron, and keeps its share. `x`, `bias` (hidden), `lower` (hidden, inputs) and `upper` (outputs, hidden) are tensors. Test yourself: with a tiny `eps` and no bias the relevances add up to the output.


# %% tags=["exercise"]
def epsilon_relevance(x, lower, bias, upper, eps):
    # solution
    def handed_down(values, weight, sums, received):
        return values * (weight.T @ (received / (sums + torch.where(sums < 0, -eps, eps))))

    sums = lower @ x + bias
    hidden = sums.relu()
    output = upper @ hidden
    start = torch.where(output == output.max(), output, 0.0)
    return handed_down(x, lower, sums, handed_down(hidden, upper, output, start))


# %% tags=["nbval-check-output"]
lower, upper = torch.tensor([[1.0, 0.5], [2.0, -0.5]]), torch.tensor([[3.0, -1.0]])  # the net at the beginning
tiny, large = ((torch.tensor([1.0, 2.0]), lower, torch.zeros(2), upper, eps) for eps in (1e-9, 1.0))
shown = [(tiny, [1.0, 4.0]), (large, [5 / 6, 25 / 12])]
check.exercise(epsilon_relevance, shown, fresh.epsilon_relevance, rtol=1e-5, atol=1e-5)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open
# Pixel flipping needs something to put in the place of a pixel. Above it was grey. The cell takes black, which most of a digit's image is already. Do the maps keep their order? Try white, noise, or the mean
# image. Which replacement would you publish, and what would a reader have to know?

# %%
for name, one in maps.items():
    steps = examples.steps_for(few.x)
    black = attribution_tests.pixel_flipping(thesis.net, few.x, few.labels, one, steps=steps, baseline=-1.0)[0]
    print(f"{name:20} mean output: grey {sum(flipped[name]) / (steps + 1):.2f}, black {sum(black) / (steps + 1):.2f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. In the toy net $x_1$ receives 1. Does the output fall by 1 if $x_1$ is set to 0?
# 2. Why do the inputs of a net with biases, as a rule, not receive all of the output?
# 3. Epsilon relevance is gradient times weight. Can a weight of 0 ever be relevant?
#
# <details><summary>Answers</summary>1. No: it falls by 2, to 3. The second neuron would become -1, and its ReLU closes. As long as none opens or closes, the net is linear, and relevance is what removal does. 2. A bias has a share
# in the sum of its neuron, and no input is behind it. 3. Not by this measure, though another value might help: relevance speaks about the net as it is.</details>
#
# ## References
# Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, 2015 · Montavon et al., *Layer-Wise Relevance Propagation: An Overview*, 2019 · Shrikumar et al., *Not Just a Black
# Box*, 2016 (gradient times input) · Yeom et al., *Pruning by Explaining*, 2021 · Achtibat et al., *From attribution maps to human-understandable explanations through Concept Relevance Propagation*, 2023 · Becking et al., *ECQ^x*, 2022
