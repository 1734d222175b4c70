# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Teach a net the railway
# Give every pixel in front of a train a name: rail, trackbed, vegetation, something on the track. You look at the data first, measure by hand
# what "91.2 % right" means and what it hides, watch a DeepLabV3 learn, and find out what it still gets wrong. This is the net that all later
# lessons take apart.
#
# | you do | you learn | you need |
# |---|---|---|
# | train a small DeepLabV3 on rail scenes, test it in all weathers, give it a new task | pixel accuracy against IoU, void, rare classes, transfer learning | lesson 00, twenty minutes |
#
# `quick` takes about two minutes on two cores: it trains for half a minute, then goes on with nets that were trained for ten minutes and lie in
# `data/checkpoints`. `full` trains them all, about an hour and a half.
#
# It decides the claims B1, B2 and B11 of the ledger, the list of published claims in `data/claims.toml`.

# %%
import torch
from torch import nn

from relcomp_kit.datasets import describe, load_scenes
from relcomp_kit.datasets.rail_scenes import WEATHERS, RailScenes, render
from relcomp_kit.datasets.scenes import VOID, class_frequencies, remember
from relcomp_kit.lessons import check, plot
from relcomp_kit.lessons import segmentation_study as study
from relcomp_kit.lessons.profiles import get_profile
from relcomp_kit.lessons.record import Record, claims_text, reference
from relcomp_kit.models.deeplab import SIZES, deeplab
from relcomp_kit.models.metrics import evaluate, scores

# %% tags=["parameters"]
profile = "quick"
seed = 0
dataset = "rail-scenes"

# %%
budget = get_profile(profile).segmentation
recipe = study.live_recipe(dataset, profile)
data = load_scenes(dataset, recipe.size)
record = Record("03_teach_a_net_the_railway", profile, data.name)
full = reference("03_teach_a_net_the_railway" + ("" if dataset == "rail-scenes" else f".{dataset}"))
print(f"profile: {profile}")
print(describe(data))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The data sheet
# The published work used 5,000 rendered rail scenes that were never released. This kit draws its own: the same seven classes, another
# generator, so nothing measured here reproduces the published figure; it can only *hold on a stand-in*. A scene is a function of a seed: track, switches,
# land, things, weather. Image and label come from one geometry. The generator was fixed before the first net saw a scene.

# %%
shown = [data.train[i] for i in range(min(8, len(data.train)))]
plot.scene_sheet([image for image, _ in shown], [label for _, label in shown], data.classes, data.palette)

# %% [markdown]
# Black is *void*: masts and wires belong to none of the seven classes. Void pixels are never trained on and never counted. How often does each
# class occur?

# %%
shares, void = class_frequencies(data.train, data.classes, limit=400)
plot.class_shares(shares, f"share of the labelled pixels, {data.name}; void: {void:.1%} of all")

# %% tags=["nbval-check-output"]
rarest, *_, commonest = sorted(shares, key=shares.get)
check.close("the shares of the classes add up to 1", sum(shares.values()), 1, atol=1e-6)
check.true("the commonest class has over ten times the pixels of the rarest", shares[commonest] > 10 * shares[rarest])
check.same("a scene is a function of its seed", render(7)[1], render(7)[1])
check.same("weather changes the image, not the labels", render(7, weather="day")[1], render(7, weather="snow")[1])

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What "91.2 % right" measures, by hand
# *Pixel accuracy* is the share of labelled pixels whose class is right. *Intersection over union* (IoU) of a class counts the pixels that are that class
# in truth **and** prediction, divided by those that are it in truth **or** prediction; mIoU is its mean over the classes. Twelve pixels, three classes, one void:

# %%
truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 2, VOID]])
predicted = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 2]])
labelled = truth != VOID
accuracy = (truth == predicted)[labelled].float().mean()
print(f"pixel accuracy {accuracy:.1%}")

