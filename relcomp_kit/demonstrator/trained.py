"""Experts that were trained for a while after their cut: small nets of their own, committed under ``data/experts``.

Each is an NNC file. Its info says out of which net it was cut, by the hash of that net's checkpoint, and which filters
it has of it. `relcomp_kit.demonstrator.expert_training` makes them.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.demonstrator.nets import SuperNet
from relcomp_kit.demonstrator.work import step
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained expert.

    Attributes
    ----------
    net : nn.Module
        In eval mode, on the CPU, with the weights that its file gives.
    path : dict of str to Tensor
        Which filters of the super-net it has, layer to (filters,) bool.
    file_bytes : int
        Of its NNC file.
    about : dict
        What its info says of the cut and the training.
    """

    net: nn.Module
    path: dict[str, Tensor]
    file_bytes: int
    about: dict


@functools.lru_cache(maxsize=8)
def load(net: SuperNet, name: str) -> Trained:
    """Return a trained expert of a super-net, decoded from its file.

    Parameters
    ----------
    net : SuperNet
        Its ``trained`` names the files.
    name : str
        One of them, such as "rail-50".

    Raises
    ------
    UserError
        If the file is damaged, or of another super-net than this one.
    """
    file = net.trained[name]
    step("decoding an expert")
    data = nnc.read_file(file)
    decoded = nnc.decode(data, source=str(file))
    about = decoded.info.get("expert", {})
    if about.get("checkpoint") != checkpoints.committed()[net.name]["sha256"]:
        raise UserError(f"{file} was cut out of another net than {net.name} is now: make it again, or remove it")
    small = experts.restored(net.net, ecqx.state_dict(decoded.quantized), net.example, len(net.classes))
    if small is None:
        raise UserError(f"{file} is no expert of {net.name}: make it again, or remove it")
    path = {layer: torch.ones(width, dtype=torch.bool) for layer, width in net.widths.items()}
    for layer, kept in about["path"].items():  # without the layers that it has whole
        path[layer][:] = False
        path[layer][kept] = True
    return Trained(small, path, len(data), about)
