# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Encode with NNC
# A quantized net is a long row of small whole numbers, most of them 0. How few bytes can hold it, so that it comes back to the bit? Lesson 05 estimated that by the entropy. Now you write the file. You build a Huffman code and an arithmetic coder, see why a coder that looks at its neighbours beats the entropy itself,
# store batch-norm in half of its numbers, and put the whole pipeline together: expert, ECQ^x, and *NNC*, the standard ISO/IEC 15938-17 with its arithmetic coder *DeepCABAC*.
#
# | you do | you learn | you need |
# |---|---|---|
# | code a message by hand in three ways, weigh a net's file part by part, break a file on purpose | entropy, Huffman, arithmetic coding, contexts, folding, what a safe file needs | lesson 05, thirty minutes |
#
# `quick` takes about two minutes on two cores, `full` an hour. It decides B6 (on RailSem19: B7), B12 and B13 of the ledger, and two controls. The sets "berdiba" and "railsem19" have a `full` plan only.

# %% slideshow={"slide_type": "skip"}
import heapq
import math
from fractions import Fraction

import numpy as np
import torch

from relcomp_kit import datasets, figures
from relcomp_kit.compression import nnc
from relcomp_kit.compression.nnc import batch_norm_folding, cabac, deepcabac, rival_codecs
from relcomp_kit.course import check
from relcomp_kit.course.cases import coding as fresh
from relcomp_kit.evidence.record import Record, claims_text, reference
from relcomp_kit.studies.coding import measurement as study
from relcomp_kit.studies.coding import results as results_of
from relcomp_kit.studies.coding.experiment import decoded_net, quantized_of
from relcomp_kit.studies.experts.measurement import scene_with
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.quantization.experiment import trained
from relcomp_kit.studies.segmentation.measurement import predict

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "rail-scenes"  # or "berdiba", "railsem19"

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).coding
plans = study.plans_of(budget, dataset)
wanted = get_profile(profile).experts.wanted[dataset]
_, digits = trained("tanh", "mnist", seed)
scenes = datasets.load_scenes(dataset)
record = Record("07_encode_with_nnc", profile, scenes.name)
print(f"profile: {profile}")
print(datasets.banner(digits))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Entropy by hand
# A source says `0` eight times in ten, and `+` or `-` once each. The word of a symbol with the probability $p$ should have $-\log_2 p$ bits: 0.32 for `0`, 3.32 for the others. On average that is the *entropy*, 0.92 bits a symbol. A word of 0.32 bits does not exist, though. The best that words can do is *Huffman's* code:
# join the two rarest symbols, again and again, and every join puts one bit before the words below it.

# %%
shares = {"0": 0.8, "+": 0.1, "-": 0.1}
entropy = -sum(share * math.log2(share) for share in shares.values())


