# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Show relevant experts to an audience
# An expert is a small net inside the big one: the filters that matter to *rail*, for example, and no others. Lesson 06 cuts experts out and measures them. Here you *show* them. A page
# in the browser draws the net's answer, the answers of up to three experts, what they cost and what they get wrong, while you move a slider. It follows the demonstrator that Fraunhofer HHI built in the BerDiBa
# project. It adds what a sceptic in the last row will ask for: paths by magnitude and random paths, beside relevance.
#
# | you do | you learn | you need |
# |---|---|---|
# | drive the page by mouse and by command line, and compute by hand what its tables say | how paths differ, what similarity, pruning ratio and score mean, where relevance does not help | lesson 04, better 06 as well; twenty minutes |
#
# `quick` and `full` take 1 min on two cores. This lesson decides no claim of the ledger; lesson 06 does.

# %% slideshow={"slide_type": "skip"}
import math
from dataclasses import replace

from IPython.display import HTML, Image

from relcomp_kit.course import check
from relcomp_kit.course.cases import demonstrator as fresh
from relcomp_kit.demonstrator import PathChoice, State, as_line, parse
from relcomp_kit.demonstrator.details import render_filters, render_layers
from relcomp_kit.demonstrator.engine import answer
from relcomp_kit.demonstrator.render import render
from relcomp_kit.figures.style import png

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Open the page
# In a terminal, `relcomp demo` opens the page in your browser. Only this machine can reach it, and only with the token in its address. It needs no network, so it works in any lecture hall. `relcomp demo --net FILE.nnc` opens a
# net that `relcomp encode` wrote, with the experts in its file. Ctrl-C ends it.
#
# The page also runs inside this notebook. Open the notebook in JupyterLab (`relcomp lab`), set `live = True`, and run the cell. The stored notebook shows a picture of the page instead.

# %%
live = False
if live:
    from relcomp_kit.demonstrator.page import show

    show()

# %%
state = parse("scene synthetic 13 day; rel rail keep=0.6 vs magnitude", State())
Image(png(render(state, (960, 560))))

# %% [markdown]
# **What you see.** On the left is a rail scene that the kit has drawn, and below it the relevance of its pixels for *rail*. Red pixels speak for the class, blue ones against it; there are blue ones even on rails. Then comes one column for each net. The super-net has all filters. *rail, 60 %* has kept the filters that are most relevant for rail, by LRP on training
# scenes; *magnitude, 60 %* has kept those with the largest weights. The second row shows which pixels changed: red ones were right before and are wrong now, blue ones are right now, black ones are wrong before and after. The table says what each net costs. Nothing has been trained after the cut, so this is what the filters can do by themselves, and it is little. Lesson 06 shows what training adds.
#
# Every bar has its number written on it, and nothing depends on telling red from green. So everybody in the hall can follow.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Every state is a line
# Whatever you click, the page writes its state as a line of commands. Copy the line into your notes before the lecture. Paste it into the command line during the lecture, and the same picture comes back. A command changes what it names, and nothing else.

# %%
line = as_line(state)
print(line.replace("; ", ";\n"))

# %%
snow = "rel rail keep=0.8 vs magnitude vs random; scene synthetic 13 snow; heat off"
asked = parse(snow, state)
Image(png(render(asked, (960, 510))))

# %% [markdown]
# **What you see.** The same scene in snow, which the net has not met in training, with three experts of 80 %: by relevance, by magnitude, and random. On this scene, at this size, magnitude is ahead: it keeps the IoU of the super-net, and relevance does not. (In the command, `keep=0.8` counts for the paths after it, until another `keep` comes.) A wrong command changes nothing. You get one sentence that says what is wrong, and often what you may have meant.

# %% tags=["nbval-check-output"]
back = parse(as_line(asked), state)
check.true("a line brings the same state back, whatever was there before", back == asked)
check.true("commands change what they name, and no more", parse("keep 0.8", asked) == asked)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the tables say, by hand
# HHI's demonstrator shows a similarity, a pruning ratio, a score and a parameter for each layer. How they are computed is not published. The kit defines them like this. *Similarity* is the overlap with the path of all classes at the same size: filters in both over filters in either. *Pruned* is the
# share of filters that is gone. The *score* is the share of the layer's relevance that stays, for the classes that you evaluate. The *parameter* is what you set: the share to keep.

