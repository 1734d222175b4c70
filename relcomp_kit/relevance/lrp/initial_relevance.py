"""Where relevance starts: what each output receives before anything is traced back."""

from collections.abc import Callable

import torch
from torch import Tensor

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError

STARTS = ("true", "predicted", "positive")

Start = str | Tensor | Callable[[Tensor, Tensor | None], Tensor]


def start_relevance(
    output: Tensor, target: Tensor | None, start: Start = "true", *, class_: int | None = None, normalize: bool = False
) -> Tensor:
    """Return the relevance of the outputs, of the shape of ``output``.

    Parameters
    ----------
    output : (N, classes, ...)
        Logits of images, or of the pixels of images.
    target : (N, ...) of int, optional
        True classes, 255 where there is none. Needed by "true" only.
    start : str, Tensor or callable
        "true": the logit of the true class; "predicted": that of the highest output; "positive": every positive
        logit; or the relevance itself, as a tensor that fits the output or as a function of (output, target).
    class_ : int, optional
        Keep one class only: where it is the true or the predicted one, or its positive logits.
    normalize : bool
        Divide by the sum of absolute values of each sample, so that all samples weigh the same.
        A sample that starts with 0 stays 0.

    Raises
    ------
    UserError
        If there is no such start or class, target or start do not fit the output, or the start is not finite.
    """
    output = output.detach()
    classes = output.shape[1]
    if class_ is not None and not 0 <= class_ < classes:
        raise UserError(f"there is no class {class_}: the net has the outputs 0 to {classes - 1}")
    if isinstance(start, str):
        relevance = _named(output, target, start)
        if class_ is not None:
            only = torch.zeros(classes, dtype=torch.bool, device=output.device)
            only[class_] = True
            relevance = relevance * only.reshape(1, -1, *(1,) * (output.ndim - 2))
    else:
        if class_ is not None:
            raise UserError("a start of your own has no classes to choose from: start at 'true' or 'predicted' instead")
        relevance = _own(output, target, start)
    if not relevance.isfinite().all():
        raise UserError("the start holds NaN or infinity: look at the net's outputs for these images")
    if normalize:
        total = relevance.abs().flatten(1).sum(1).reshape(-1, *(1,) * (output.ndim - 1))
        relevance = relevance / torch.where(total == 0, 1.0, total)
    return relevance


def _named(output: Tensor, target: Tensor | None, start: str) -> Tensor:
    if start not in STARTS:
        raise UserError(f"there is no start {start!r}; choose one of {', '.join(STARTS)}, or give a tensor")
    if start == "positive":
        return output.clamp_min(0)
    if start == "predicted":
        chosen = output.argmax(1)
        return torch.zeros_like(output).scatter_(1, chosen[:, None], output.amax(1, keepdim=True))
    if target is None:
        raise UserError("a start at the true class needs (x, target) batches: give targets, or start at 'predicted'")
    expected = (output.shape[0], *output.shape[2:])
    if tuple(target.shape) != expected:
        raise UserError(
            f"the targets have the shape {tuple(target.shape)} and the outputs ask for {expected}: one class for each "
            "sample, or for each pixel"
        )
    target = target.to(output.device).long()
    known = target != VOID
    wrong = known & ((target < 0) | (target >= output.shape[1]))
    if wrong.any():
        raise UserError(
            f"there is no class {int(target[wrong][0])}: the net has the outputs 0 to {output.shape[1] - 1}"
        )
    index = torch.where(known, target, 0)[:, None]
    return torch.zeros_like(output).scatter_(1, index, output.gather(1, index) * known[:, None])


def _own(output: Tensor, target: Tensor | None, start: Tensor | Callable) -> Tensor:
    relevance = start if isinstance(start, Tensor) else start(output, target)
    try:
        return relevance.to(output).expand(output.shape)
    except RuntimeError as error:
        raise UserError(
            f"a start of the shape {tuple(relevance.shape)} does not fit outputs of the shape {tuple(output.shape)}"
        ) from error
