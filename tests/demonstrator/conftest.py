"""States and nets that the tests of the demonstrator share."""

import pytest

from relcomp_kit.compression import nnc
from relcomp_kit.demonstrator import State, nets, parse

NET = "compact-rail-scenes-0"


@pytest.fixture(scope="session")
def net() -> nets.SuperNet:
    """The committed net, whose relevance is committed too."""
    return nets.load(NET)


@pytest.fixture
def state():
    """A function that makes a state from a line."""
    return lambda line="", **start: parse(line, State(**start))


@pytest.fixture(scope="session")
def make_file(tmp_path_factory):
    """A function that codes the committed net into a file; keywords change the info in its header."""
    folder = tmp_path_factory.mktemp("files")

    def make(name="net.nnc", paths=None, drop=(), **changes) -> str:
        source = nets.load(NET)
        info = {"net": "compact", "classes": list(source.classes)} | changes
        file = folder / name
        info = {key: value for key, value in info.items() if key not in drop}
        file.write_bytes(nnc.encode(source.quantized, paths=paths, info=info))
        return str(file)

    return make