# %% [markdown]
# Ten of eleven are right, 91 %. And yet class 2, the thing on the track, was missed altogether: its IoU is 0. A net that never reports an
# obstacle can reach the published accuracy. The *confusion matrix* holds both: rows are the truth, columns the prediction.


# %%
def count_confusion(truth, predicted, classes):
    """Pixels by true class (rows) and predicted class (columns), void left out."""
    kept = truth != VOID
    pairs = truth[kept] * classes + predicted[kept]
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou_of(confusion):
    """Intersection over union of every class."""
    both = confusion.diagonal()
    return both / (confusion.sum(0) + confusion.sum(1) - both)


by_hand = count_confusion(truth, predicted, 3)
print(by_hand, iou_of(by_hand), sep="\n")

# %% tags=["nbval-check-output"]
kit = scores(by_hand, ("land", "track", "thing"))
check.close("ten of eleven labelled pixels are right", accuracy, 10 / 11, atol=1e-6)
check.same("the kit's IoU is the one by hand", list(kit["iou"].values()), iou_of(by_hand))
check.close("one missed class costs a third of the mIoU and more", kit["miou"], (1 + 4 / 5 + 0) / 3, atol=1e-6)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the net is trained for
# Cross entropy: minus the logarithm of the probability that the net gives to the true class, averaged over the labelled pixels. Rare classes
# hardly count in that average. So the kit weighs each pixel by $1/\sqrt{\text{share of its class}}$; the published training did not. Here is the
# loss written out, for two images of random logits.


# %%
def loss_by_hand(logits, labels, weights):
    """Weighted cross entropy, (N, C, H, W) against (N, H, W), void left out."""
    log_probability = logits.log_softmax(1).movedim(1, -1)
    kept = labels != VOID
    of_truth = log_probability[kept].gather(1, labels[kept][:, None])[:, 0]
    weight = weights[labels[kept]]
    return -(weight * of_truth).sum() / weight.sum()


draw = torch.Generator().manual_seed(seed)
logits = torch.randn(2, len(data.classes), *recipe.size, generator=draw)
labels = torch.stack([label.long() for _, label in shown[:2]]).as_subclass(torch.Tensor)
weights = torch.tensor([shares[name] for name in data.classes]).rsqrt()
ours = loss_by_hand(logits, labels, weights)
theirs = nn.functional.cross_entropy(logits, labels, weights, ignore_index=VOID)

# %% tags=["nbval-check-output"]
changed = torch.where((labels == VOID)[:, None], logits + 5 * torch.randn(logits.shape, generator=draw), logits)
check.same("cross entropy by hand and by PyTorch agree", ours, theirs)
check.same("what the net says on void pixels changes nothing", loss_by_hand(changed, labels, weights), ours)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The net, in three sizes
# DeepLabV3 is a ResNet that keeps an eighth of the resolution by dilating its last stages, five parallel looks at its features (ASPP), and a classifier; the
# answer is enlarged to the image's size. `resnet101` is the published one. `compact` has the same modules at a quarter of the width: small
# enough for two cores and for every later lesson. Claim B1 counts the published net as 235 MB of float32: that is without its auxiliary head.

# %%
megabytes = {size: 4e-6 * sum(weight.numel() for weight in deeplab(size, 21).parameters()) for size in reversed(SIZES)}
plot.bytes_of_nets(megabytes, 235)

# %% tags=["nbval-check-output"]
check.close("DeepLabV3-ResNet101 without auxiliary head takes 235 MB as float32", megabytes["resnet101"], 235, atol=0.5)
check.true("compact is over twenty times smaller than resnet50", megabytes["compact"] < megabytes["resnet50"] / 20)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Watch it learn
# Two hundred steps of eight scenes, from scratch. The published nets started from COCO weights, with a learning rate of 1e-4; those weights exist only for the
# two large nets (`relcomp train resnet101 --pretrained` fetches them, and `full` takes them where they can be had).

# %%
live = study.train_now(data, recipe, seed)
curves = {"compact, this run": [live.history]}
if full:
    curves |= {f"{name}, recorded": histories for name, histories in full["curves"].items()}
