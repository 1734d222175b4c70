# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Take stock of what reproduced
# Three works promised what relevance does for a network, and the lessons before this one put each promise to a test. This one collects the answers: what was published, what was measured, which verdict follows, and how far the evidence reaches.
# Nothing is trained here. The figures come from two places: the records of the run that this lesson belongs to, if there is one, and those of the full runs, which lie with the kit in `data/reference/full`.
#
# | you do | you learn | you need |
# |---|---|---|
# | derive a verdict from margins, read the ledger of all claims, hold claims against their controls, draw the whole pipeline in one figure | why a verdict is computed and not written, what a stand-in can show, what pruning, quantization, experts and coding add up to | the other lessons, or curiosity about them, twenty minutes |
#
# The lesson takes ten seconds in both profiles, without data and without a network. Every number below is printed by code: when a record changes, so does the page.

# %% slideshow={"slide_type": "skip"}
import random

from IPython.display import Markdown, display

from relcomp_kit import figures
from relcomp_kit.course import check, notebooks
from relcomp_kit.course.cases import verdicts as fresh
from relcomp_kit.evidence import claims, report
from relcomp_kit.studies import ledger, whole_picture
from relcomp_kit.sweeps import experiments

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0

# %% slideshow={"slide_type": "skip"}
live, recorded = ledger.live_records(), claims.recorded()
rows = claims.table(live, profile)
print(f"profile: {profile}")
print(f"{len(rows)} claims and controls, {len(live)} records of this run, {len(recorded)} of full runs")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## From a margin to a verdict
# A claim says that something is larger, smaller or equal. Its rule turns that into *conditions*, and every condition into a *margin*: a number that is 0 or more where the condition holds, and negative where it does not. Each net that was trained from another seed gives one margin.
# One seed proves little, because a margin of one seed may be luck. So a condition is met only if it is met by *each* of three seeds or more. If none meets it, it fails. What lies between is no verdict, and the ledger says *partly*.
#
# Take claim T4: with under 30 % of its weights, the net is as accurate as before it was pruned. Three nets, three margins:

# %%
before = [0.874, 0.878, 0.881]  # accuracies at the start, made up for this example
after = [0.879, 0.880, 0.8786]  # and with under 30 % of the weights
margins = [round(pruned - start, 4) for pruned, start in zip(after, before)]
margins

# %% [markdown]
# On average the pruned nets are better. Yet the third is worse than it was, so the verdict is *partly*: a claim whose spread crosses its bound is not settled by its mean.
#
# Two more things count. *Where* was it measured? A claim about RailSem19 that is met on drawn scenes holds on a *stand-in*: it may be true, but it was not reproduced. And on what *scale*? A net that was trained for a tenth of the published time may fail for that reason alone, so a failure at small scale refutes nothing.
# Written out, all of it is ten lines:


# %%
def verdict(margins, published_data, full_scale):
    """Margins: condition -> a number a seed, for three seeds or more."""
    if all(min(values) >= 0 for values in margins.values()):
        return "reproduced" if published_data and full_scale else "holds on a stand-in"
    if any(max(values) >= 0 for values in margins.values()):
        return "partly"
    return "not reproduced" if full_scale else "not testable here"


print(verdict({"no loss": margins}, published_data=True, full_scale=True))

# %% tags=["nbval-check-output"]
generator = random.Random(seed)
agree = []
for _ in range(500):
    drawn = {name: [generator.choice((-0.1, 0.0, 0.2)) for _ in range(3)] for name in ("one", "other")}
    same, full = generator.random() < 0.5, generator.random() < 0.5
    kit = claims.decide(
        {"id": "T4", "needs": "mnist"}, claims.Ruling(drawn, ""), "mnist" if same else "camvid", full, (0, 1, 2)
    )
    agree.append(kit == verdict(drawn, same, full))