# %% slideshow={"slide_type": "skip"}
layers_asked = parse("rel rail keep=0.4 vs average", state)
HTML(render_layers(layers_asked))


# %%
def overlap(path, other):
    """Filters in both over filters in either, of one layer."""
    both = (path & other).sum().item()
    return both / (path | other).sum().item()


expert, average = answer(layers_asked).experts
by_hand = {layer: overlap(expert.path[layer], average.path[layer]) for layer in expert.path}
gone = {layer: 1 - expert.path[layer].float().mean().item() for layer in expert.path}

# %% tags=["nbval-check-output"]
rows = {row.layer: row for row in expert.layers}
shown = [rows[layer].similarity for layer in by_hand]
check.same("similarity is the overlap", shown, list(by_hand.values()))
shown = [rows[layer].pruned for layer in gone]
check.same("the pruning ratio counts what is gone", shown, list(gone.values()))

# %% [markdown]
# **What you see.** The upper row is the whole net, the others are its layers. The parameter is the same everywhere. Yet one layer loses nearly everything and another nearly nothing, because all filters of the net compete for the places. Those that stay hold more of the relevance than their share of the filters.
#
# Now look at one layer filter by filter:

# %%
Image(png(render_filters(layers_asked)))

# %% [markdown]
# **What you see.** Each bar is a filter, the most relevant for rail first; red ones stay. The expert for rail keeps exactly the most relevant ones. The average path keeps more filters of this layer, and drops some that rail would need. Both keep 40 % of the *whole net*: a layer that matters much keeps nearly everything, and another one is nearly emptied.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## How small can it get?
# Move the slider in the page, or run a loop here. For every share, the super-net answers the same scene again, gated by the expert's masks.

# %%
shares = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2]
print("share of filters " + " ".join(f"{keep:6.0%}" for keep in shares))
for kind, classes in (("class", ("rail",)), ("average", ()), ("magnitude", ()), ("random", ())):
    paths = [PathChoice(kind, classes, keep) for keep in shares]
    cut = [answer(replace(state, paths=(path,), heat=None)).experts[0] for path in paths]
    print(f"IoU rail {kind:9}" + "".join(f" {one.iou['rail'] or 0:5.2f} " for one in cut))

# %% [markdown]
# **What you see.** With 80 % of the filters, magnitude and the average path are ahead of the expert for rail, and the random path is last. At 60 % it is the other way round: the expert for rail finds most, the average path a little, magnitude and the random path nothing. With less, only the expert for rail finds any rails, and soon hardly any. So the winner depends on the size, and an
# audience that sees one size sees half of the truth.
#
# One scene is an anecdote. The page measures the same on as many test scenes as you like: press *Measured*, or type `measure test=40`. It takes some seconds, so it happens only when you ask. The page shows how far it is, and *Stop* ends it. Latency and the bytes of a coded file are measured there, too.

# %% tags=["nbval-check-output"]
costs = [answer(state.with_path(0, PathChoice(keep=keep))).experts[0] for keep in shares]
check.true("an expert of all filters answers as the super-net does", costs[0].agreement == 1)
macs = [one.macs for one in costs]
check.same("fewer filters cost fewer multiply-adds", macs, sorted(macs, reverse=True))
half = macs[shares.index(0.5)]
check.true("half of the filters cost less than half of the multiply-adds", half < 0.5)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## For the lecture
# Here are questions for the audience, each with the line that answers it. Let people bet first.
#
# | ask | type |
# |---|---|
# | Which half of the filters would you keep for the rails: those with the largest weights? | `rel rail keep=0.5 vs magnitude vs random` |
# | Does the expert for rails see an obstacle on them? | `rel rail keep=0.5 vs critical rail "anomaly on track"; classes rail "anomaly on track"` |
# | Which layer can be emptied without harm? | *Layers*, and a slider for one layer |
# | Whose expert hardly differs from the average path? | `rel sky keep=0.4 vs average`, then *Layers*: the column of similarity |
# | Are the experts as good in snow? | `scene synthetic 13 snow` |
# | What does this channel stand for? | *Channel*: the scenes in which it is most relevant |
# | What does the net see in your own photograph? | upload one; it has no ground truth, so there is no IoU |
#
# ## To try yourself
# - Find a scene on which a random path beats relevance, and one on which magnitude does. How long did it take? What does that say about anecdotes?
# - HHI says that relevance is not better for every class, least of all for rare ones. Find such a class, then check it on 100 test scenes.
# - Set the layers of a path to 10 %, one at a time. Which layer does most harm? Is it the one with the highest score?

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: alike by chance ★★
# The column *similarity* shows 0.35 for two experts. Is that much? A layer has `filters` filters. Two paths keep `one` and `other` of them, drawn at random. Return their mean overlap: filters in both over filters in either. Hint: how likely is each number of common filters? `math.comb(n, k)` counts the ways to choose k of n.