plot.learning_curves(curves, published=0.912 if data.name == "rail-scenes" else None)

# %% [markdown]
# **What you see.** Sky, trackbed and vegetation come first: after 1,600 scenes over 80 % of the pixels are right, and the accuracy looks nearly done. The
# mIoU is not: rails and obstacles are still missing. In the recorded run it keeps rising for ten epochs, and so does the accuracy, slowly.

# %% tags=["nbval-check-output"]
check.true("the loss falls while one watches", live.history[-1]["loss"] < live.history[0]["loss"])
drawn = data.name == "rail-scenes"  # a handful of real frames need not teach as much
check.true("half a minute of training names most pixels", not drawn or live.history[-1]["pixel_accuracy"] > 0.7)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Trained to the end
# From here on the nets are the committed ones (`compact`, three seeds; `relcomp train` makes them again), or in `full` those
# trained just now. All of this is measured on the test split, which nobody looked at while choosing anything.

# %%
nets = study.segmenters(data, profile)
for made in nets:
    print(f"{made.name}, seed {made.seed}: {made.source}")
results = {(made.name, made.seed): study.test_scores(made, data, budget.test_scenes) for made in nets}
first = nets[0]
example = results[first.name, first.seed]

# %% [markdown] slideshow={"slide_type": "slide"}
# ### Truth and prediction
# Scenes from the test split. Red on the right marks every labelled pixel that the net gets wrong.

# %%
some = [data.test[i] for i in range(min(40, len(data.test)))]
images, truths = [image for image, _ in some], [label for _, label in some]
guesses = [study.predict(first.net, image) for image in images]
plot.predictions_beside_truth(images[:4], truths[:4], guesses[:4], data.classes, data.palette)

# %% [markdown]
# **What you see.** What is left wrong is mostly a seam a pixel or two wide along every border, and the rails, which are such seams all over. Whole objects go wrong where
# one thing looks like another: a building in the rain, a wall in front of hills.

# %% [markdown] slideshow={"slide_type": "slide"}
# ### Every class for itself
# The largest piece of each class in forty test scenes, cut out: truth and prediction.

# %%
plot.crops_of_class(images, truths, guesses, data.classes, data.palette)

# %% [markdown] slideshow={"slide_type": "slide"}
# ### The numbers behind it

# %%
ious = {}
for (name, _), result in results.items():
    per_class = ious.setdefault(name, {label: [] for label in data.classes})
    for label, value in result["iou"].items():
        per_class[label].append(value)
plot.iou_per_class(ious, shares)
for (name, number), result in results.items():
    print(f"{name}, seed {number}: pixel accuracy {result['pixel_accuracy']:.1%}, mIoU {result['miou']:.3f}")

# %%
plot.confusion(example["confusion"], data.classes)

# %% [markdown]
# **What you see.** IoU follows the share of the pixels: over 80 % for the large classes, about 35 % for rails, 27 % for the rarest class. The confusion matrix shows two
# different reasons. Two fifths of the rail pixels are taken for trackbed. Seven tenths of the obstacle pixels *are* found, but the weighted loss makes the net generous: it paints
# obstacles larger than they are (see the box above), and the surplus counts against the IoU.

