"""Nets that nobody here built: made by torchvision or by a function of one's own, with weights from a file.

Weights come as safetensors or as a state dict that torch reads with ``weights_only``, so that nothing in a file is run.
"""

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torchvision import models

from relcomp_kit.errors import UserError
from relcomp_kit.models.states import versions, with_versions

TORCHVISION = "torchvision:"
WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")  # keys of training states
WRAPPERS = {"module", "_orig_mod"}  # what DataParallel and torch.compile put into names
AUXILIARY = ("aux_classifier.", "aux1.", "aux2.", "AuxLogits.")  # torchvision's heads for training
BROKEN = (SafetensorError, UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError)
NAMED = 3  # of many tensors, in a sentence


def build(spec: str, classes: int) -> nn.Module:
    """Return a net that is described by a line of text, without trained weights.

    Parameters
    ----------
    spec : str
        "torchvision:resnet18": one of its nets to classify or to segment, without auxiliary heads. Or
        "module:function" of one's own, found as Python finds modules, in the working folder first; the function is
        called without arguments, or with ``num_classes`` where it takes that.
    classes : int
        How many outputs are wanted.

    Returns
    -------
    nn.Module
        In eval mode.

    Raises
    ------
    UserError
        If there is no such net, or the function fails or returns something else.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = _of_torchvision(spec, classes) if spec.startswith(TORCHVISION) else _of_function(spec, classes)
    return made.eval()


def _of_torchvision(spec: str, classes: int) -> nn.Module:
    name = spec.removeprefix(TORCHVISION)
    segmenting = models.list_models(models.segmentation)
    if name not in (*models.list_models(models), *segmenting):
        raise UserError(
            f"torchvision has no net {name!r} to classify or to segment: choose one of "
            f"{', '.join(models.list_models(models)[:4])}, ..., {', '.join(segmenting[:2])}, ..."
        )
    options: dict = {"weights_backbone": None, "aux_loss": False} if name in segmenting else {}
    if name.startswith("lraspp"):
        del options["aux_loss"]
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": False}
    return models.get_model(name, weights=None, num_classes=classes, **options)


def _of_function(spec: str, classes: int) -> nn.Module:
    module, _, function = spec.partition(":")
    if not (module and function):
        raise UserError(
            f"{spec!r} is no net: write torchvision:NAME, such as torchvision:resnet18, MODULE:FUNCTION for a net of "
            "your own, or name a file that ends in .safetensors or .nnc"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(importlib.import_module(module), function)
        takes = inspect.signature(make).parameters
        made = make(num_classes=classes) if "num_classes" in takes else make()
    except Exception as error:  # whatever that code raises
        what = str(error).splitlines()[0] if str(error) else "no reason given"
        raise UserError(f"{spec} cannot be made ({type(error).__name__}: {what}): correct it, or its name") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not isinstance(made, nn.Module):
        raise UserError(f"{spec} returns a {type(made).__name__}: let it return a torch.nn.Module")
    return made


def load_weights(net: nn.Module, file: Path | str) -> nn.Module:
    """Load trained weights into a net, whatever a training has wrapped them in.

    Parameters
    ----------
    net : nn.Module
        Changed in place, and put into eval mode.
    file : Path or str
        Safetensors, or what ``torch.save`` wrote of a state dict, alone or in a training's state under a usual name.
        Prefixes of all names, such as "module.", are understood, and auxiliary heads of torchvision left out.

    Returns
    -------
    nn.Module
        The net.

    Raises
    ------
    UserError
        If the file is missing, no such state, or of another net; or a weight is NaN, infinite or no float.
    """
    file = Path(file)
    found = _fitting(net, read_state(file))
    own = net.state_dict()
    missing = [name for name in own if name not in found and not name.endswith("num_batches_tracked")]
    extra = [name for name in found if name not in own]
    other = [name for name in own if name in found and found[name].shape != own[name].shape]
    for names, what in ((missing, "lacks"), (extra, "also holds")):
        if names:
            raise UserError(f"{file} is of another net: it {what} {_named(names)}; name the net that was trained")
    if other:
        shapes = " and ".join("x".join(map(str, one[other[0]].shape)) or "one number" for one in (found, own))
        raise UserError(
            f"{file} is of a net of other sizes: {other[0]} is {shapes} in file and net"
            f"{f', and {len(other) - 1} others differ, too' if len(other) > 1 else ''}; is it for these classes?"
        )
    kinds = [name for name in own if own[name].is_floating_point() and name in found]
    kinds = [name for name in kinds if not found[name].is_floating_point()]
    if kinds:
        kind = str(found[kinds[0]].dtype).removeprefix("torch.")
        raise UserError(
            f"{file} holds {kind} in {_named(kinds)}, where the net has floats: save the net as it was trained"
        )
    bad = [name for name, value in found.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise UserError(f"{file} holds NaN or infinity in {_named(bad)}: take weights of a training that went well")
    net.load_state_dict(with_versions(own | found, versions(net)))
    return net.eval()


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def read_state(file: Path) -> dict[str, Tensor]:
    """Read a state dict without running anything that a file may hold.

    Parameters
    ----------
    file : Path
        As in `load_weights`.

    Returns
    -------
    dict of str to Tensor
        Names as they stand in the file, on the CPU.

    Raises
    ------
    UserError
        If it cannot be read, or holds something else.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(9)
        if file.suffix == ".safetensors" or start[8:] == b"{":
            content: object = load(file.read_bytes())
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): name the file of the weights") from error
    except BROKEN as error:
        raise UserError(
            f"{file} holds no weights that can be read safely: save them by torch.save(net.state_dict(), FILE), or as "
            "safetensors"
        ) from error
    for name in WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{file} holds a {type(content).__name__}: save the net's state_dict() alone")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{file} holds no tensor: save the net's state_dict()")
    return tensors


def _fitting(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state by the net's own names, without a common prefix, wrappers and auxiliary heads."""
    own = net.state_dict()
    if not own.keys() <= state.keys():
        bare = {_bare(name): name for name in own}
        state = {_bare(name): value for name, value in state.items()}
        first = next(iter(bare))
        prefixes = [name.removesuffix(first) for name in state if name.endswith(f".{first}") or name == first]
        best = max(prefixes, key=lambda prefix: sum(prefix + name in state for name in bare), default="")
        state = {name.removeprefix(best): value for name, value in state.items() if name.startswith(best)}
        state = {bare.get(name, name): value for name, value in state.items()}
    return {name: value for name, value in state.items() if name in own or not name.startswith(AUXILIARY)}


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
