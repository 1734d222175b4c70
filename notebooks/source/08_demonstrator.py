# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Show relevant experts to an audience
# An expert is a small net inside the big one: the filters that matter to *rail*, say, and no others. Lesson 06 cuts experts out and measures them. Here you *show* them. A page
# in the browser draws the net's answer, the answers of up to three experts, what they cost and what they get wrong, while you move a slider. It does what the demonstrator of Fraunhofer HHI in the BerDiBa
# project was built for, and it adds what a sceptic in the last row will ask for: paths by magnitude and by chance, side by side with relevance.
#
# | you do | you learn | you need |
# |---|---|---|
# | drive the page by mouse and by command line, and compute by hand what its tables say | how paths differ, what similarity, pruning ratio and score mean, where relevance does not help | lesson 04, better 06 as well; twenty minutes |
#
# This notebook runs in under a minute on two cores, in both profiles. It decides no claim of the ledger; lesson 06 does.

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
# In a terminal, `relcomp demo` opens it in your browser. Only this machine can reach it, and only with the token in its address; it asks nothing of the network, so it works in a lecture hall without one. `relcomp demo --net FILE.nnc` opens with a
# net that `relcomp encode` wrote, and with the experts that travel in the file. Ctrl-C ends it.
#
# You can also have the page in this notebook: open it in JupyterLab (`relcomp lab`), set `live = True`, run the cell. In the stored notebook a picture stands for it.

# %%
live = False
if live:
    from relcomp_kit.demonstrator.page import show

    show()

# %%
state = parse("scene synthetic 13 day; rel rail keep=0.6 vs magnitude", State())
Image(png(render(state)))

# %% [markdown]
# **What you see.** Left, a rail scene that the kit has drawn, and below it the relevance for *rail*: red pixels speak for the class, blue ones against it, even where they lie on rails (their relevance is negative). Then one column a net. The super-net has all filters; *rail, 60 %* has kept the filters that are most relevant for rail, by LRP on training
# scenes; *magnitude, 60 %* those with the largest weights. The second row shows what became of the pixels: red ones were right before and are wrong now. The table says what each net costs. Nothing has been trained after the cut: this is what the filters know by themselves, and it is little. Lesson 06 shows what training adds.
#
# Bars and numbers say the same twice, and no meaning hangs on red and green, so that everybody in the hall can follow.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Every state is a line
# Whatever you click, the page writes the state below as a line of commands. Copy it into your notes before the lecture, paste it into the command line during the lecture, and the same picture comes back. Commands change a state; what they do not name stays.

# %%
line = as_line(state)
print(line.replace("; ", ";\n"))

# %%
asked = parse("rel rail keep=0.8 vs magnitude vs random; scene synthetic 13 snow; heat off", state)
Image(png(render(asked)))

# %% [markdown]
# **What you see.** Snow, which the net has never met in training, and three experts of 80 %: relevance, magnitude, chance. A share stands for all paths behind it until another one comes. A bad command changes nothing: you get one sentence that says what is wrong, and often what you may have meant.

# %% tags=["nbval-check-output"]
check.true("a line brings the same state back, whatever stood there before", parse(as_line(asked), state) == asked)
check.true("commands change what they name, and no more", parse("keep 0.8", asked) == asked)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the tables say, by hand
# HHI's demonstrator shows, for each layer, a similarity, a pruning ratio, a score and a parameter, and does not say how they are computed. Here they are defined: *similarity* is the overlap with the path of all classes at the same size, filters in both over filters in any. *Pruned* is the
# share of filters that is gone. The *score* is the share of the layer's relevance, for the classes you evaluate, that stays. The *parameter* is what you set: the share to keep.

# %% slideshow={"slide_type": "skip"}
layers_asked = parse("rel rail keep=0.4 vs average", state)
HTML(render_layers(layers_asked))


# %%
def overlap(path, other):
    """Filters in both over filters in any, of one layer."""
    both = (path & other).sum().item()
    return both / (path | other).sum().item()


expert, average = answer(layers_asked).experts
by_hand = {layer: overlap(expert.path[layer], average.path[layer]) for layer in expert.path}
gone = {layer: 1 - expert.path[layer].float().mean().item() for layer in expert.path}

# %% tags=["nbval-check-output"]
rows = {row.layer: row for row in expert.layers}
check.same("similarity is the overlap", [rows[layer].similarity for layer in by_hand], list(by_hand.values()))
check.same("the pruning ratio counts what is gone", [rows[layer].pruned for layer in gone], list(gone.values()))

# %% [markdown]
# Look at a layer filter by filter. Each bar is a filter, the tallest are most relevant for rail; red ones stay. The shares are chosen over the *whole net*, so a layer that matters much keeps nearly everything, and another one is nearly emptied.

# %%
Image(png(render_filters(layers_asked)))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## How small can it get?
# Move the slider in the page, or loop over it here. For every share the super-net, gated by the expert's masks, answers the same scene again.

# %%
shares = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2]
print("share of filters " + " ".join(f"{keep:6.0%}" for keep in shares))
for kind, classes in (("class", ("rail",)), ("average", ()), ("magnitude", ()), ("random", ())):
    paths = [PathChoice(kind, classes, keep) for keep in shares]
    experts = [answer(replace(state, paths=(path,), heat=None)).experts[0] for path in paths]
    print(f"IoU rail {kind:9}" + "".join(f" {expert.iou['rail'] or 0:5.2f} " for expert in experts))

