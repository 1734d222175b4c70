"""All of the kit on every net of torchvision: a right answer, or one sentence; never a wrong one or a raw exception.

All of them with ``RELCOMP_ALL_NETS=1``, which takes half an hour on one core, and 12 GB for the largest; else one of
each kind of trouble.
"""

import os

import pytest
from any_nets import MOST_CODED, names, row

HANDFUL = ("mnasnet0_5", "shufflenet_v2_x0_5", "lraspp_mobilenet_v3_large")


@pytest.mark.slow
@pytest.mark.parametrize("name", names() if os.environ.get("RELCOMP_ALL_NETS") else HANDFUL)
def test_relevance_file_and_expert(name):
    found = row(name)
    assert isinstance(found["relevance lost"], float) and found["relevance lost"] <= 1e-8, found
    if found["parameters"] <= MOST_CODED:
        assert isinstance(found["file"], float), found
    assert isinstance(found["expert"], float) and found["expert"] <= 1e-5, found