check.true("the kit decides 500 random cases as your ten lines do", all(agree))
check.true("a spread that crosses the bound is never settled", verdict({"one": [1, 1, -1e-9]}, True, True) == "partly")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## All verdicts
# Each claim of the ledger has one verdict from the recorded full runs. If this lesson belongs to a run, as in `relcomp run`, a second bar shows what that run found, on its smaller budget. *Open* means that nobody has measured it there yet.

# %%
counts = ledger.counts(rows)
figures.verdict_counts(counts)

# %%
print("\n".join(ledger.verdict_lines(rows)))

# %% [markdown]
# **What you see.** One bar a work, controls included. Blue is met by every net, light blue the same but on other data or a smaller net, orange undecided, red refuted on the published data and scale. Grey is not a failure: here it could not be tested.
# Only claims whose data everybody can get, or that need none, can become blue or red. That is a merit of a work too: the thesis took MNIST, so each of its sentences can be checked to the last digit. A rail claim can at best be light blue as long as its data are not at hand, however good the method is.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
check.same("every claim of the ledger is in the table", [row["id"] for row in rows], [c["id"] for c in claims.ledger()])
stand_ins = [
    entry
    for record in [*live, *recorded.values()]
    for entry in record["claims"]
    if claims.find(entry["id"])["needs"] not in ("", entry["dataset"])
]
check.true("nothing is reproduced on a stand-in", all(entry["verdict"] != "reproduced" for entry in stand_ins))
again = [(ledger.recomputed(entry), entry["verdict"]) for record in recorded.values() for entry in record["claims"]]
check.true("every recorded verdict follows from its recorded margins", all(one == other for one, other in again))

# %% [markdown] slideshow={"slide_type": "skip"}
# ## The thesis, claim by claim
# In each row: what was published, what the full run measured, the *margin* of the condition that was met by least (or missed by most) over the seeds, and the verdict. Its lesson is linked: there stands how it was measured. Where *not measured* was published, the row is a control that the kit added.

# %% slideshow={"slide_type": "skip"}
by_work = {letter: [row for row in rows if row["id"][0] == letter] for letter in claims.works()}


def show(letter):
    """Show the claims of a work, and below it what is missing to test them where they were published."""
    some = by_work[letter]
    parts = [report.claims_table(some, lambda lesson: f"{lesson}.ipynb"), *report.untested(some)]
    display(Markdown("\n\n".join(parts)))


show("T")

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Rail segmentation, claim by claim
# Compression of DeepLabV3 for rail scenes was published on data that this kit may not bring along. Where its generator of rail scenes, CamVid or a smaller net takes the place, the row says so; below the table stands what is missing, and the command that tests the claim as soon as it is there.

# %% slideshow={"slide_type": "skip"}
show("B")

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Quantization, claim by claim

# %% slideshow={"slide_type": "skip"}
show("X")

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
asked = [row for row in rows if claims.standing(row) in ("not testable here", "holds on a stand-in", "open")]
check.true("what was not decided where it was published names a command", all(row["command"] for row in asked))
on_others = [row for row in asked if row["published_dataset"] and row["recorded"]]
check.true(
    "and says what is missing, unless only the budget was too small",
    all(row["missing"] or row["recorded"]["dataset"] == row["published_dataset"] for row in on_others),
)
lessons = {source.stem for source in notebooks.find_lessons()}
check.true("every recorded claim has its lesson", all(row["lesson"] in lessons for row in rows if row["recorded"]))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the controls say
# A control asks a second question about the same measurement: is it pruning that raised the accuracy, or the training that went on meanwhile? Does relevance choose well, or would chance do? The works asked few of these.

# %%
for line in ledger.control_lines(rows):
    print(line)

# %% [markdown]
# **What you see.** Each claim is followed by its controls. A claim and its control can differ, and then both sentences are true: the accuracy did rise, and it was not for the reason given. Read the last line as the price of leaving a control out.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The whole pipeline in one figure
# Prune, quantize, cut out an expert, code: how small does a net get, and what is left of its score? Sizes are shares of the bytes as float32. What counts as bytes differs, so it stands with each family in the list below: an estimate by entropy is not yet a file, and a file has everything in it.
# Curves, except those of files, begin at 100 % with a net that nothing was done to *but as much training*. On a curve of quantized nets lie only those that no rival of their size beats on the validation split; the score is that of the test split. mIoU is over all classes, also for an expert, whose task is one of them.