# %% [markdown]
# **What you see.** With 80 % of the filters, magnitude and the average path are ahead of the expert for rail: it spent its filters on rail alone, and nothing was trained. From 60 % on only relevance for rail still finds rails; chance loses them first. So who wins depends on the size, and an
# audience that sees one size sees half of the truth.
#
# One scene is an anecdote. The page measures the same on as many test scenes as you like: *Measured*, or `measure test=40`. It takes some seconds, so it happens only when you ask; the page says how far it is, and *Stop* ends it. Latency and the bytes of a coded file are measured there too.

# %% tags=["nbval-check-output"]
costs = [answer(state.with_path(0, PathChoice(keep=keep))).experts[0] for keep in shares]
check.true("an expert of all filters answers as the super-net does", costs[0].agreement == 1)
macs = [expert.macs for expert in costs]
check.same("fewer filters cost fewer multiply-adds", macs, sorted(macs, reverse=True))
check.true("half of the filters cost less than half of the multiply-adds", macs[shares.index(0.5)] < 0.5)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## For the lecture
# Questions to the audience, each with the line that answers it. Let them bet first.
#
# | ask | type |
# |---|---|
# | Which half of the filters would you keep for the rails: those with the largest weights? | `rel rail keep=0.5 vs magnitude vs random` |
# | Does the expert for rails see an obstacle on them? | `rel rail keep=0.5 vs critical rail "anomaly on track"; classes rail "anomaly on track"` |
# | Which layer can be emptied without harm? | *Layers*, and a slider for one layer |
# | Whose expert hardly differs from the average path? | `rel sky keep=0.4 vs average`, then *Layers*: the column of similarity |
# | Does it hold in snow? | `scene synthetic 13 snow` |
# | What does this channel stand for? | *Channel*: the scenes in which it is most relevant |
# | What would it make of a photograph of yours? | upload one; it has no ground truth, so no IoU |
#
# ## For yourselves
# - Find a scene on which chance beats relevance, and one on which magnitude does. How long did it take? What does that say about anecdotes?
# - HHI says that relevance is not better for every class, least of all for rare ones. Find such a class, then check it on 100 test scenes.
# - Set one layer of one path to 10 % after the other. Which cannot bear it? Is it the one with the highest score?

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: alike by chance ★★
# The column *similarity* says 0.35 of two experts. Is that much? Return the mean overlap, filters in both over filters in any, of two paths through a layer of `filters` filters that keep `one` and `other` of them, drawn by chance. Hint: for each number of common filters there is, how likely is it? `math.comb(n, k)` counts the ways to choose k of n.


# %% tags=["exercise"]
def chance_overlap(filters, one, other):
    # solution
    mean = 0.0
    for both in range(max(0, one + other - filters), min(one, other) + 1):
        ways = math.comb(one, both) * math.comb(filters - one, other - both)
        mean += ways / math.comb(filters, other) * both / (one + other - both)
    return mean


# %% tags=["nbval-check-output"]
check.exercise(chance_overlap, {(4, 1, 1): 1 / 4, (4, 4, 2): 1 / 2, (4, 2, 2): 7 / 18}, fresh.chance_overlap)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: the most relevant filters of a whole net ★★
# Relevance per layer, a list of lists. Keep `count` filters, the most relevant over all layers; at a tie the earlier layer and the earlier filter. Return how many each layer keeps.


# %% tags=["exercise"]
def kept_per_layer(relevance, count):
    # solution
    ranked = sorted(
        (-value, layer, index) for layer, values in enumerate(relevance) for index, value in enumerate(values)
    )
    chosen = [layer for _, layer, _ in ranked[:count]]
    return [chosen.count(layer) for layer in range(len(relevance))]


# %% tags=["nbval-check-output"]
check.exercise(
    kept_per_layer,
    {(((3, 1), (2, 2, 5)), 3): [1, 2], (((3, 1), (2, 2, 5)), 1): [0, 1], (((1, 1), (1,)), 2): [2, 0]},
    fresh.kept_per_layer,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: a fair bet ★★★
# In the hall you show one scene. Of `scenes` test scenes, relevance beats magnitude on `wins`, and you draw the scene by chance. Return the probability that relevance is ahead in at least one of `shown` different scenes. How many do you have to show until you can "prove" anything?


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
# Relevance or magnitude? The cell asks six scenes, at one size. Choose a scene and a size that make relevance look as good as you can, then as bad. Then plan ten minutes for an audience that you want to convince of what is *true*: which scenes, which sizes, how many of them, who chooses, and what do you say before you show the first one?

# %%
asked = parse("rel rail keep=0.6 vs magnitude; heat off", State())
for number in range(6):
    one, other = answer(parse(f"scene synthetic {number} day", asked)).experts
    print(
        f"scene {number}: IoU of rail by relevance {one.iou['rail'] or 0:.2f}, by magnitude {other.iou['rail'] or 0:.2f}"
    )

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. The expert for *rail* at 100 % agrees with the super-net on every pixel. Why must it?
# 2. An expert with half of the filters has less than half of the multiply-adds. Why?
# 3. The score of a layer is high and its IoU falls all the same. How can that be?
#
# <details><summary>Answers</summary>1. It keeps every filter, so nothing is masked: it is the super-net. 2. A convolution costs inputs times outputs. If half of both are gone, a quarter is left; layers that keep more make up for some of it. 3. The score is about the answer of
# the intact net. Where other filters are gone, those that stay see inputs that they never saw; and relevance for one scene's class says nothing about a class that nobody asked for.</details>
#
# ## References
# *Mixture of relevant experts*, Fraunhofer HHI in the BerDiBa project (its demonstrator) · Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, 2015 · Achtibat et al., *From attribution maps to human-understandable explanations through Concept Relevance Propagation*, 2023