# %% tags=["exercise"]
def chance_overlap(filters, one, other):
    # solution
    mean = 0.0
    for both in range(max(0, one + other - filters), min(one, other) + 1):
        ways = math.comb(one, both) * math.comb(filters - one, other - both)
        mean += ways / math.comb(filters, other) * both / (one + other - both)
    return mean


# %% tags=["nbval-check-output"]
shown = {(4, 1, 1): 1 / 4, (4, 4, 2): 1 / 2, (4, 2, 2): 7 / 18}
check.exercise(chance_overlap, shown, fresh.chance_overlap)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: the most relevant filters of a whole net ★★
# `relevance` is a list of layers, each a list of numbers. Keep `count` filters, the most relevant ones over all layers. If two are equal, keep the one in the earlier layer, and within a layer the earlier one. Return how many filters each layer keeps.


# %% tags=["exercise"]
def kept_per_layer(relevance, count):
    # solution
    ranked = sorted((-v, n, i) for n, row in enumerate(relevance) for i, v in enumerate(row))
    chosen = [layer for _, layer, _ in ranked[:count]]
    return [chosen.count(layer) for layer in range(len(relevance))]


# %% tags=["nbval-check-output"]
one, other = ((3, 1), (2, 2, 5)), ((1, 1), (1,))
shown = {(one, 3): [1, 2], (one, 1): [0, 1], (other, 2): [2, 0]}
check.exercise(kept_per_layer, shown, fresh.kept_per_layer)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: a fair bet ★★★
# There are `scenes` test scenes, and relevance beats magnitude on `wins` of them. You draw `shown` different scenes at random and show them in the hall. Return the probability that relevance is ahead in at least one of them. How many scenes do you have to show until you can "prove" anything?


# %% tags=["exercise"]
def ahead_at_least_once(scenes, wins, shown):
    # solution
    never = 1.0
    for drawn in range(shown):
        never *= max(scenes - wins - drawn, 0) / (scenes - drawn)
    return 1 - never


# %% tags=["nbval-check-output"]
shown = {(10, 5, 1): 0.5, (10, 5, 2): 7 / 9, (10, 2, 9): 1.0, (40, 10, 2): 0.4423076923076923}
check.exercise(ahead_at_least_once, shown, fresh.ahead_at_least_once)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open
# Relevance or magnitude? The cell asks about six scenes, at one size. Find a scene and a size that make relevance look as good as possible, then as bad as possible. Then plan ten minutes for an audience that you want to convince of what is *true*. Which scenes do you show, which sizes, and how many? Who chooses them? What do you say before you show the first one?

# %%
asked = parse("rel rail keep=0.6 vs magnitude; heat off", State())
for number in range(6):
    both = answer(parse(f"scene synthetic {number} day", asked)).experts
    one, other = (expert.iou["rail"] or 0 for expert in both)
    print(f"scene {number}: IoU of rail by relevance {one:.2f}, by magnitude {other:.2f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. The expert for *rail* at 100 % agrees with the super-net on every pixel. Why must it?
# 2. An expert with half of the filters has less than half of the multiply-adds. Why?
# 3. An expert's layers have high scores, and its IoU falls all the same. How can that be?
#
# <details><summary>Answers</summary>1. It keeps every filter, so nothing is masked: it is the super-net. 2. A convolution costs inputs times outputs. If half of both are gone, a quarter is left; layers that keep more make up for some of it. 3. The score is about the answer of
# the intact net. Where other filters are gone, those that stay get inputs that they never got before. And relevance for one class says nothing about the other classes, with which it competes for every pixel.</details>
#
# ## References
# *Mixture of relevant experts*, Fraunhofer HHI in the BerDiBa project (its demonstrator) · Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, 2015 · Achtibat et al., *From attribution maps to human-understandable explanations through Concept Relevance Propagation*, 2023

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# ← [07 Encode with NNC](07_encode_with_nnc.ipynb) · [Glossary](glossary.md) · [09 Take stock of what reproduced](09_what_reproduced.ipynb) →
