"""The process in which a file that is not trusted is decoded: file on its input, plain bytes on its output.

Started by `process` with the most bytes of address space, seconds of processor time and bytes of output. Imports no
torch. Whatever the file makes the decoder do, this process ends, and no one else's memory is touched.
"""

import os
import resource
import sys

from relcomp_kit.compression.nnc.bitstream import plain_parts, read


def main() -> None:
    """Decode within limits; exit status 0 means that all went well."""
    memory, seconds, length = map(int, sys.argv[1:])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the coder prints
    for limit, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, length),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most + (limit == resource.RLIMIT_CPU)))  # a second to die of the signal
    data = sys.stdin.buffer.read()
    with output:
        for part in plain_parts(data, read(data, "the file")):
            output.write(part)


if __name__ == "__main__":
    main()
