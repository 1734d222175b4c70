"""Nets for use: batch-norms folded into the convolutions and linear layers before them, which computes the same."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from relcomp_kit.compression.experts.coupling import groups
from relcomp_kit.models.states import plain_copy
from relcomp_kit.relevance.channels import check_eval


def folded(net: nn.Module, example: Tensor) -> nn.Module:
    """Return a net whose batch-norms are folded into the layers that alone feed them; the given one is left as it is.

    It computes the same with one pass less over each tensor. It cannot be trained further as the given net can, and the
    weights of a quantized net do not stay on their grid, so fold last. In channels-last memory
    (``.to(memory_format=torch.channels_last)``, net and input) PyTorch may run it faster still.

    Parameters
    ----------
    net : nn.Module
        In eval mode, such as an expert that `compact` made.
    example : Tensor
        An input of the net, as in `groups`: which batch-norm reads which layer is seen in a pass.

    Returns
    -------
    nn.Module
        In eval mode, with `nn.Identity` in the places of batch-norms.

    Raises
    ------
    UserError
        If the net is in train mode, or the example does not go through it.
    """
    check_eval(net)
    norms, small = groups(net, example).norms, plain_copy(net)
    for name, norm_name in norms.items():
        layer, norm = small.get_submodule(name), small.get_submodule(norm_name)
        if not isinstance(norm, _BatchNorm) or norm.running_var is None:
            continue  # takes its statistics from the batch
        if isinstance(layer, nn.Linear):
            small.set_submodule(name, fuse_linear_bn_eval(layer, norm))
        elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            small.set_submodule(name, fuse_conv_bn_eval(layer, norm))
        else:
            continue
        small.set_submodule(norm_name, nn.Identity())
    return small.eval()
