"""What zennit-crp 0.6 lacks for nets that segment, and its bugs, worked around in this one place.

Every repair of a bug has a test in ``tests/relevance/test_concepts.py`` that fails once zennit-crp no longer needs it.
"""

import contextlib
import copy
import difflib
import functools
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from crp.attribution import CondAttribution
from crp.concepts import ChannelConcept
from crp.helper import load_maximization
from crp.maximization import Maximization
from crp.statistics import Statistics
from crp.visualization import FeatureVisualization
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import Dataset
from zennit.canonizers import MergeBatchNorm
from zennit.core import Composite
from zennit.torchvision import ResNetCanonizer

from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.relevance.lrp.rules import by_share

OUTPUT = {"y": [0]}  # zennit-crp asks for an output in every condition; here `start` alone decides


def own_copy(model: nn.Module, layer: str) -> nn.Module:
    """Return a copy ready for zennit's rules, which gives logits as a tensor; a layer of this name has to be in it.

    Batch-norm is merged into the convolution before it, and the sum of a residual block is a module. Rules, hooks and
    zennit-crp change a net while they work, and leave it changed after an error: so they never get the user's own.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits, or a dict with them under "out". It is not touched.
    layer : str
        Name of a module of the model.

    Returns
    -------
    nn.Module
        The copy, in which modules keep their names.

    Raises
    ------
    UserError
        If the model is in train mode, or has no such layer.
    """
    if any(module.training for module in model.modules()):
        raise UserError("the model is in train mode, in which one image changes another's relevance: call model.eval()")
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        near = difflib.get_close_matches(layer, names, n=5, cutoff=0.4) or names[:5]
        raise UserError(f"the model has no layer {layer!r}; there are {', '.join(near)}")
    net = copy.deepcopy(model)
    for done in ResNetCanonizer().apply(net):
        if isinstance(done, MergeBatchNorm):
            done.batch_norm.eps = 0.0  # zennit 0.4 forgets it: the batch-norm that is left would shrink its input
    net.register_forward_hook(lambda module, args, output: output.get("out") if isinstance(output, dict) else output)
    return net


def start(logits: Tensor, class_: int | None) -> Tensor:
    """Return the relevance that the outputs start with: positive logits where their class is predicted, 0 elsewhere.

    Parameters
    ----------
    logits : Tensor
        (N, classes) or (N, classes, H, W).
    class_ : int or None
        The only class that starts; None for whichever class is predicted.

    Returns
    -------
    Tensor
        In the shape and unit of the logits.
    """
    predicted = logits.argmax(1)
    relevance = torch.zeros_like(logits)
    for index in range(logits.shape[1]) if class_ is None else [class_]:
        relevance[:, index] = logits[:, index].clamp(min=0) * (predicted == index)
    return relevance


class InterpolationByShare(TorchFunctionMode):
    """Within this, relevance passes a call of `torch.nn.functional.interpolate` by each input's share of the output.

    It is no module, so zennit has no rule for it; see `relcomp_kit.relevance.lrp.rules.by_share`.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is nn.functional.interpolate:
            return by_share(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class Attribution(CondAttribution):
    """Conditional attribution that begins at `start`: zennit-crp's own begins at one number per image and class.

    Parameters
    ----------
    net : nn.Module
        A net that `own_copy` has made; its parameters no longer ask for gradients afterwards.
    class_ : int or None
        The class whose relevance is traced; None for the predicted one.
    """

    def __init__(self, net: nn.Module, class_: int | None):
        super().__init__(net)
        self.class_ = class_

    def __call__(self, *args, **options):
        with InterpolationByShare():
            return super().__call__(*args, **options)

    def relevance_init(self, prediction, target_list, init_rel):
        return start(prediction, self.class_)

    def heatmaps(self, x: Tensor, layer: str, channels: Sequence[int], rules: Composite) -> Tensor:
        """Return the heatmap of x[i] through channel channels[i] alone: (N, H, W).

        Parameters
        ----------
        x : Tensor
            Normalised images (N, 3, H, W).
        layer : str
            Name of the layer that has the channels.
        channels : sequence of int
            One channel for each image.
        rules : Composite
            zennit's rules for the layers.
        """
        conditions = [OUTPUT | {layer: [channel]} for channel in channels]
        return self(x.detach().clone().requires_grad_(), conditions, rules).heatmap

    def layer_relevance(self, x: Tensor, layer: str, rules: Composite) -> Tensor:
        """Return the relevance of a layer's output, in its shape.

        This is a pass without a condition on the layer: since torch 2 what zennit-crp records at a layer that has a
        condition is already cut down to that condition, and counted twice.

        Parameters
        ----------
        x : Tensor
            Normalised images (N, 3, H, W).
        layer : str
            Name of the layer.
        rules : Composite
            zennit's rules for the layers.
        """
        x = x.detach().clone().requires_grad_()
        return self(x, [OUTPUT] * len(x), rules, record_layer=[layer]).relevances[layer]


class Visualization(FeatureVisualization):
    """Find a layer's reference images in a data set of scenes, by scores that are sums over positions.

    Parameters
    ----------
    attribution : Attribution
        Computes the relevance, and has the net.
    data : Dataset
        Map-style, of (uint8 image, uint8 label).
    layer : str
        Name of the layer whose channels are looked at.
    folder : Path
        Where zennit-crp writes its statistics.
    images : int
        How many images are kept per channel.
    """

    def __init__(self, attribution: Attribution, data: Dataset, layer: str, folder: Path, images: int):
        super().__init__(attribution, data, {layer: ChannelConcept()}, abs_norm=False, path=str(folder))
        for collector in (self.RelMax, self.ActMax, self.RelStats, self.ActStats):
            collector.SAMPLE_SIZE = images  # fixed at 40, however many are asked for
            # without zennit-crp's twelve collections of all garbage, 0.2 s each
            collector.delete_result_arrays = functools.partial(_forget, collector)

    def get_data_concurrently(self, indices, preprocessing=False):
        """Return a batch and one target per image.

        zennit-crp's own gives the bare target of a batch of one image, for which `run` then fails. The targets have no
        part in what is asked for here.
        """
        images, _ = stack([self.dataset[int(index)] for index in indices])
        like = next(self.attribution.model.parameters())
        return normalize(images).to(like).requires_grad_(), [0] * len(indices)

    def ranking(self, rules: Composite, layer: str, by: str, batch: int) -> tuple[Tensor, Tensor]:
        """Return indices into the data and scores, best first, each (images, channels).

        The files in between are plain arrays, read by `numpy.load` without pickles.

        Parameters
        ----------
        rules : Composite
            zennit's rules for the layers.
        layer : str
            Name of the layer.
        by : {"relevance", "activation"}
            What the images are ranked by.
        batch : int
            Images that are computed together.
        """
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # progress bars
            self.run(rules, 0, len(self.dataset), batch)
        maximization = self.RelMax if by == "relevance" else self.ActMax
        indices, scores, _ = load_maximization(maximization.PATH, layer)
        return torch.tensor(indices), torch.tensor(scores)


def _forget(collector: Maximization | Statistics) -> None:
    collector.d_c_sorted, collector.rel_c_sorted, collector.rf_c_sorted = {}, {}, {}
