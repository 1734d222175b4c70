"""Decoding in a process of its own, with limits: no file can crash the caller, hang it or fill its memory."""

import math
import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import relcomp_kit
from relcomp_kit.compression.nnc.bitstream import Header
from relcomp_kit.errors import UserError

BASE_MEMORY = 2**29  # bytes of address space for Python, numpy and LZMA, which need a fifth of it
BASE_SECONDS = 4.0  # of processor time; a start takes 0.2
BYTES_A_SECOND = 2**19  # of a file; nets of 2 to 8 bit take a fifth of that time
TOO_LONG = -int(getattr(signal, "SIGXCPU", 0))  # the status of a process that used up its time
PATIENCE = 20  # seconds by the clock for each of the processor, which others use too


def seconds_for(data: bytes) -> float:
    """Return how much processor time decoding a file may take, in seconds: generous for every honest file."""
    return BASE_SECONDS + len(data) / BYTES_A_SECOND


def decode_apart(data: bytes, header: Header, source: str, seconds: float) -> bytearray:
    """Return the bytes of `bitstream.plain_parts`, decoded by `worker`.

    Parameters
    ----------
    data : bytes
        A file, whose header was read.
    header : Header
    source : str
        What the file is called in an error.
    seconds : float
        Of processor time, after which the process is ended.

    Raises
    ------
    UserError
        If the process fails, takes too long or more memory than such a net needs, or gives another number of bytes.
    """
    if find_spec("resource") is None:
        raise UserError(
            f"this system cannot limit a process, so {source} is decoded only if you trust it: trusted=True"
        )
    memory = BASE_MEMORY + 12 * header.largest + 2 * (len(data) + header.plain)  # 12: as int32, and two copies
    try:
        status, plain = _run(data, [memory, math.ceil(seconds), header.plain], PATIENCE * seconds)
    except OSError as error:
        raise UserError(f"{source} cannot be decoded ({error.strerror}): make room for temporary files") from error
    if status == TOO_LONG:
        raise UserError(
            f"{source} was not decoded within {math.ceil(seconds)} s of processor time: allow more seconds if you know "
            "where it comes from"
        )
    if status or len(plain) != header.plain:
        raise UserError(
            f"{source} does not hold the net that its header announces (the decoder ended with status {status}): "
            "it was not made by `relcomp encode`, do not use it"
        )
    return plain


def _run(data: bytes, limits: list[int], patience: float) -> tuple[int, bytearray]:
    """Return the worker's exit status, and what it wrote: never more than the last of its limits."""
    command = [sys.executable, "-m", "relcomp_kit.compression.nnc.worker", *map(str, limits)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each thread reserves memory
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as output:
        file.write(data)
        file.seek(0)
        try:
            status = subprocess.run(
                command,
                stdin=file,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=Path(relcomp_kit.__file__).parent.parent,  # not a folder in which someone put a numpy.py
                env=environment,
                timeout=patience,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = TOO_LONG
        plain = bytearray(min(os.fstat(output.fileno()).st_size, limits[-1]))
        output.seek(0)
        output.readinto(plain)
    return status, plain
