"""Run a net again from some module on: the outputs of the modules before it are stored and reused."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from relcomp_kit.relevance.channels import hooked


class Record:
    """The order in which the modules finished in one forward pass, and what each of them returned."""

    def __init__(self):
        self.finished: list[str] = []
        self.outputs: dict[str, Tensor] = {}

    def note(self, name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        """Note a call of a module; with the name filled in, this is a forward hook.

        Parameters
        ----------
        name : str
            Name of the module in the net.
        module : nn.Module
            The module; not used.
        inputs : tuple
            Its inputs; not used.
        output : object
            What it returned; a tensor is copied into the record.
        """
        self.finished.append(name)
        if isinstance(output, Tensor):
            self.outputs[name] = output.clone()  # what comes next may change it in place

    def unchanged(self, places: set[str]) -> list[str]:
        """Return the names of the largest modules that had finished before anything happened in ``places``."""
        if not places <= set(self.finished):
            return []  # a parameter that is used without a call of its module
        first = min(self.finished.index(place) for place in places)
        inside = tuple(f"{place}." if place else "" for place in places)
        calls = Counter(self.finished)
        through = {
            name
            for name in self.finished[:first]
            if calls[name] == 1 and name in self.outputs and not name.startswith(inside)
        }
        return [name for name in through if name.rpartition(".")[0] not in through]


@contextmanager
def recorded(model: nn.Module) -> Iterator[Record]:
    """Record the one forward pass that is run inside the block; all outputs stay in memory with the record."""
    record = Record()
    with hooked(module.register_forward_hook(partial(record.note, name)) for name, module in model.named_modules()):
        yield record


@contextmanager
def skipped(model: nn.Module, record: Record, places: set[str]) -> Iterator[None]:
    """Let modules that come before ``places`` return what they returned in the recorded pass, without computing it.

    This holds inside the block; afterwards all modules compute again.

    Parameters
    ----------
    model : nn.Module
        The net whose pass was recorded, to be run on the same inputs.
    record : Record
        What `recorded` gave for the net.
    places : set of str
        Names of the modules in which something changes, one at least; what ran before the first of them is skipped.
    """
    unchanged = {name: model.get_submodule(name) for name in record.unchanged(places)}
    unchanged = {name: module for name, module in unchanged.items() if "forward" not in vars(module)}  # not patched yet
    try:
        for name, module in unchanged.items():
            module.forward = partial(_again, record.outputs[name])
        yield
    finally:
        for module in unchanged.values():
            del module.forward  # the one of its class is seen again


def _again(output: Tensor, *args, **kwargs) -> Tensor:
    return output.clone()  # what comes next may change it in place