# %% tags=["nbval-check-output"]
always = max(shares.values())
check.true(
    "every net beats the guess of the commonest class by far",
    not drawn or all(result["pixel_accuracy"] > always + 0.2 for result in results.values()),
)
check.same("the kit's mIoU is the mean by hand", example["miou"], iou_of(example["confusion"]).nanmean())
check.true(
    "pixel accuracy says more than mIoU, for every net", all(r["pixel_accuracy"] > r["miou"] for r in results.values())
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Out of its domain: snow
# The net was trained on day, dusk, rain and fog. It never snowed. One test scene in each weather, the same label for all:

# %%
if data.name == "rail-scenes":
    skies = [RailScenes("test", weather=weather)[2] for weather in WEATHERS]
    plot.scene_sheet(*zip(*skies), data.classes, data.palette, columns=5)

# %% [markdown]
# And the accuracy of the three nets, each tested on the same scenes in all five.

# %%
own = [made.net for made in nets if made.name == "compact"]
weather = study.weather_scores(own, data.classes, budget.weather_scenes) if data.name == "rail-scenes" else {}
usual = [result["pixel_accuracy"] for (name, _), result in results.items() if name == "compact"]
if weather:
    plot.accuracy_by_weather(weather, sum(usual) / len(usual))

# %% tags=["nbval-check-output"]
check.true(
    "in snow every net loses against day",
    all(snow < day for snow, day in zip(weather.get("snow", []), weather.get("day", []))),
)

# %% [markdown]
# **What you see.** Fog and rain, which it knows, cost one or two points. Snow, which it does not, costs twelve and more: the ground is no longer brown or green. Nothing
# warns you of that: the accuracy measured in the usual weather stays what it was. Lesson 06 comes back to this.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Transfer: a new classifier on an old net
# The published nets were not trained from scratch: their features came from COCO, and a new classifier was put on top. The same here, in small. The new task
# has two classes, *track* (rail, trackbed and what lies on it) and *the rest*. All weights are frozen but for the last convolution, which is new. The control has the same new
# classifier on a net that was never trained; only its batch-norm has measured the means and variances of forty scenes.

# %%
way = study.WAY.get(data.name, ())
groups = [int(name not in way) for name in data.classes]
task = remember(study.Relabelled(data.train, groups))
exam = remember(study.Relabelled(study.firsts(data.test, 100), groups))
old = {
    "trained features": first.net,
    "random features": study.settle(deeplab("compact", len(data.classes), seed=seed), task),
}
outcome = {}
for name, net in old.items() if way else ():
    new = study.train_classifier(study.new_classifier(net, 2, seed), task, budget.head_steps, seed)
    outcome[name] = evaluate(new, exam, ("track", "rest"), precision="auto")["iou"]["track"]
    print(f"{name}: IoU of the track {outcome[name]:.1%} after {budget.head_steps} steps")

# %% tags=["nbval-check-output"]
head = study.new_classifier(first.net, 2, seed)
learning = [name for name, weight in head.named_parameters() if weight.requires_grad]
check.same("only the new convolution learns", learning, ["classifier.4.weight", "classifier.4.bias"])
check.true(
    "features that were trained on other classes serve the new task better than random ones",
    not drawn or outcome["trained features"] > outcome["random features"],
)

# %% [markdown]
# **What you see.** Forty steps of one small convolution, a few seconds, and the track is found as well as by the net that was trained for all seven classes. On random
# features the same classifier hardly gets anywhere. What a net has learned for one task is most of what it needs for the next: that is why the published nets
# started from COCO.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run
# `compact` with three seeds, and the two large nets with one each, all from scratch: the COCO weights could not be fetched where this was recorded, and
# the large nets' budgets were cut to what a core does in about a quarter of an hour. Look at what that does to nets twenty and thirty times the size: they have
# hardly begun to learn. The published net had COCO's hundred thousand images behind it. Below, the same on CamVid, real road scenes of 11 classes.

# %%
for suffix in ("", ".camvid"):
    found = reference(f"03_teach_a_net_the_railway{suffix}")
    for line in study.summary(found) if found else ():
        print(line)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the claims come to
# B1 and B2 are met on the published data only with the published net; on scenes that the kit draws, B1 can hold on a stand-in at best. B2 asks for RailSem19: put its
# 8,500 frames under `$RELCOMP_DATA/RailSem19` and run `relcomp run 03 --profile full --dataset railsem19`.

# %%
study.note(record, nets, results)
record.measure(
    "pixel accuracy by weather", list(weather.values()), "share", labels=list(weather), scenes=budget.weather_scenes
)
record.measure(
    "IoU of track, new classifier", list(outcome.values()), "share", labels=list(outcome), steps=budget.head_steps
)
record.claim("B11", at_scale=True, megabytes=megabytes["resnet101"])
study.decide(record, data, nets, results)
record.content["curves"] = {name: [made.history for made in nets if made.name == name] for name in ious}
where = record.save()
print(claims_text(record.content))

# %%
print(claims_text(full) if full else "no full run has been recorded yet: relcomp run 03 --profile full --record")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: IoU from counts
# Return the IoU of class `k` from a confusion matrix given as a list of rows (truth) of columns (prediction).


# %% tags=["exercise"]
def iou_of_class(rows, k):
    # solution
    both = rows[k][k]
    return both / (sum(rows[k]) + sum(row[k] for row in rows) - both)


# %% tags=["nbval-check-output"]
counts = ((6, 0, 0), (0, 4, 0), (0, 1, 0))
check.exercise(iou_of_class, {(counts, 0): 1.0, (counts, 1): 0.8, (counts, 2): 0.0, (((3, 1), (2, 4)), 0): 0.5})

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: how many obstacles does it find?
# For a driver a pixel is nothing; an obstacle is. Count a frame as *alarmed* if at least `least` pixels are predicted as the class. Return the share of frames that hold the class
# and are alarmed, and the share of frames that do not hold it and are alarmed all the same. Frames are pairs (pixels in truth, pixels predicted right or wrong).


# %% tags=["exercise"]
def alarms(frames, least):
    # solution
    hit = [found >= least for present, found in frames if present]
    false = [found >= least for present, found in frames if not present]
    return sum(hit) / len(hit), sum(false) / len(false)


# %% tags=["nbval-check-output"]
frames = ((10, 8), (5, 0), (0, 0), (0, 3), (7, 2))
check.exercise(alarms, {(frames, 1): (2 / 3, 1 / 2), (frames, 3): (1 / 3, 1 / 2), (frames, 4): (1 / 3, 0.0)})

# %%
thing = data.classes.index(rarest)
counted = [(int((label == thing).sum()), int((guess == thing).sum())) for label, guess in zip(truths, guesses)]
for least in (1, 10, 40):
    found, false = alarms(counted, least)
    print(f"{rarest}, {least} pixels or more: {found:.0%} of its frames found, {false:.0%} false alarms")

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: merge classes
# A confusion matrix of many classes becomes one of fewer by adding up rows and columns. `groups[k]` is the new class of class `k`.


# %% tags=["exercise"]
def merge(rows, groups):
    # solution
    new = [[0] * (max(groups) + 1) for _ in range(max(groups) + 1)]
    for i, row in enumerate(rows):
        for j, count in enumerate(row):
            new[groups[i]][groups[j]] += count
    return new


# %% tags=["nbval-check-output"]
small = ((6, 0, 0), (0, 4, 0), (0, 1, 0))
check.exercise(merge, {(small, (0, 1, 1)): [[6, 0], [0, 5]], (small, (0, 0, 1)): [[10, 0], [1, 0]]})

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. The published accuracy is 91.2 %. Which IoU of *anomaly on track* follows from it?
# 2. Fog hides the hills, but their label stays *vegetation*. Is that an error of the data?
# 3. Why does a net that answers at an eighth of the resolution find rails harder than trackbed?
#
# *Answers.* 1. None: the class has about a thousandth of the pixels, so any value from 0 to 1 fits. 2. It is what a camera of a real train would have to be
# labelled with, from a second view; but it puts a ceiling on the accuracy that no net can pass. 3. A rail is one or two pixels wide, an eighth of a cell of its
# feature map or less: position inside a cell has to be encoded in the features.
#
# ## References
# Chen, Papandreou, Schroff, Adam, *Rethinking Atrous Convolution for Semantic Image Segmentation*, 2017 · Zendel et al., *RailSem19: A Dataset for Semantic Rail
# Scene Understanding*, 2019 · Brostow et al., *Semantic object classes in video* (CamVid), 2009 · results of Fraunhofer HHI in the BerDiBa project
