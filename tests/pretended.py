"""A device that is pretended: its tensors are computed on the processor, and refuse to meet those that lie elsewhere.

So code that mixes devices fails here as it would on a GPU, without one. What it cannot show is how a GPU rounds, how
fast it is, and what it does not implement.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# A name that torch knows, that nothing stands behind here, and whose gradients autograd computes in its own thread.
DEVICE = torch.device("lazy", 0)
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
# operations that take indices from the processor for a tensor on a card
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}


class Pretended(torch.Tensor):
    """A tensor that says that it lies on `DEVICE`; its numbers are in ``held``."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            dispatch_device=True,
        )

    def __init__(self, held: torch.Tensor):
        self.held = held

    @property
    def data(self) -> torch.Tensor:
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, value: torch.Tensor) -> None:
        torch.Tensor.data.__set__(self, value)
        self.held = value.held

    def numpy(self, *_, **__):
        raise TypeError("can't convert a tensor of the pretended device to numpy: copy it to the processor first")

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class Mode(TorchDispatchMode):
    """Lets tensors be made on `DEVICE`, and be moved to it."""

    def __enter__(self):
        self.before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=DEVICE)` is a copy from the processor
        return super().__enter__()

    def __exit__(self, *error):
        torch._C._set_only_lift_cpu_tensors(self.before)
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    if func is torch.ops.prim.device.default:
        return DEVICE
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):  # in inference mode
        with Mode():
            return func.decompose(*args, **kwargs)
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    ours = [one for one in given if isinstance(one, Pretended)]
    asked = kwargs.get("device")
    there = bool(ours)
    if asked is not None:
        there = torch.device(asked).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu") if there else asked}
    if not ours and not there:
        return func(*args, **kwargs)
    if ours and func not in MOVES:
        allowed = given[1:] if func in INDEXED else []
        for one in given:
            strange = not isinstance(one, Pretended) and one.ndim and one.device.type != "meta"
            if strange and not any(one is index for index in allowed):
                raise RuntimeError(f"{func}: tensors on {DEVICE} and {one.device}, {tuple(one.shape)}")
    inner = tree_map(lambda one: one.held if isinstance(one, Pretended) else one, (args, kwargs))
    found = func(*inner[0], **inner[1])
    if asked is None and func is aten.copy_.default:
        return args[0]
    written = [
        kwargs[argument.name] if argument.name in kwargs else args[place]
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None
        and argument.alias_info.is_write
        and (argument.name in kwargs or place < len(args))
    ]
    if (
        written
        and func._schema.returns
        and all(one.alias_info is not None and one.alias_info.is_write for one in func._schema.returns)
    ):
        return written[0] if len(func._schema.returns) == 1 else tuple(written)
    return tree_map(lambda one: Pretended(one) if there and isinstance(one, torch.Tensor) else one, found)


@contextmanager
def pretended(monkeypatch) -> Iterator[torch.device]:
    """Let the kit choose the pretended device wherever it asks for one, in all of its modules that are loaded."""
    from relcomp_kit.models import device

    instead = {"choose_device": lambda: DEVICE, "autocast": lambda precision, device: nullcontext()}
    for name, replacement in instead.items():
        own = getattr(device, name)
        for module in [one for key, one in sys.modules.items() if key.startswith("relcomp_kit")]:
            if getattr(module, name, None) is own:
                monkeypatch.setattr(module, name, replacement)
    with Mode():
        yield DEVICE
