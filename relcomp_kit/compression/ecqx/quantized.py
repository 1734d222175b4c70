"""A quantized net: integer indices and one step per weight tensor, and the rest as it was."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from relcomp_kit.errors import UserError
from relcomp_kit.models.states import with_versions

INDEX, STEP, FLOAT, VERSION = "index:", "step:", "float:", "version:"  # before the names in a plain dict of tensors


@dataclass(frozen=True, eq=False)
class Quantized:
    """Weights on grids, on the CPU: weight = index * step.

    Sizes are those of an ideal order-0 coder: every tensor's indices at their own entropy, without the table of
    probabilities; steps and the rest at the bytes that they have.

    Parameters
    ----------
    indices : dict of str to Tensor
        Parameter name to int8; at 8 bit int16 where the levels are -127 to 128. Each of its weight's shape.
    steps : dict of str to Tensor
        Parameter name to a 0-dimensional tensor, in the type and the units of the weights.
    rest : dict of str to Tensor
        All other entries of the net's state: biases, batch-norm, buffers, layers left out.
    versions : dict of str to int
        Module name to the version of its state, for those that ask for it: see `relcomp_kit.models.states.versions`.
    """

    indices: dict[str, Tensor]
    steps: dict[str, Tensor]
    rest: dict[str, Tensor]
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def entropies(self) -> dict[str, float]:
        """Order-0 entropy of every tensor's indices, in bits per weight."""
        return {name: _entropy(index) for name, index in self.indices.items()}

    @property
    def entropy(self) -> float:
        """Order-0 entropy of all indices in bits per weight, every tensor with its own distribution."""
        return self._mean(self.entropies)

    @property
    def sparsities(self) -> dict[str, float]:
        """Share of zeros in every tensor."""
        return {name: 1 - int(index.count_nonzero()) / index.numel() for name, index in self.indices.items()}

    @property
    def sparsity(self) -> float:
        """Share of zeros among all indices."""
        return self._mean(self.sparsities)

    def _mean(self, values: dict[str, float]) -> float:
        sizes = {name: index.numel() for name, index in self.indices.items()}
        return sum(sizes[name] * value for name, value in values.items()) / sum(sizes.values())

    @property
    def coded_bytes(self) -> float:
        """Estimated size after coding, in bytes."""
        bits = sum(entropy * self.indices[name].numel() for name, entropy in self.entropies.items())
        return bits / 8 + sum(value.nbytes for value in (*self.steps.values(), *self.rest.values()))

    @property
    def original_bytes(self) -> int:
        """Size of the net's state before quantization, in bytes."""
        weights = sum(index.numel() * self.steps[name].itemsize for name, index in self.indices.items())
        return weights + sum(value.nbytes for value in self.rest.values())

    @property
    def bits_per_weight(self) -> float:
        """Coded size over the number of all numbers in the net's state, quantized or not, in bits."""
        return 8 * self.coded_bytes / sum(value.numel() for value in (*self.indices.values(), *self.rest.values()))

    @property
    def compression_ratio(self) -> float:
        """Original bytes / coded bytes."""
        return self.original_bytes / self.coded_bytes


def _entropy(index: Tensor) -> float:
    share = torch.bincount(index.flatten().short() + 128).double() / index.numel()
    return torch.special.entr(share).sum().item() / math.log(2)


def state_dict(quantized: Quantized) -> dict[str, Tensor]:
    """Return the state of the net with quantized weights: loads strictly into the net that was quantized.

    Parameters
    ----------
    quantized : Quantized
        As `quantize` returns it.

    Returns
    -------
    dict of str to Tensor
        Names and shapes of the net's state; weight = index * step. Like that of ``nn.Module.state_dict``, it knows the
        versions of the modules that ask for them, which a dict that is made of it does not.
    """
    weights = {name: index * quantized.steps[name] for name, index in quantized.indices.items()}
    return with_versions(weights | quantized.rest, quantized.versions)


def to_tensors(quantized: Quantized) -> dict[str, Tensor]:
    """Return a plain dict of tensors, which `relcomp_kit.artifacts.write_artifact` writes; see `from_tensors`.

    Parameters
    ----------
    quantized : Quantized
        As `quantize` returns it.

    Returns
    -------
    dict of str to Tensor
        All its tensors; "index:", "step:" or "float:" stands before each name, "version:" before that of a module.
    """
    versions = {name: torch.tensor(version) for name, version in quantized.versions.items()}
    parts = {INDEX: quantized.indices, STEP: quantized.steps, FLOAT: quantized.rest, VERSION: versions}
    return {prefix + name: value for prefix, values in parts.items() for name, value in values.items()}


def from_tensors(tensors: dict[str, Tensor]) -> Quantized:
    """Return the net that `to_tensors` made a plain dict of, exactly.

    Parameters
    ----------
    tensors : dict of str to Tensor
        As `to_tensors` returns it.

    Returns
    -------
    Quantized
        The same tensors, not copied.

    Raises
    ------
    UserError
        If the dict is not of that form.
    """
    parts: dict[str, dict[str, Tensor]] = {INDEX: {}, STEP: {}, FLOAT: {}, VERSION: {}}
    for key, value in tensors.items():
        prefix, colon, name = key.partition(":")
        if prefix + colon not in parts:
            raise UserError(f"{key!r} is no part of a quantized net: read a file that was written from `to_tensors`")
        parts[prefix + colon][name] = value
    indices, steps, rest, versions = parts.values()
    for name in indices.keys() | steps.keys():
        index, step = indices.get(name), steps.get(name)
        if index is None or step is None or step.ndim or index.dtype not in (torch.int8, torch.int16):
            raise UserError(
                f"{name} needs int8 or int16 indices and one step: the file is no quantized net, or damaged"
            )
    for name, version in versions.items():
        if version.ndim or version.is_floating_point() or version.is_complex():
            raise UserError(f"the version of {name!r} is no whole number: the file is no quantized net, or damaged")
    return Quantized(indices, steps, rest, {name: int(version) for name, version in versions.items()})


def truncated(quantized: Quantized) -> Quantized:
    """Return what the published code stores: indices as int(weight / step), which cuts off instead of rounding.

    A quotient a little below a whole number loses a level. Not for use: to show what that costs.

    Parameters
    ----------
    quantized : Quantized
        As `quantize` returns it.

    Returns
    -------
    Quantized
        With the indices cut off, and the same steps and rest.
    """
    weights = state_dict(quantized)
    indices = {
        name: (weights[name] / quantized.steps[name]).to(index.dtype) for name, index in quantized.indices.items()
    }
    return replace(quantized, indices=indices)