# %%
panels = whole_picture.panels()
figures.whole_picture(panels)

# %% [markdown]
# **What you see.** Removing single weights is the dearest way to save bytes: what stays is still 32 bits wide, and somebody has to say where it stood. Quantization with an entropy term does both at once, since zero is the cheapest word. A file can be smaller than the estimate, which leaves biases and batch-norm in 32 bits, or larger, for its header and its tables.
# Curves of one panel compare ways to make *one* net small, but mind the training: the pruned nets of the thesis were trained far longer than its quantized ones, and the pruned ones of DeepLabV3 not at all. Within one family the comparison is fair. Here is every point, and the command that measures it again:

# %% slideshow={"slide_type": "skip"}
for panel in panels:
    print("\n".join(whole_picture.lines(panel)), end="\n\n")

# %%
for panel in panels:
    print(f"{panel.title}: the smallest within a point of the best of its family")
    print("\n".join(ledger.smallest_lines(panel)), end="\n\n")

# %% tags=["nbval-check-output"]
families = [family for panel in panels for family in panel.families]
check.true(
    "every family has points, bytes that are explained, and a command", all(f.points and f.counted for f in families)
)
check.true("no size is 0 or above 100 %", all(0 < p.size <= 1.001 for f in families for p in f.points))
check.true("every command runs a lesson", all(f.command.startswith("relcomp run 0") for f in families))
quantized = [f for f in families if f.name.startswith("ECQ")]
check.true(
    "quantized nets get below a twentieth of float32", all(min(p.size for p in f.points) < 0.05 for f in quantized)
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Does this run agree with the recorded one?
# A run on a laptop has smaller budgets. It may confirm less; it should not contradict. Where both decided a claim and differ, the line says how.

# %%
both = [row for row in rows if row["measured"] and row["recorded"]]
print(f"{len(both)} claims were decided in this run and in a recorded one")
print("\n".join(ledger.differing(rows)) or "no verdict differs")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What to take home
# 1. A figure that reproduces is not a reason that reproduces. Ask for the arm that got the same training and nothing else; it costs one more run.
# 2. Mean and spread belong together. With three seeds a lead of a tenth of a point is no lead, and *partly* is an honest answer.
# 3. Which weights go matters most where there is no training afterwards. The longer one trains, the less the choice counts, and plain magnitude is a rival to be beaten, not a straw man.
# 4. "Nine in ten weights removed" is no size. Say which bytes you count, and of which file.
# 5. What cannot be tested is worth listing, with what is missing: that list is the plan for whoever has the data.

# %% tags=["nbval-check-output"]
check.true(
    "sweeps know an experiment for every step of the pipeline",
    {"prune", "quantize", "expert"} <= set(experiments.EXPERIMENTS),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: how many seeds? ★
# A rule has several conditions, and a claim holds if all of them are met by every seed. Suppose that the method does nothing: then a condition is met by luck, with the probability `chance`, each apart from the others and anew with each seed. Return the least number of seeds at which the claim holds by luck with a probability below `level`. Is three, which the ledger asks for, enough for one condition at a chance of one half?


# %% tags=["exercise"]
def seeds_needed(conditions, chance, level):
    # solution
    seeds = 1
    while chance ** (conditions * seeds) >= level:
        seeds += 1
    return seeds


# %% tags=["nbval-check-output"]
check.exercise(seeds_needed, {(1, 0.5, 0.05): 5, (2, 0.5, 0.05): 3, (1, 0.9, 0.01): 44}, fresh.seeds_needed)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: pair by seed ★★
# A claim says that pruning loses at most `lost` of accuracy. `before` and `pruned` map seeds to accuracies, but some runs were killed, so not every seed is in both, and they come in any order. Compare each net with itself. Return "met" if the claim holds for every seed that is in both, "failed" if for none, "crossed" otherwise, and "open" if fewer than three seeds are in both. A loss of just `lost` is no more than `lost`.


# %% tags=["exercise"]
def paired(before, pruned, lost):
    # solution
    margins = [pruned[seed] - before[seed] + lost for seed in before if seed in pruned]
    met = [margin >= 0 for margin in margins]
    if len(met) < 3:
        return "open"
    return "met" if all(met) else "crossed" if any(met) else "failed"


# %% tags=["nbval-check-output"]
before = {0: 0.5, 1: 0.75, 2: 0.625}
arms = {"met": {2: 0.5, 1: 0.75, 0: 0.5}, "crossed": {0: 0.5, 1: 0.5, 2: 0.625}, "open": {0: 0.5, 1: 0.75, 3: 0.6}}
shown = [((before, arm, 0.125), word) for word, arm in arms.items()]
check.exercise(paired, shown, fresh.paired)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: what a control leaves ★★
# The nets of some seeds, three accuracies each: at the start, after training alone, after pruning with as much training. The publication reports the mean rise from `start` to `pruned`, and credits pruning with it. Return the share of it that training alone brings: the mean rise by training over the mean rise by pruning. Why not the mean of the shares of each seed? Try a seed whose rise is almost 0.


# %% tags=["exercise"]
def explained(start, trained, pruned):
    # solution
    by_training = sum(after - before for before, after in zip(start, trained))
    by_pruning = sum(after - before for before, after in zip(start, pruned))
    return by_training / by_pruning


# %% tags=["nbval-check-output"]
shown = {((0.5,), (0.75,), (1.0,)): 0.5, ((0.5, 0.5), (0.5, 0.75), (0.75, 0.625)): 2 / 3}
check.exercise(explained, shown, fresh.explained)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: the front ★★
# Points are pairs of size and score. Return those that no other point beats, that is, for which nothing else is as small or smaller and better; sorted by size.


# %% tags=["exercise"]
def front(points):
    # solution
    good = [p for p in points if not any(other[0] <= p[0] and other[1] > p[1] for other in points)]
    return sorted(good)


# %% tags=["nbval-check-output"]
crowd = [(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.8), (4, 0.7)]
shown = [((crowd,), [(1, 0.5), (2, 0.8), (3, 0.9)]), (([(2, 0.1), (1, 0.2)],), [(1, 0.2)])]
check.exercise(front, shown, fresh.front)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 5: open
# Pick a claim that is *not testable here*, or that only holds on a stand-in. Write down which data and which net would decide it, which margin you would compute from them, and which control you would add. Could a result on the stand-in change your mind about the published one, and which?

# %%
for row in rows:
    if claims.standing(row) in ("not testable here", "open"):
        print(f"{row['id']:<5}{row['statement']}\n     test: {row['command']}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. A claim is met by two nets of three, and by the mean. Why not round it up?
# 2. Why can a quick run confirm a claim, but not refute it?
# 3. Two curves of the figure meet at 5 % of the bytes. One counts the entropy of the indices, the other a file. Which is ahead?
#
# <details><summary>Answers</summary>1. Because the third net is as good a witness as the other two; with more seeds it may become clear, with three it is not. 2. What works with less training, fewer images and a smaller net was not helped by them; what fails may fail for lack of them.
# 3. The file: it holds header, biases and tables, and is what one would send. The estimate still has to be coded.</details>
#
# ## References
# Böhnke, *Hardware-Beschleunigung von Edge-AI* · Fraunhofer HHI, compression in the BerDiBa project · Becking et al., *ECQ^x: Explainability-Driven Quantization for Low-Bit and Sparse DNNs*, 2022 · Blalock et al., *What is the State of Neural Network Pruning?*, 2020 · Pineau et al., *Improving Reproducibility in Machine Learning Research*, 2021
