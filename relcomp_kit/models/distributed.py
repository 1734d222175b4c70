"""Training of one net by several processes, started by torchrun's launcher on one or several machines."""

import inspect
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device

# Loggers that print tracebacks of what `launch` raises as an exception.
LOUD = ("torch.distributed.elastic", "torch.distributed.elastic.agent.server.api", "torch.multiprocessing")
WAIT = 600  # seconds, for the other machines to come
# What the launcher answers by a function of its own, and does not give back.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]

# The option by which the first process' buffers overwrite the others' at every step; older torch has another name.
SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


@dataclass(frozen=True)
class Group:
    """The processes that train together, seen from one of them.

    Attributes
    ----------
    rank, local_rank : int
        The number of this process among all, and among those of its machine.
    size : int
        How many there are in all.
    device : torch.device
        Where this process computes.
    """

    rank: int
    local_rank: int
    size: int
    device: torch.device

    def share(self, net: nn.Module) -> nn.Module:
        """Return the net with gradients averaged over the processes after every backward pass.

        Buffers are left alone: the running statistics of batch-norm stay each process' own.
        """
        options: dict[str, Any] = {SYNC_BUFFERS: False}
        return net if self.size == 1 else DistributedDataParallel(net, **options)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of the processes' values, the same in each."""
        value = value.detach().clone()
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def from_first(self, content):
        """Return in every process the value that the first one passed."""
        box = [content]
        if self.size > 1:
            distributed.broadcast_object_list(box)
        return box[0]


def count(devices: int, machines: int) -> int:
    """Return how many processes there are in all, and check that this machine can run its part.

    Parameters
    ----------
    devices : int
        Processes on each machine.
    machines : int
        How many machines there are.

    Returns
    -------
    int
        ``devices * machines``.

    Raises
    ------
    UserError
        If a number is below 1, or this is one of several machines and has GPUs, but fewer than ``devices``.
    """
    if devices < 1 or machines < 1:
        raise UserError(f"{devices} devices on {machines} machines cannot train: take 1 at least")
    gpus = torch.cuda.device_count()
    if machines > 1 and 0 < gpus < devices:
        raise UserError(f"this machine has {_gpus(gpus)}, not {devices}: take fewer devices on each machine")
    return devices * machines


def _gpus(count: int) -> str:
    return f"{count} GPU{'s' if count > 1 else ''}"


def place(local_rank: int, processes: int, gpus: int) -> tuple[str, torch.device]:
    """Return the backend by which the processes of a machine meet, and where one of them computes.

    NCCL wants a GPU for each process. Where there are fewer, they share them and meet by Gloo: so a single GPU can test
    what several run.

    Parameters
    ----------
    local_rank : int
        Number of the process among those of its machine.
    processes : int
        How many run on the machine.
    gpus : int
        How many GPUs it has; with 0, all processes compute on the CPU.
    """
    if not gpus:
        return "gloo", torch.device("cpu")
    return "nccl" if processes <= gpus else "gloo", torch.device("cuda", local_rank % gpus)


def launch(work: Callable[[Group], None], devices: int = 1, machines: int = 1) -> None:
    """Call ``work(group)``: here if one process is wanted, otherwise in new ones, and wait for their end.

    Parameters
    ----------
    work : callable
        Has to be picklable where there are several processes. They share the memory of its tensors.
    devices : int
        Processes on this machine, a GPU each, or all on the CPU; more than there are GPUs share them.
    machines : int
        How many machines make this same call; they meet at ``$MASTER_ADDR:$MASTER_PORT``, an address of one of them.

    Raises
    ------
    UserError
        If one is raised in a process, one of several machines has too few GPUs, the meeting point is no address that
        can be reached, or a machine does not come there within `WAIT` seconds.
    """
    if count(devices, machines) == 1:
        work(Group(0, 0, 1, choose_device()))
        return
    if 0 < (gpus := torch.cuda.device_count()) < devices:
        print(f"relcomp: {devices} processes share {_gpus(gpus)}: slower than one for each GPU", file=sys.stderr)
    meeting_point = _meeting_point() if machines > 1 else "localhost:0"
    config = LaunchConfig(
        min_nodes=machines,
        max_nodes=machines,
        nproc_per_node=devices,
        run_id="relcomp",
        rdzv_backend="c10d",
        rdzv_endpoint=meeting_point,
        rdzv_configs={"join_timeout": WAIT},
        max_restarts=0,
        start_method="spawn",
        monitor_interval=0.1,
    )
    levels = {name: logging.getLogger(name).level for name in LOUD}
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        elastic_launch(config, _join)(work)
    except ChildFailedError as error:
        failure = error.get_first_failure()[1].message
        kind, _, sentence = (failure["message"] if isinstance(failure, dict) else failure).partition(": ")
        if kind == "UserError":
            raise UserError(sentence) from None
        raise
    except RendezvousError as error:
        raise UserError(
            f"{machines} machines have not met at {meeting_point}: start the same command on all of them within "
            f"{WAIT / 60:g} minutes, with a MASTER_ADDR and MASTER_PORT that all can reach"
        ) from error
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _meeting_point() -> str:
    """Return ``$MASTER_ADDR:$MASTER_PORT``, or raise a `UserError` where it is not set or is no address."""
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if not host or not port:
        raise UserError("several machines meet at an address of one of them: set MASTER_ADDR and MASTER_PORT on all")
    if not (port.isdecimal() and 0 < int(port) < 2**16):
        raise UserError(f"MASTER_PORT is {port!r}: set it to a whole number from 1 to {2**16 - 1}, the same on all")
    try:
        socket.getaddrinfo(host, int(port))
    except (OSError, UnicodeError) as error:
        raise UserError(f"MASTER_ADDR is {host!r}, which this machine does not know ({error}): correct it") from error
    return f"{host}:{port}"


def _join(work: Callable[[Group], None]) -> None:
    """Meet the other processes and work with them; torchrun's launcher has set the variables that are read here."""
    local_rank, processes = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    backend, device = place(local_rank, processes, torch.cuda.device_count())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(backend)
    work(Group(distributed.get_rank(), local_rank, distributed.get_world_size(), device))
    distributed.destroy_process_group()
