"""Experts for use outside of the kit: as a program of `torch.export`, and as ONNX for ONNX Runtime."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path as File

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from relcomp_kit.compression.experts.coupling import fitting_example
from relcomp_kit.errors import UserError
from relcomp_kit.files import write_atomic
from relcomp_kit.models.outputs import logits
from relcomp_kit.relevance.channels import check_eval


class Logits(nn.Module):
    """A net that gives its logits alone."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return logits(self.net(x))


def export_program(net: nn.Module, example: Tensor, file: File) -> File:
    """Write a net as a program of `torch.export`, for inputs of the example's shape.

    ``torch.export.load(file).module()(x)`` gives the logits, without any code of the kit.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    example : Tensor
        An input of the net.
    file : Path
        Where to write.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If the net is in train mode, or the example does not go through it.
    """
    buffer = io.BytesIO()
    torch.export.save(_program(net, example), buffer)
    return write_atomic(file, buffer.getvalue())


def export_onnx(net: nn.Module, example: Tensor, file: File) -> File:
    """Write a net as ONNX, for inputs of the example's shape; its input is called "x" and its output "logits".

    Parameters
    ----------
    net : nn.Module
        In eval mode, below 2 GB.
    example : Tensor
        An input of the net.
    file : Path
        Ends in ``.onnx``; weights are in it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If the net is in train mode, or the example does not go through it.
    """
    program = _program(net, example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        made = torch.onnx.export(program, input_names=["x"], output_names=["logits"], dynamo=True, verbose=False)
    assert made is not None  # that is only without dynamo
    return write_atomic(file, made.model_proto.SerializeToString())


def open_onnx(file: File, threads: int | None = None) -> Callable[[Tensor], Tensor]:
    """Return a function that runs an ONNX file in ONNX Runtime on the CPU: input to logits.

    Parameters
    ----------
    file : Path
        As `export_onnx` writes it.
    threads : int, optional
        As many as torch uses, by default.

    Returns
    -------
    callable
        Input, of the shape of the exported example, to logits; both Tensor, on the CPU.

    Raises
    ------
    UserError
        If the file cannot be opened as ONNX.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # they sleep while they wait
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own kinds have no common parent but this
        raise UserError(f"{file} cannot be opened as ONNX: write it by export_onnx") from error
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(session.run(None, {name: x.numpy()})[0]))

    return run


def _program(net: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    check_eval(net)
    with torch.no_grad(), fitting_example():
        return torch.export.export(Logits(net).eval(), (example,))
