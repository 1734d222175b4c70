"""What nets give: logits alone, or among other things."""

from torch import Tensor

from relcomp_kit.errors import UserError


def logits(output: object) -> Tensor:
    """Return the logits of what a net gives.

    Parameters
    ----------
    output : object
        A tensor; a dict that holds one under "out", as torchvision's nets that segment; or a tuple with one called
        ``logits``, as torchvision's nets with auxiliary heads give in train mode.

    Returns
    -------
    Tensor
        (N, classes, ...).

    Raises
    ------
    UserError
        If it is something else.
    """
    if isinstance(output, dict) and "out" in output:
        output = output["out"]
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise UserError(f"the net gives a {type(output).__name__}: it must give a tensor, or a dict with one as 'out'")
    return output
