# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Take stock of what reproduced
# Three works promised what relevance does for a network, and the lessons before this one put each promise to a test. This one collects the answers: what was published, what was measured, which verdict follows, and how far the evidence reaches.
#
# | you do | you learn | you need |
# |---|---|---|
# | derive a verdict from margins, read the ledger of all claims, hold claims against their controls, draw the whole pipeline in one figure | why a verdict is computed and not written, why three seeds that agree are little, what a stand-in can show | the other lessons, or curiosity about them, twenty minutes |
#
# Nothing is trained here. The lesson takes 15 s in both profiles, without data and without a network. Its figures come from the records of full runs in `data/reference/full`, and from the run that this lesson belongs to, if there is one. Every number below is printed by code: when a record changes, so does the page.

# %% slideshow={"slide_type": "skip"}
import math
import random

from IPython.display import Markdown, display
from scipy import stats

from relcomp_kit import figures
from relcomp_kit.course import check, notebooks
from relcomp_kit.course.cases import verdicts as fresh
from relcomp_kit.evidence import claims, report, verdicts
from relcomp_kit.evidence.features import features_count, features_table
from relcomp_kit.studies import ledger, whole_picture
from relcomp_kit.sweeps import experiments

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0

# %% slideshow={"slide_type": "skip"}
live, recorded = ledger.live_records(), claims.recorded()
rows = claims.table(live, profile)
print(f"profile: {profile}")
controls = sum(row["control"] for row in rows)
print(f"{len(rows) - controls} published claims and {controls} controls of ours")
print(f"{len(live)} records of this run, {len(recorded)} of full runs")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The answers first
# One or two rows for each promise, with the control that asks whether the reason given is the right one. In this table, ids that end in *c* are such controls: the works did not ask for them.

# %%
display(Markdown(ledger.headline_table(rows)))

# %% [markdown]
# Five things to take home from it:
# 1. A figure that reproduces is not a reason that reproduces. Ask for the arm that got the same training and nothing else. It costs one more run.
# 2. Mean and spread belong together. With three seeds, a lead of a few tenths of a point is no lead, and *undecided* is an honest answer.
# 3. Which weights go matters most where there is no training afterwards. The longer one trains, the less the choice counts. Plain magnitude is a rival to be beaten, not a straw man.
# 4. "Nine in ten weights removed" is no size. Say which bytes you count, and of which file.
# 5. What cannot be tested is worth listing, with what is missing: that list is a plan for those who have the data.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## From a margin to a verdict
# A claim says that something is larger, smaller or equal. Its rule turns that into *conditions*, and every condition into a *margin*: a number that is 0 or more where the condition holds, and negative where it does not. Each net that was trained from another seed gives one margin. Two arms are compared net by net, so a margin is the difference of a pair.
#
# Take claim T4: with under 30 % of its weights, the net is as accurate as before it was pruned. Three nets, three margins:

# %%
before = [0.874, 0.878, 0.881]  # accuracies at the start, made up for this example
after = [0.879, 0.880, 0.8826]  # and with under 30 % of the weights
margins = [round(pruned - start, 4) for pruned, start in zip(after, before)]
margins

# %% [markdown]
# All three are better. Is that enough? If pruning did nothing, each net would be better or worse by a toss of a coin, and all three would be better one time in eight. So what counts is not that the seeds agree, but where their mean may lie: the 95 % *interval* by Student's t.


# %%
def interval(margins):
    """The ends of the 95 % interval of the mean: mean plus and minus t times the standard error."""
    mean = sum(margins) / len(margins)
    error = math.sqrt(
        sum((margin - mean) ** 2 for margin in margins) / (len(margins) - 1) / len(margins)
    )
    reach = stats.t.ppf(0.975, len(margins) - 1) * error
    return mean - reach, mean + reach


low, high = interval(margins)
print(
    f"mean {100 * sum(margins) / 3:+.2f} points, "
    f"interval {100 * low:+.2f} to {100 * high:+.2f} points"
)