def huffman(shares):
    """The length of each symbol's word, in bits."""
    heap = [(share, place, {symbol: 0}) for place, (symbol, share) in enumerate(shares.items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        (share, place, words), (other, _, more) = heapq.heappop(heap), heapq.heappop(heap)
        longer = {symbol: length + 1 for symbol, length in (words | more).items()}
        heapq.heappush(heap, (share + other, place, longer))
    return heap[0][2]


lengths = huffman(shares)
mean = sum(shares[symbol] * length for symbol, length in lengths.items())
print(f"entropy {entropy:.2f} bits a symbol, Huffman {lengths}: {mean:.2f}")

# %% [markdown]
# A third more than needed, because no word is shorter than one bit. The more zeros a net has, the worse that gets: with 95 % zeros Huffman spends three times the entropy.

# %% tags=["nbval-check-output"]
check.same(
    "your Huffman has the kit's lengths", [lengths[one] for one in shares], rival_codecs.huffman_lengths([80, 10, 10])
)
check.same("words of these lengths fill the tree", sum(2.0**-length for length in lengths.values()), 1.0)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## One number for the whole message
# *Arithmetic coding* gives no symbol a word. It cuts the interval from 0 to 1 in pieces as wide as the probabilities, takes the piece of the first symbol, cuts that one likewise for the second, and so on. Any number in the last piece names the whole message, and the wider the piece, the fewer digits such a number needs.

# %%
figures.shrinking_interval(shares, ["0", "+", "0", "0"])

# %% [markdown]
# **What you see.** Each row is the piece that the row above took, drawn as wide again; its ends stand beside it. The last piece, framed in the lowest row, goes from 0.64 to 0.6912: a number with 4.3 bits, if there were such. A likely symbol costs little width, so few bits; and only in the end, once for the whole message, is the number of bits rounded up.

# %%
exact = {symbol: Fraction(share).limit_denominator(100) for symbol, share in shares.items()}
starts = {"0": Fraction(0), "+": exact["0"], "-": exact["0"] + exact["+"]}


def encode(message):
    """A number that names the message, and how many bits it has behind the point."""
    low, width = Fraction(0), Fraction(1)
    for symbol in message:
        low, width = low + width * starts[symbol], width * exact[symbol]
    bits = (width.denominator // width.numerator).bit_length() + 1
    return math.ceil(low * 2**bits), bits


def decode(number, bits, count):
    """The message: find the piece with the number, spread it over 0 to 1, repeat."""
    x, message = Fraction(number, 2**bits), []
    for _ in range(count):
        symbol = max((one for one in starts if starts[one] <= x), key=starts.get)
        x = (x - starts[symbol]) / exact[symbol]
        message.append(symbol)
    return message


# %%
draw = np.random.default_rng(seed)
message = draw.choice(list(shares), 500, p=list(shares.values())).tolist()
number, bits = encode(message)
ideal = -sum(math.log2(shares[symbol]) for symbol in message)
words = sum(lengths[symbol] for symbol in message)
print(f"500 symbols, {message.count('0')} of them 0: ideal {ideal:.1f} bits, arithmetic coder {bits}, Huffman {words}")

# %% tags=["nbval-check-output"]
check.true("the arithmetic coder spends two bits more than ideal at most", bits <= ideal + 2)
check.same("and its number holds the whole message", decode(number, bits, 500), message)

# %% [markdown]
# (The ideal is 500 times the entropy only if the draw has exactly eight zeros in ten; this one need not.)
#
# Real coders do the same with whole numbers of 32 bits and send digits as soon as they are certain. DeepCABAC is one. Here it gets 50,000 symbols, and does not even know their probabilities beforehand: it learns them as it goes.

# %%
zeros = np.linspace(0.5, 0.99, 15)
pairs = [{"0": share, "+": (1 - share) / 2, "-": (1 - share) / 2} for share in zeros]
curves = {"entropy": [], "Huffman": [], "DeepCABAC": []}
for pair in pairs:
    symbols = draw.choice([0, 1, -1], (200, 250), p=list(pair.values())).astype(np.int8)
    drawn = np.unique(symbols, return_counts=True)[1] / symbols.size
    curves["entropy"].append(-(drawn * np.log2(drawn)).sum())
    curves["Huffman"].append(sum(pair[symbol] * length for symbol, length in huffman(pair).items()))
    curves["DeepCABAC"].append(8 * len(cabac.encode_integers(symbols).stream) / symbols.size)
figures.code_curves({name: (zeros, values) for name, values in curves.items()}, "zeros", "bits a symbol")

# %% [markdown]
# **What you see.** Huffman cannot go below one bit. The arithmetic coder lies on the entropy nearly all the way: no code of single symbols does better, on symbols that know nothing of each other.

# %% tags=["nbval-check-output"]
apart = np.array(curves["DeepCABAC"]) / np.array(curves["entropy"])
check.true("DeepCABAC stays within a twentieth of the entropy", (abs(apart - 1) < 0.05).all())
check.true("Huffman spends at least one bit", min(curves["Huffman"]) >= 1)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Nets to encode
# This cell trains what the rest of the lesson needs, or takes it from the cache: the thesis' net, DeepLabV3 and its expert for rails, quantized as in lesson 05. `quick` trains the quantized DeepLabV3 for a few dozen steps, too few for its rare classes. Sizes hardly depend on that. For accuracies, see the recorded run at the end.

# %%
rows = [row for plan in plans["mnist"] for row in study.swept(plan, digits)]
rows += [row for plan in plans[dataset] for row in study.swept(plan, scenes)]
print(f"{len(rows)} nets quantized and coded")

small = study.point_with(plans["mnist"], arm="lrp", bits=4)
large = study.point_with(plans[dataset], arm="lrp", bits=4, wanted=())
expert = study.point_with(plans[dataset], arm="lrp", bits=4, wanted=(wanted,))
_, _, _, small_quantized = quantized_of(small)
net, scenes, _, quantized = quantized_of(large)
_, _, expert_net, expert_quantized = quantized_of(expert)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Why contexts beat the entropy
# The entropy knows how often each index occurs, and nothing of where. Look at where: the first layer of the thesis' net, at 4 bit. Each row is a neuron, each column a pixel, in the order in which the coder sees them.

# %%
layer = small_quantized.indices["layers.0.weight"]
figures.signs_of_indices(layer, "weight of a pixel", "neuron")

# %% [markdown]
# **What you see.** Zeros come in crowds: at the rim of every image row, and in neurons that hardly use their pixels. Behind two zeros a third is likely. So keep separate counts, one for each *context*, here for how many of the two indices before are not 0, and let each count teach its own probabilities. This function sums up what an ideal arithmetic coder would spend:


# %%
def adaptive_bits(values, contexts):
    """Bits a value of a coder that learns by counting, in each context apart; every count begins at one half."""
    levels, counts, bits = max(values) + 1, {}, 0.0
    for value, context in zip(values, contexts):
        seen = counts.setdefault(context, [0.5] * levels)
        bits -= math.log2(seen[value] / sum(seen))
        seen[value] += 1
    return bits / len(values)


values = (layer - layer.min()).flatten().tolist()
busy = (layer != 0).int()
before = torch.nn.functional.pad(busy, (2, 0))
near = (before[:, 1:-1] + before[:, :-2]).flatten().tolist()
sizes = {
    "fixed width": 4.0,
    "Huffman": 8 * rival_codecs.huffman_bytes(layer.numpy()) / layer.numel(),
    "entropy": small_quantized.entropies["layers.0.weight"],
    "learning, no context": adaptive_bits(values, [0] * len(values)),
    "learning, two neighbours": adaptive_bits(values, near),
    "DeepCABAC": 8 * len(cabac.encode_integers(layer.numpy()).stream) / layer.numel(),
}
figures.code_sizes(sizes, "bits a weight", mark="entropy")

# %% [markdown]
# **What you see.** Learning without contexts arrives at the entropy, and pays a little for having to learn. With two neighbours it falls *below*: the entropy is a bound only for coders that look at single indices. DeepCABAC has contexts like yours, and splits an index into yes-or-no questions (is it 0? below 0? larger than 1?), each with contexts of its own, so that it learns faster.

# %% tags=["nbval-check-output"]
drawn = bool(digits.stand_in_for)  # a net of 3,000 weights is too small to learn contexts from
check.true("neighbours help", drawn or sizes["learning, two neighbours"] < sizes["learning, no context"])
check.true(
    "with contexts, fewer bits than the entropy",
    drawn or max(sizes["learning, two neighbours"], sizes["DeepCABAC"]) < sizes["entropy"],
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## DeepCABAC, question by question
# The kit's coder is a module of plain functions, `relcomp_kit/compression/nnc/deepcabac.py`: *binarize* turns an index into questions, *learn* moves the probability of each context after its answer, *encode_bin* narrows the interval. Numba compiles them. `in_python` gives the same functions uncompiled, slow enough to step through. These are the questions for a few indices between -7 and 7, each after a 0:

# %% tags=["nbval-check-output"]
plain = deepcabac.in_python()
names = {plain.ZERO: "other than 0?", plain.SIGN: "below 0?"}
numbers, answers = np.zeros(256, np.int32), np.zeros(256, np.int32)
for level in (0, 1, -1, 3):
    count, _, _ = plain.binarize(level, 0, -7, 7, 11, numbers, answers)
    asked = [names.get(number, f"above {(number - plain.LARGER) // 2 + 1}?") for number in numbers[:count]]
    print(f"{level:>2}: " + ", ".join(f"{one} {'yes' if yes else 'no'}" for one, yes in zip(asked, answers)))
few = layer[:3].numpy().astype(np.int16)
streams = [
    one.encode_matrix(few, np.zeros(3, bool), -7, 7, one.new_contexts(11), np.zeros(62, np.int64), 11).tobytes()
    for one in (plain, deepcabac)
]
check.same("compiled or not, the coder writes the same bytes", streams[0], streams[1])

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The file
# Now the whole DeepLabV3. A file holds the indices of every tensor by DeepCABAC, all other numbers (steps, biases, batch-norm, counters) bit by bit, a header with names and shapes, and a checksum over everything, the SHA-256. Whatever goes in comes out.

# %%
file = nnc.encode(quantized, info={"classes": list(scenes.classes)})
decoded = nnc.decode(file)
parts = nnc.table(file, decoded)
print(f"{len(file):,} bytes of {quantized.original_bytes:,}: {quantized.original_bytes / len(file):.1f} times smaller")
for row in parts[-2:]:
    print(f"{row.name}: {row.size:,} bytes, {row.share:.1%} of the file")

# %%
figures.bytes_by_layer({row.name: (row.size, row.bits) for row in parts if row.zeros is not None})

# %% [markdown]
# **What you see.** Above, where the bytes go: to the wide layers of the second half. Below, what a weight costs: in the first layers three bits, since few of their weights are 0, but they are small and hardly count. The three lowest bars are the atrous branches of the classifier, with nine in ten weights or more at 0; lesson 05 told why they can be spared.

# %% tags=["nbval-check-output"]
again = decoded.quantized
check.true(
    "every index comes back", all(torch.equal(index, again.indices[name]) for name, index in quantized.indices.items())
)
check.true(
    "and every other number, to the bit",
    all(torch.equal(value, again.rest[name]) for name, value in quantized.rest.items()),
)
check.same("the parts add up to the file", sum(row.size for row in parts), len(file))

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Its rivals
# The same indices, *raw*, that is packed as densely as whole parts of a byte allow (general codecs look at bytes, and would waste what an unpacked byte leaves empty), by Huffman with its tables, and by the codecs that every system has. The *order-0 entropy* is the one you know, of single indices, without a table.

# %%
compared = rival_codecs.index_bytes(quantized)
shown = {name: size / 1000 for name, size in sorted(compared.items(), key=lambda pair: -pair[1]) if name != "table"}
figures.code_sizes(shown, "kB", mark="order-0 entropy")

# %% [markdown]
# **What you see.** DeepCABAC comes out just below the entropy. Huffman pays its bit for every zero. xz comes close: it finds repeated stretches of zeros, though it knows nothing about nets.

# %% tags=["nbval-check-output"]
check.true("DeepCABAC beats Huffman and bzip2", compared["DeepCABAC"] < min(compared["Huffman"], compared["bzip2"]))
check.true(
    "and the entropy with the price of its tables, or nearly",
    compared["DeepCABAC"] < 1.03 * (compared["order-0 entropy"] + compared["table"]),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Batch-norm in two numbers
# At 4 bit, the float numbers begin to weigh. Most belong to batch-norm, which has four for each channel: $y = \gamma\,(x - \mu) / \sqrt{v + \epsilon} + \beta$. But that is a straight line, and a line has two: the slope $\gamma_{fold} = \gamma / \sqrt{v + \epsilon}$ and the intercept $\beta_{fold} = \beta - \mu\,\gamma_{fold}$.
# The decoder sets $\mu = 0$ and $v = 1$. It has to mind $\epsilon$: batch-norm still divides by $\sqrt{1 + \epsilon}$.

# %%
state, eps = quantized.rest, 1e-5
name = batch_norm_folding.batch_norms(state)[0]
gamma, beta, mean, var = (state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
slope = gamma / (var + eps).sqrt()
intercept = beta - mean * slope
deviation = (var + eps).sqrt()
widest = slope.abs().argsort(descending=True)[:4]
four = torch.stack([gamma, beta, mean, deviation], 1)[widest].tolist()
figures.folded_lines([-2, 2], four, torch.stack([slope, intercept], 1)[widest].tolist())

# %% [markdown]
# **What you see.** Four channels of the first batch-norm, each by its four numbers and, dotted on top, by its two. The weights before it stay whole numbers times a step: nothing is multiplied into them, unlike in the folding that most tools do.
#
# The numbers that remain can be rounded to 16 or 8 bit as well. That is no longer exact, so the accuracy has to be looked at.

# %%
options = {"exact": {}, "folded": {"fold": True}, "folded, 16 bit": {"fold": True, "float_bits": 16}}
options["folded, 8 bit"] = {"fold": True, "float_bits": 8}
files = {made: nnc.encode(quantized, **asked) for made, asked in options.items()}
coded = {made: decoded_net(one, net) for made, one in files.items()}
x = study.images(scenes, 8)
with torch.no_grad():
    outputs = {made: one(x)["out"] for made, one in coded.items()}
for made, one in files.items():
    error = (outputs[made] - outputs["exact"]).abs().max() / outputs["exact"].abs().max()
    print(f"{made:16}{len(one):>10,} bytes   outputs apart by {error:.0e} of the largest")

# %% tags=["nbval-check-output"]
folded = nnc.decode(files["folded"]).quantized.rest
check.close("the kit's slope is yours", folded[f"{name}.weight"] / math.sqrt(1 + eps), slope, rtol=1e-5)
check.close("and its intercept", folded[f"{name}.bias"], intercept, atol=1e-5)
check.close(
    "the folded net answers the same",
    outputs["folded"] / outputs["exact"].abs().max(),
    outputs["exact"] / outputs["exact"].abs().max(),
    atol=1e-5,
)
check.true("and its file is smaller", len(files["folded"]) < len(files["exact"]))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The ladder
# From the float net to the file, rung by rung, with the accuracy at each. *8 bit* is rounded at once; *nncodec* is the reference software on the float net, with the step sizes it takes by default, uniform and *dependent* (a trellis of two grids); ECQ and ECQ^x are trained at 4 bit, first with indices of fixed width.


# %% slideshow={"slide_type": "skip"}
def ladders(rows, rungs):
    """The ladder of each net, at 4 bit and the smallest Lambda that was run without relevance, too."""
    found = {}
    for kind in ("thesis' net", "DeepLabV3"):
        some = results_of.select(rows, kind=kind, bits=4)
        Lambda = min(one["Lambda"] for one in results_of.select(some, arm="ecq"))
        found[f"{kind}, Λ {Lambda}"] = results_of.ladder(results_of.select(some, Lambda=Lambda), rungs[kind])
    return found


rungs = {
    "thesis' net": [one for s in budget.seeds for one in study.float_rungs(*trained("tanh", "mnist", s), s, None)],
    "DeepLabV3": [
        one
        for s in budget.seeds
        for one in study.float_rungs(*trained(large["net"], dataset, s), s, budget.scored_scenes)
    ],
}

# %%
ladder = ladders(rows, rungs)
figures.size_ladder(ladder, "accuracy")
if not rival_codecs.has_nncodec():
    print("The reference software nncodec is not installed here: its two rungs are left out.")

# %% [markdown]
# **What you see.** Numbers at the bars say how many times smaller the net is than at the top, those on the right how well it does in the test. Half precision and 8 bit cost next to nothing. At 4 bit, indices of fixed width cannot use that most of them are 0. Huffman uses it partly, NNC fully, and folding helps where there is batch-norm to fold. Differences of some tenths of a point between the arms are those of one net on few scenes; the recorded ladder below has the means of three. A quantized net can come out ahead of the float one, because it was trained for longer.

# %% tags=["nbval-check-output"]
means = {kind: [float(np.mean(size)) for size, _ in rung.values()] for kind, rung in ladder.items()}
check.true("the last rung is the smallest", drawn or all(sizes[-1] == min(sizes) for sizes in means.values()))
large_enough = [sizes for kind, sizes in means.items() if not (drawn and kind.startswith("thesis"))]
check.true("the coded nets are over fifteen times smaller", all(sizes[0] > 15 * sizes[-1] for sizes in large_enough))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Experts as passengers
# Lesson 06 cut experts out of the super-net. If it travels anyway, an expert is only a list of the filters that it keeps, and such lists can go into the same file: `encode(quantized, paths={"rail": path, ...})`. The receiver picks one and cuts.

# %%
paths = study.experts_of(net, scenes, budget.relevance_scenes, 0.5)
grown = study.mask_bytes(quantized, paths)
filters = sum(len(mask) for mask in paths[wanted].values())
alone = len(nnc.encode(expert_quantized))
print(f"{filters:,} filters, {len(paths)} experts: {', '.join(paths)}")
print(f"super-net {len(file):,} bytes; masks of 1, 2, ... experts: {grown} bytes more")
print(f"one expert as a file of its own: {alone:,} bytes")

# %% [markdown]
# All experts together cost less than one percent of the file, so whoever has the super-net has them for nothing. Whoever needs one expert only should not fetch the super-net: the expert alone, quantized and trained by itself, is a fraction of it. And a passenger is an expert *as cut*: lesson 06 showed what it lacks without training.

# %% tags=["nbval-check-output"]
back = nnc.decode(nnc.encode(quantized, paths=paths)).paths
check.true(
    "every mask comes back",
    all(torch.equal(mask, back[one][layer]) for one in paths for layer, mask in paths[one].items()),
)
check.true("the masks of all experts take less than a fiftieth of the file", grown[-1] < len(file) / 50)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The whole pipeline
# Expert, ECQ^x, NNC with folding and 8-bit numbers, on a test scene. (`quick` trains without weights for rare classes, whose counting takes too long for a lesson, so thin rails fade. What an expert loses in earnest, only the full run can say.)

# %%
image, truth = scenes.test[scene_with(scenes, wanted)]
expert_file = nnc.encode(expert_quantized, fold=True, float_bits=8)
seen = {
    f"float32, {quantized.original_bytes / 1e6:.1f} MB": net,
    f"super-net, {len(files['folded, 8 bit']) / 1e3:.0f} kB": coded["folded, 8 bit"],
    f"{wanted} expert, {len(expert_file) / 1e3:.0f} kB": decoded_net(expert_file, expert_net),
}
figures.growing(image, truth, {one: predict(made, image) for one, made in seen.items()}, scenes.classes, scenes.palette)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Break it
# A file arrives incomplete, or with one bit wrong. Nobody wants a train that brakes by a net like that. nncodec alone has no checksum: of 250 files with a flipped bit, 21 were decoded to other weights without a word, and cut files ended the whole process. What does the kit say?

# %%
flipped = bytearray(file)
flipped[len(file) // 2] ^= 1
broken = {
    "as written": file,
    "cut": file[:-1000],
    "one bit flipped": bytes(flipped),
    "a picture": b"\x89PNG" + file[4:],
}
for what, data in broken.items():
    print(f"{what}: {study.told(data)}")

# %% [markdown]
# The SHA-256 is compared before anything is decoded. It tells that a file is as it was written, not that its writer meant well. So the decoder trusts nothing: the header says first how much memory the net takes, no byte behind the end of a stream is read, and the work is bounded by the length of the stream. A file made to do harm ends in a sentence, too. `relcomp encode`, `decode` and `info` do all this on the command line.

# %% tags=["nbval-check-output"]
check.same("the whole file is decoded", study.told(file), "whole")
check.true(
    "each broken one is refused, in one sentence",
    all(study.told(data) != "whole" for what, data in broken.items() if what != "as written"),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run: codecs
# Three nets of each kind, trained for longer, at 2 to 5 bit, on the first 500 scenes of the validation and the test split. *Against entropy*: bytes of DeepCABAC over the entropy with the price of its tables, mean and range of all nets. The other columns: bytes of a rival over those of DeepCABAC; below 1, the rival wins. Contexts gain much on the thesis' net, whose neighbouring weights belong to neighbouring pixels, and hardly anything on DeepLabV3.

# %%
full = reference("07_encode_with_nnc")
full_rows, full_rungs = results_of.recorded(full) if full else ([], {})
for line in results_of.codec_table(full_rows):
    print(line)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Files
# Whole files, with header and all other numbers, as shares of the float32 super-net; points are of pixel accuracy, of experts of the IoU of their class. The fewer bits the indices take, the more counts what folding and rounding save of the other numbers; the thesis' net has no batch-norm to fold. Below stand the ladder, and for each net the smallest 4-bit file of DeepLabV3 that loses half a point of accuracy at most on validation.

# %%
for line in results_of.file_table([row for row in full_rows if row["kind"] != "thesis' net"]):
    print(line)

# %% slideshow={"slide_type": "skip"}
for line in results_of.file_table(results_of.select(full_rows, kind="thesis' net")):
    print(line)

# %%
if full:
    figures.size_ladder(ladders(full_rows, full_rungs), "accuracy")
    print("\n".join(results_of.goal_lines(full_rows)))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The published table, and ours
# For each net the smallest expert file that loses at most two points of IoU on validation; what it saves is held against the float32 super-net. The last column is the IoU in the test, of the super-net and of the expert's file.

# %%
for line in results_of.slide(full_rows or rows):
    print(line)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What it decides

# %%
results_of.note(record, rows, rungs)
results_of.decide(record, rows)
record.save()
print(claims_text(record.content))
print(f"\nThe recorded full run\n{claims_text(full) if full else 'not recorded yet'}")


# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: a code that needs no tree ★★
# A *canonical* code is known from its lengths alone, which is why a file needs no more. Sort the symbols by length, then by their place. The first word is all zeros; each next one is the one before plus 1, with zeros put behind it until it is long enough. Return the words as text, in the order of the symbols. Lengths 1, 2, 2 give `0`, `10`, `11`. Hint: `word << 2` puts two zeros behind a whole number, and `format(5, "04b")` writes it as `0101`.


# %% tags=["exercise"]
def canonical(lengths):
    # solution
    words, word, length = {}, -1, 0
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        word = (word + 1) << (lengths[place] - length)
        length = lengths[place]
        words[place] = format(word, f"0{length}b")
    return [words[place] for place in range(len(lengths))]


# %% tags=["nbval-check-output"]
shown = [(([1, 2, 2],), ["0", "10", "11"]), (([2, 1, 3, 3],), ["10", "0", "110", "111"])]
check.exercise(canonical, shown, fresh.canonical)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: fold into the layer before ★★
# Most tools multiply the slope of batch-norm into the weights before it. Return the list of the weight and the bias of the layer that does both at once, for one weight `w`, bias `b` and the four numbers; $\epsilon$ is 1e-5. Hint: put $w x + b$ into the formula of batch-norm, and collect what stands with $x$. Then think: why does the kit not do it?


# %% tags=["exercise"]
def merged(w, b, gamma, beta, mean, var):
    # solution
    slope = gamma / math.sqrt(var + 1e-5)
    return [w * slope, (b - mean) * slope + beta]


# %% tags=["nbval-check-output"]
check.exercise(
    merged,
    {
        (2.0, 1.0, 3.0, 0.5, 0.0, 4.0): [2.9999962500070314, 1.9999981250035158],
        (1.0, 0.0, 1.0, 0.0, 2.0, 1.0): [0.9999950000374997, -1.9999900000749993],
    },
    fresh.merged,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: the first question of DeepCABAC ★★★
# DeepCABAC asks of every index first: is it other than 0? There are three contexts for this question: the index before was 0, above 0, or below 0 (before the first stands a 0). A context holds two estimates of the probability of *yes*, a fast one and a slow one; all begin at one half. The context's probability is their mean, and an answer of the probability $p$ costs $-\log_2 p$ bits. After it, each estimate of this context moves towards the answer (1 for yes, 0 for no): by its distance over $2^{fast}$, or over $2^{slow}$.
# Return the bits that this question costs for all `indices`, a list. (The kit's coder rounds the estimates to whole numbers, and takes the move from a table.)


# %% tags=["exercise"]
def zero_bits(indices, fast, slow):
    # solution
    contexts, before, bits = {}, 0, 0.0
    for index in indices:
        context = (before > 0) - (before < 0)
        quick, steady = contexts.get(context, (0.5, 0.5))
        yes, answer = (quick + steady) / 2, index != 0
        bits -= math.log2(yes if answer else 1 - yes)
        contexts[context] = quick + (answer - quick) / 2**fast, steady + (answer - steady) / 2**slow
        before = index
    return bits


# %% tags=["nbval-check-output"]
shown = [(([3], 2, 5), 1.0), (([0, 5, -1, 7], 1, 1), 5.0), (([0, 0], 1, 2), 5 - math.log2(11))]
check.exercise(zero_bits, shown, fresh.zero_bits)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open
# The neurons of a hidden layer can stand in any order: if the rows of its weights change places, so do the columns of the next layer, and the net computes the same. The file does not stay the same, because other indices become neighbours. Find an order that makes it smaller. The cell sorts neurons by how many weights they keep. What else could bring like to like?
# How large is your gain, and what does the receiver have to know?

# %%
index = small_quantized.indices
order = (index["layers.0.weight"] != 0).sum(1).argsort(descending=True)
sorted_rows = [index["layers.0.weight"][order], index["layers.1.weight"][:, order], index["layers.2.weight"]]
for what, tensors in (("as trained", index.values()), ("sorted", sorted_rows)):
    print(f"{what}: {sum(len(cabac.encode_integers(tensor.numpy()).stream) for tensor in tensors):,} bytes")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. How can a lossless coder come out below the entropy?
# 2. The kit compares a SHA-256 *before* it decodes. Why not decode first, and compare the weights?
# 3. An expert saves three quarters of the computation. Why does its file not shrink by as much against the coded super-net?
#
# <details><summary>Answers</summary>1. The entropy of single symbols is a bound only for coders that treat them one by one. Indices know something of their neighbours, and contexts use it. 2. The decoder is complicated code: on a damaged stream it may crash, hang or take all memory before there are any weights to compare. 3. Early layers
# compute much and store little, late ones the reverse; header and batch-norm do not shrink with the bits; and quantized by itself, the small net has fewer zeros to live on.</details>
#
# ## References
# Huffman, *A Method for the Construction of Minimum-Redundancy Codes*, 1952 · Rissanen, *Universal Coding, Information, Prediction, and Estimation*, 1984 · Krichevsky and Trofimov, *The Performance of Universal Encoding*, 1981 · Wiedemann et al., *DeepCABAC: A Universal Compression Algorithm for Deep Neural Networks*, 2020 · Kirchhoffer et al., *Overview of the Neural Network Compression and Representation (NNR) Standard*, 2022 · Becking et al., *NNCodec*, 2023 · Becking et al., *ECQ^x*, 2022
