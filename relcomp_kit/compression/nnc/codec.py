"""A quantized net to bytes, and back."""

import sys
from dataclasses import dataclass
from lzma import LZMAError

import torch
from torch import Tensor

from relcomp_kit.artifacts import raw_bytes
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.compression.nnc import batch_norm_folding, bitstream
from relcomp_kit.compression.nnc.bitstream import Header, Numbers
from relcomp_kit.compression.nnc.float_coding import ITEM_BYTES
from relcomp_kit.compression.nnc.path_masks import check_note, join_masks, split_masks
from relcomp_kit.errors import UserError

DTYPES = {name: getattr(torch, name) for name in ITEM_BYTES}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
WEIGHT, STEP, REST, MASKS = "weight:", "step:", "rest:", "masks"  # before the names in a file, or the name itself
MOST_BYTES = 2**30
Paths = dict[str, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file held.

    Parameters
    ----------
    quantized : Quantized
        Indices, steps and the rest of the net's state.
    paths : dict of str to dict of str to Tensor
        Name of an expert to its path: module name to (output channels,) bool.
    info : dict
        What `encode` was given as ``info``.
    """

    quantized: Quantized
    paths: Paths
    info: dict


def encode(
    quantized: Quantized,
    paths: Paths | None = None,
    *,
    info: dict | None = None,
    fold: bool = False,
    eps: float = 1e-5,
    float_bits: int | None = None,
) -> bytes:
    """Return a quantized net as bytes, which `decode` takes back exactly unless something coarser is asked for.

    The coder is compiled at its first use on a machine, which takes some 15 to 30 seconds once.

    Parameters
    ----------
    quantized : Quantized
        int8 or int16 indices, one step each, and the rest: bool, int8 to int64, uint8, float16 to float64, bfloat16
        and complex64.
    paths : dict of str to dict of str to Tensor, optional
        Experts inside this net: name to (module name to (output channels,) bool).
    info : dict, optional
        Class names, where the net comes from: what JSON knows. It comes back as JSON does, tuples as lists.
    fold : bool
        Store each batch-norm as gamma_fold = gamma / sqrt(var + eps) and beta_fold = beta - mean * gamma_fold. It is
        decoded with variance 1 and mean 0 and gives the same outputs, up to rounding, in eval mode only.
    eps : float
        That of the net's batch-norms, for folding. torch's default.
    float_bits : int, optional
        8 to 16: float numbers of the rest become that many bits each, variances excepted; see
        `batch_norm_folding.to_levels`.

    Returns
    -------
    bytes
        The file, as `bitstream` describes it.

    Raises
    ------
    UserError
        If a type cannot be stored, a step is missing, a mask is no vector of bool, a name is no text or the info is no
        JSON.

    Examples
    --------
    >>> import torch
    >>> from relcomp_kit.compression import ecqx
    >>> quantized = ecqx.quantize(torch.nn.Linear(30, 10), bits=4, Lambda=0.05)
    >>> data = encode(quantized)
    >>> torch.equal(decode(data).quantized.indices["weight"], quantized.indices["weight"])
    True
    """
    _check_net(quantized)
    if info is not None and not isinstance(info, dict):
        raise UserError(f'the info is a dict, not {type(info).__name__}: give {{"classes": [...]}}, or leave it out')
    if not isinstance(eps, float | int) or not 0 <= eps <= sys.float_info.max:
        raise UserError(f"eps must be 0 or a positive number, not {eps!r}")
    rest = dict(quantized.rest)
    folded: list[str] = []
    coarse: list[str] = []
    if fold:
        rest, folded = batch_norm_folding.fold(rest, eps)
    if float_bits is not None:
        rest, coarse = batch_norm_folding.to_levels(rest, float_bits)
    notes: dict = {"info": info or {}}
    if folded:
        notes |= {"folded": folded, "eps": eps}
    if coarse:
        notes["levels"] = coarse
    if quantized.versions:
        notes["versions"] = quantized.versions
    integers = [(WEIGHT + name, index.detach().cpu().numpy()) for name, index in quantized.indices.items()]
    if paths:
        joined, notes["paths"] = join_masks(paths)
        integers.append((MASKS, joined))
    steps = {STEP + name: quantized.steps[name] for name in quantized.indices}
    numbers = steps | {REST + name: value for name, value in rest.items()}
    return bitstream.write(integers, [_stored(name, value) for name, value in numbers.items()], notes)


def decode(
    data: bytes,
    *,
    most_bytes: int = MOST_BYTES,
    source: str = "the file",
) -> Decoded:
    """Return the net that `encode` made bytes of.

    The digest is verified first. No memory is taken before the header has said how much that will be, and no byte is
    read after the end of a stream. So a file that was made to do harm is refused in one sentence, too.

    Parameters
    ----------
    data : bytes
        The whole file.
    most_bytes : int
        That the decoded tensors may take, in bytes; 1 GiB by default. The time is bounded by it, too: some 20 ns for
        each number that the header announces.
    source : str
        What the file is called in an error.

    Returns
    -------
    Decoded
        The net, the paths of its experts, and the info.

    Raises
    ------
    UserError
        In one sentence, if the bytes are not a whole file, or the file does not hold what it announces.
    """
    try:
        data = data if isinstance(data, bytes) else bytes(memoryview(data))
    except TypeError:
        raise UserError("give the bytes of a file, such as Path('net.nnc').read_bytes()") from None
    if not isinstance(most_bytes, int) or most_bytes < 0:
        raise UserError(f"most_bytes is a whole number of bytes, 0 or more, not {most_bytes!r}")
    header = bitstream.read(data, source)
    try:
        wanted = _announced(header)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{source} is no quantized net ({error}): encode the net anew") from error
    if wanted > most_bytes:
        raise UserError(
            f"{source} says that it takes {wanted:,} bytes when decoded and {most_bytes:,} are allowed: allow more if "
            "you know where it comes from"
        )
    try:
        parts = bitstream.plain_parts(data, header)
    except (ValueError, LZMAError) as error:
        raise UserError(f"{source} does not hold what its header announces ({error}): encode the net anew") from error
    try:
        return _assemble(header, _tensors(header, parts))
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise UserError(f"{source} holds tensors that are no quantized net ({error}): encode the net anew") from error


def _check_net(quantized: Quantized) -> None:
    """Raise a `UserError` unless this is a quantized net that a file can hold."""
    if not isinstance(quantized, Quantized):
        raise UserError(f"{type(quantized).__name__} is no quantized net: give what `ecqx.quantize` returns")
    for name in (*quantized.indices, *quantized.steps, *quantized.rest):
        if not isinstance(name, str):
            raise UserError(f"tensors are named by text, not by {name!r}")
    if quantized.indices.keys() != quantized.steps.keys():
        odd = min(quantized.indices.keys() ^ quantized.steps.keys())
        raise UserError(f"{odd} needs int8 or int16 indices and one step: give what `ecqx.quantize` returns")
    for name, index in quantized.indices.items():
        step = quantized.steps[name]
        fits = isinstance(index, Tensor) and isinstance(step, Tensor) and not step.ndim and step.is_floating_point()
        if not fits or index.dtype not in (torch.int8, torch.int16):
            raise UserError(f"{name} needs int8 or int16 indices and one step: give what `ecqx.quantize` returns")
    if both := quantized.indices.keys() & quantized.rest.keys():
        raise UserError(f"{min(both)} stands among the weights and in the rest: a net has each tensor once")
    for name, value in (*quantized.indices.items(), *quantized.rest.items()):
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
            raise UserError(f"{name} is no dense tensor with values: leave it out, or make it one")
        bitstream.check_size(name, value.shape)


def _announced(header: Header) -> int:
    """Return the bytes that the net of a file will take, after checking that it is one; nothing is decoded yet."""
    notes, numbers = header.notes, {entry.name: entry for entry in header.numbers}
    weights = [entry.name.removeprefix(WEIGHT) for entry in header.integers if entry.name.startswith(WEIGHT)]
    masks = [entry for entry in header.integers if entry.name == MASKS]
    if len(weights) + len(masks) != len(header.integers):
        raise ValueError("integers that are neither weights nor masks")
    if {STEP + name for name in weights} != {name for name in numbers if name.startswith(STEP)}:
        raise ValueError("each weight needs one step")
    if any(numbers[STEP + name].shape or not DTYPES[numbers[STEP + name].dtype].is_floating_point for name in weights):
        raise ValueError("a step is one float number")
    rest = {name.removeprefix(REST): entry for name, entry in numbers.items() if name.startswith(REST)}
    if len(weights) + len(rest) != len(numbers) or rest.keys() & set(weights):
        raise ValueError("numbers that are neither steps nor the rest of the net")
    if not isinstance(notes["info"], dict):
        raise ValueError("the info is no dict")
    levels, folded, eps = notes.get("levels", []), notes.get("folded", []), notes.get("eps", 0.0)
    for names in (levels, folded):
        if not isinstance(names, list) or not all(type(name) is str for name in names) or len({*names}) != len(names):
            raise ValueError("a list of names is none")
    versions = notes.get("versions", {})
    if not isinstance(versions, dict) or not all(type(one) is int and 0 <= one < 2**31 for one in versions.values()):
        raise ValueError("the versions of its modules are no whole numbers")
    if type(eps) not in (float, int) or not 0 <= eps <= sys.float_info.max:
        raise ValueError("eps is no positive number")
    wanted = header.plain + sum(8 * rest[name].items for name in levels)
    for name in batch_norm_folding.vectors(folded):
        if len(rest[name].shape) != 1 or not (name in levels or DTYPES[rest[name].dtype].is_floating_point):
            raise ValueError(f"{name} is no vector of a batch-norm")
        wanted += 16 * rest[name].items  # a double of it while it is unfolded, and a mean or a variance
    if masks:
        (joined,) = masks
        if joined.dtype != "int8" or len(joined.shape) != 1 or not 0 == joined.low <= joined.high <= 1:
            raise ValueError("the masks are no row of 0 and 1")
        wanted += check_note(notes["paths"], joined.items)
    return wanted


def _stored(name: str, value: Tensor) -> tuple[Numbers, bytes]:
    if value.dtype not in NAMES:
        raise UserError(f"{name} is {value.dtype}, which cannot be stored: convert it to one of {', '.join(DTYPES)}")
    return Numbers(name, NAMES[value.dtype], tuple(value.shape)), raw_bytes(value)


def _tensors(header: Header, parts: list[bytes]) -> dict[str, Tensor]:
    """Return the tensors of a file by their names in it; they own their memory."""
    tensors = {}
    for entry, part in zip(header.entries, parts):
        content = torch.empty(0, dtype=torch.uint8)
        if part:
            content = torch.frombuffer(bytearray(part), dtype=torch.uint8)
        if entry.dtype == "bool" and (content > 1).any():
            raise ValueError(f"{entry.name} holds bytes that are neither true nor false")
        tensors[entry.name] = content.view(DTYPES[entry.dtype]).reshape(entry.shape)
    return tensors


def _assemble(header: Header, tensors: dict[str, Tensor]) -> Decoded:
    parts = {
        prefix: {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
        for prefix in (WEIGHT, STEP, REST)
    }
    indices, steps, rest = parts.values()
    notes = header.notes
    rest = batch_norm_folding.from_levels(rest, notes.get("levels", []))
    rest = batch_norm_folding.unfold(rest, notes.get("folded", []), notes.get("eps", 0.0))
    paths = split_masks(tensors[MASKS], notes["paths"]) if MASKS in tensors else {}
    return Decoded(Quantized(indices, steps, rest, notes.get("versions", {})), paths, notes["info"])