# %% [markdown]
# The interval holds 0: these nets cannot tell. More seeds could. In the ledger eight seeds did: T4 was undecided with three, and is reproduced with eight.
#
# A claim that one arm *beats* another also needs a smallest lead that matters, or a lead of a hundredth of a point would win as soon as there are seeds enough. The ledger fixed these leads before it looked: half a point of accuracy, because ECQ^x calls half a point less "without loss"; two points of IoU, which an expert may lose. A published bound, such as *over 75 %*, needs no such lead: to be above it is enough.


# %%
def state(margins, matters=0.0):
    """A condition is met, has failed, or is undecided."""
    low, high = interval(margins)
    if low >= 0 and sum(margins) / len(margins) >= matters:
        return "met"
    return "failed" if high < matters else "undecided"


print(state(margins), state([0.02, 0.021, 0.022], 0.005), state([0.001, 0.0011, 0.001], 0.005))

# %% [markdown]
# Two more things count. *Where* was it measured? A claim about RailSem19 that is met on drawn scenes holds on a *stand-in*: it may be true, but it was not reproduced. And on what *scale*? A net that was trained for a tenth of the published time may fail for that reason alone. So other data or a smaller budget refute nothing.


# %%
def verdict(conditions, published):
    """Conditions: margins and lead that matters; published: on the published data and scale."""
    states = {state(*condition) for condition in conditions.values()}
    if any(len(margins) < 3 for margins, _ in conditions.values()):
        return "too few seeds"
    if states == {"met"}:
        return "reproduced" if published else "holds on a stand-in"
    if {"met", "failed"} <= states:
        return "partly"
    if states == {"failed"}:
        return "not reproduced" if published else "not testable here"
    return "undecided"


print(verdict({"no loss": (margins, 0.0)}, published=True))

# %% [markdown]
# *Partly* says that one part of a claim holds and another does not; *undecided*, that the seeds do not tell. The kit's own version knows three more cases. A bound on what may be lost is only a side condition: that it holds is no merit of its own. A claim about *some* class of many asks each of them at a stricter level. And where nothing can stand in for the published data, other data decide nothing. In all other cases it agrees with yours:

# %% tags=["nbval-check-output"]
generator = random.Random(seed)
agree, seen = [], set()
for _ in range(500):
    drawn = {}
    for name in ("one", "other"):
        centre, matters = generator.choice((-0.1, 0.0, 0.1)), generator.choice((0.0, 0.05))
        drawn[name] = (
            [centre + generator.gauss(0, 0.02) for _ in range(generator.choice((2, 3, 5)))],
            matters,
        )
    published = generator.random() < 0.5
    ruling = verdicts.Ruling({name: verdicts.Condition(*pair) for name, pair in drawn.items()}, "")
    kit = verdicts.decide({"id": "T4", "needs": "mnist"}, ruling, "mnist", published, range(5))
    agree.append(kit == verdict(drawn, published))
    seen.add(kit)
check.true("the kit decides 500 random cases as you do", all(agree))
check.true(
    "and every verdict about measured claims was among them",
    seen == set(verdicts.VERDICTS) - {"open"},
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## All verdicts
# Each claim of the ledger has one verdict from the recorded full runs. Published claims and controls are drawn apart: a control that fails is an answer, not a debt of the authors. If this lesson belongs to a run, as in `relcomp run`, a second bar shows what that run found, on its smaller budget. *Open* means that nobody has measured it here yet.

# %%
counts = ledger.counts(rows)
figures.verdict_counts(counts)

# %% [markdown]
# **What you see.** Each work has one bar. Blue is met. Light blue is met too, but on other data or a smaller net. Orange is met in one part and missed in another, yellow is undecided. Red is refuted, on the published data and scale. Dark grey is not a failure: here it could not be tested. Pale grey is open.
# Only claims whose data everybody can get, or that need none, can become blue or red. That is a merit of a work, too: the thesis took MNIST, so everybody can check its claims. A rail claim can at best be light blue as long as its data are not at hand, however good the method is.


# %% slideshow={"slide_type": "skip"}
def folded(title, content):
    """Show a long text behind its title."""
    display(Markdown(f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"))


folded("Which claim has which verdict", ledger.verdict_table(rows))

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
check.same(
    "every claim of the ledger is in the table",
    [row["id"] for row in rows],
    [c["id"] for c in claims.ledger()],
)
stand_ins = [
    entry
    for record in [*live, *recorded.values()]
    for entry in record["claims"]
    if claims.find(entry["id"])["needs"] not in ("", entry["dataset"])
]
check.true(
    "nothing is reproduced on a stand-in",
    all(entry["verdict"] != "reproduced" for entry in stand_ins),
)
again = [
    (ledger.recomputed(entry), entry["verdict"])
    for record in recorded.values()
    for entry in record["claims"]
]
check.true(
    "every recorded verdict follows from its recorded series",
    all(one == other for one, other in again),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the controls say
# A control asks a second question about the same measurement: is it pruning that raised the accuracy, or the training that went on meanwhile? Does relevance choose well, or would a random choice do? The works asked few of these.

# %%
display(Markdown(ledger.control_table(rows)))
print(ledger.control_count(rows))

# %% [markdown]
# **What you see.** Below each claim, in italics, its controls. A claim and its control can differ, and then both sentences are true: what was published did happen, though not for the reason given. The last line counts how many of the claims that hold also pass each of their controls.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The whole pipeline in one figure
# Prune, quantize, cut out an expert, code: how small does a net get, and what is left of its score? Each row is a net, each panel a step. Colours say by what was chosen, as in all lessons: red by relevance or saliency, blue by magnitude (light blue: with the same share of every layer), black by neither. Files are purple. What the other steps make of the same net is grey. Sizes are shares of the bytes as float32. What counts as bytes differs, so it stands with each family in the list below: an estimate by entropy is not yet a file, and a file has everything in it.
# Curves, except those of files, begin at 100 % with a net that was only trained, *for as long as the others*. Of the quantized nets, a curve shows only those that no net of about the same size, or a smaller one, beats on the validation split; the score drawn is that of the test split. mIoU is over all classes, also for an expert, whose task is one of them.

# %%
panels = whole_picture.panels()
figures.whole_picture(panels)

# %% [markdown]
# **What you see.** Removing single weights saves the fewest bytes: what stays is still 32 bits wide, and where it stood has to be stored too. Quantization with an entropy term saves both, because zero becomes the shortest word of the code. A file can be smaller than the estimate, which leaves biases and batch-norm in 32 bits, or larger, for its header and its tables.
# Curves of one row, the grey ones too, compare ways to make *one* net small. But mind the training. The pruned nets of the thesis were trained far longer than its quantized ones, and the pruned ones of DeepLabV3 not at all. Within one family the comparison is fair. A curve that leaves the picture at its lower edge goes on in the list: folded below lies every point, with the command that measures it again. After it, each family has one line, its smallest net within a point of its own best. Mind that the bests differ.

# %% slideshow={"slide_type": "skip"}
for panel in panels:
    folded(
        f"All points of {panel.title}", "```\n" + "\n".join(whole_picture.lines(panel)) + "\n```"
    )

# %%
for panel in panels:
    print(f"{panel.title}: the smallest within a point of the best of its family")
    print("\n".join(ledger.smallest_lines(panel)), end="\n\n")

# %% [markdown]
# **What you see.** Within a point of its own best, no net that was only pruned gets below a fifth of its size. Quantized nets and files of whole nets all get below a tenth.

# %% tags=["nbval-check-output"]
families = [family for panel in panels for family in panel.families]
check.true(
    "every family has points, bytes that are explained, and a command",
    all(f.points and f.counted for f in families),
)
check.true(
    "no size is 0 or above 100 %", all(0 < p.size <= 1.001 for f in families for p in f.points)
)
check.true(
    "every command runs a lesson", all(f.command.startswith("relcomp run 0") for f in families)
)
quantized = [f for f in families if f.name.startswith("ECQ")]
check.true(
    "quantized nets get below a twentieth of float32",
    all(min(p.size for p in f.points) < 0.05 for f in quantized),
)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## The thesis, claim by claim
# In each row: what was published, what the full run measured, the verdict, and in one sentence why. Follow the link to the lesson for how it was measured. Where *not measured* was published, the row is a control that the kit added.

# %% slideshow={"slide_type": "skip"}
by_work = {letter: [row for row in rows if row["id"][0] == letter] for letter in claims.works()}


def show(letter):
    """Show the claims of a work, and below it what is missing to test them as published."""
    some = by_work[letter]
    parts = [report.claims_table(some, lambda lesson: f"{lesson}.ipynb"), *report.untested(some)]
    display(Markdown("\n\n".join(parts)))


show("T")

# %% [markdown] slideshow={"slide_type": "skip"}
# **What you see.** What was argued or worked out reproduces: the limit of the example, the threshold rule, the input range. Of the controls two are met: what inputs on [0, 1] do to maps and biases (T12c), and slow against fast pruning by the thesis' text (T11d). One more is met in part (T7c); the others fail or are undecided. And no formula predicts how many weights are left.

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Rail segmentation, claim by claim
# Compression of DeepLabV3 for rail scenes was published on data that this kit may not bring along. Where drawn rail scenes, CamVid or a smaller net takes their place, the row says so. Below the table you find what is missing, and the command that tests the claim as soon as it is there. B5 and B6 look for different experts: B5 for the one that saves the most computation, B6 for the smallest file.

# %% slideshow={"slide_type": "skip"}
show("B")

# %% [markdown] slideshow={"slide_type": "skip"}
# **What you see.** Only the size of the super-net is reproduced, because it needs no data. Relevance against magnitude, the small file and the coder hold on stand-ins. What an expert saves in computation is undecided.

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Quantization, claim by claim
# ECQ^x was published on Speech Commands, CIFAR-10 and Pascal VOC. Each claim has a row for each of these sets, and one for each stand-in: MNIST and drawn rail scenes. The rule of a row names its net.

# %% slideshow={"slide_type": "skip"}
show("X")

# %% [markdown] slideshow={"slide_type": "skip"}
# **What you see.** On Speech Commands MLP_GSC was trained for one epoch a point, in the place of twenty, on log-mel pictures, which stand in for the paper's. There ECQ^x is behind ECQ, and behind random numbers (X2-gsc, X2c-gsc); at 4 bit it loses nothing against a float net trained as long, at 2 bit it does (X1c-gsc). On CIFAR-10 only rows without any training are not open, of four nets that stand in for the paper's. There ECQ^x beats ECQ, magnitude and random numbers (X2d), but not scores by the loss (X2e), and at equal bytes it is far behind GPTQ and RDOQ (X2f). Its most relevant weights end in clusters of high information (X4), but so do large weights (X4c), and without relevance, too (X4d). After training, on MNIST and on rail scenes, ECQ^x beats ECQ in no row, and no net gets 103 times smaller. On MNIST it loses no accuracy against steps that are learned (X2g).

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
asked = [
    row
    for row in rows
    if claims.standing(row) in ("not testable here", "holds on a stand-in", "open")
]
check.true(
    "what was not decided where it was published names a command",
    all(row["command"] for row in asked),
)
on_others = [row for row in asked if row["published_dataset"] and row["recorded"]]
check.true(
    "and says what is missing, unless only the budget was too small",
    all(
        row["missing"] or row["recorded"]["dataset"] == row["published_dataset"]
        for row in on_others
    ),
)
check.true("every verdict has its reason", all(claims.reason(row) for row in rows))
lessons = {source.stem: f"{source.stem}.ipynb" for source in notebooks.find_lessons()}
check.true(
    "every recorded claim has its lesson",
    all(row["lesson"] in lessons for row in rows if row["recorded"]),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the kit has of the three works
# A ledger of claims says nothing about what was left out. So here is every figure, table, formula, method and option of the three works. *Shown*: a lesson shows it. *Stand-in*: a lesson shows it on other data or another net. *Implemented*: the kit can do it, and no lesson shows a result. *Missing*: the kit does not have it.

# %%
print("\n".join(features_count()))

# %% [markdown]
# **What you see.** Most of the thesis is shown. Most of the rail work is shown on stand-ins, because its data are not at hand. Of the thesis, the kit lacks one thing. Folded below is the list.

# %% slideshow={"slide_type": "skip"}
links = {name[:2]: page for name, page in lessons.items()}
for letter, work in claims.works().items():
    folded(work, features_table(letter, links))

# %% [markdown] slideshow={"slide_type": "skip"}
# **What you see.** What is shown, there or on a stand-in, has its lesson. A row without a lesson is one that you could add.

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Does this run agree with the recorded one?
# A run on a laptop has smaller budgets. It may confirm less; it should not contradict. Where both decided a claim and differ, a line says how. Without a run there is nothing to compare.

# %% slideshow={"slide_type": "skip"}
print("\n".join(ledger.differing(rows)) or "this lesson belongs to no run: relcomp run starts one")

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
check.true(
    "sweeps know an experiment for every step of the pipeline",
    {"prune", "quantize", "expert"} <= set(experiments.EXPERIMENTS),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: how many seeds? ★
# Suppose that a claim held as soon as every seed met every one of its conditions, with no interval. If the method does nothing, a condition is met by luck, with the probability `chance`, each apart from the others and anew with each seed. Return the least number of seeds at which the claim holds by luck with a probability below `level`. Would three do for one condition at a chance of one half?


# %% tags=["exercise"]
def seeds_needed(conditions, chance, level):
    # solution
    seeds = 1
    while chance ** (conditions * seeds) >= level:
        seeds += 1
    return seeds


# %% tags=["nbval-check-output"]
check.exercise(
    seeds_needed, {(1, 0.5, 0.05): 5, (2, 0.5, 0.05): 3, (1, 0.9, 0.01): 44}, fresh.seeds_needed
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: pair by seed ★★
# A claim says that pruning loses at most `lost` of accuracy. `before` and `pruned` map seeds to accuracies, but some runs were killed, so not every seed is in both, and they come in any order. Compare each net with itself, by the simple rule of exercise 1. Return "met" if the claim holds for every seed that is in both, "failed" if for none, "crossed" otherwise, and "open" if fewer than three seeds are in both. A loss of just `lost` is no more than `lost`.


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
arms = {
    "met": {2: 0.5, 1: 0.75, 0: 0.5},
    "crossed": {0: 0.5, 1: 0.5, 2: 0.625},
    "open": {0: 0.5, 1: 0.75, 3: 0.6},
}
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
# Pick a claim that is *open*, *not testable here*, or that only holds on a stand-in. Write down which data and which net would decide it, which margin you would compute from them, and which control you would add. Could a result on the stand-in change your mind about the published one, and which?

# %%
for row in rows:
    if claims.standing(row) in ("not testable here", "open") and not row["control"]:
        print(f"{row['id']:<12}{row['statement']}\n            test: {row['command']}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. All three nets of an arm are better than their partners. Why is that not enough?
# 2. Why can a quick run confirm a claim, but not refute it?
# 3. Two curves of the figure meet at 5 % of the bytes. One counts the entropy of the indices, the other a file. Which is ahead?
#
# <details><summary>Answers</summary>1. Three tosses of a coin agree on heads one time in eight. The interval asks how large the lead is beside its spread, and with three seeds it has to be large. 2. What works with less training, fewer images and a smaller net was not helped by them; what fails may fail for lack of them.
# 3. The file: it holds header, biases and tables, and is what one would send. The estimate still has to be coded.</details>
#
# ## References
# Béla H. Böhnke, *Hardware-Beschleunigung von Edge-AI* · Fraunhofer HHI, compression in the BerDiBa project · Becking et al., *ECQ^x: Explainability-Driven Quantization for Low-Bit and Sparse DNNs*, 2022 · Blalock et al., *What is the State of Neural Network Pruning?*, 2020 · Pineau et al., *Improving Reproducibility in Machine Learning Research*, 2021

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# ← [08 Show relevant experts to an audience](08_demonstrator.ipynb) · [Glossary](glossary.md) · [10 Compress a net of your own](10_compress_a_net_of_your_own.ipynb) →
