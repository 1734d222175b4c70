"""The names at the top of the package: all there, in step with what type checkers see, and instant to import."""

import ast
import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import relcomp_kit


def test_every_name_is_there_and_the_one_of_its_room():
    for name in relcomp_kit.__all__:
        room = f"relcomp_kit.{relcomp_kit._HOME[name]}"
        assert getattr(relcomp_kit, name) is getattr(sys.modules[room], name)
    assert set(relcomp_kit.__all__) <= set(dir(relcomp_kit))


def test_type_checkers_see_the_same_names_in_the_same_rooms():
    tree = ast.parse(Path(relcomp_kit.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module.removeprefix("relcomp_kit.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("relcomp_kit")
        for alias in node.names
    }
    assert seen == relcomp_kit._HOME
    assert sorted(seen) == sorted(relcomp_kit.__all__)


def test_importing_the_package_imports_nothing_heavy():
    code = "import relcomp_kit, sys; print(*(set(sys.modules) & {'torch', 'numpy', 'matplotlib', 'numba'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


PLACE = Path(relcomp_kit.__file__).parent
WITH_EXAMPLES = [
    ".".join(file.relative_to(PLACE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in sorted(PLACE.rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_run(name):
    found = doctest.testmod(import_module(name), verbose=False)
    assert found.attempted and not found.failed


def test_public_verbs_have_examples():
    assert len(WITH_EXAMPLES) > 5


def snippets() -> list[str]:
    """The Python in the README: that of one's own net, and that of the verbs."""
    text = (PLACE.parent / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_snippet_in_the_readme_runs():
    _, code = snippets()
    found = {}
    exec(code, found)
    indices = found["quantized"].indices
    assert all(index.equal(found["again"].indices[name]) for name, index in indices.items())
    assert sum(value.numel() for value in found["small"].parameters()) < sum(
        v.numel() for v in found["net"].parameters()
    )


@pytest.mark.slow
def test_the_ten_lines_for_a_net_of_ones_own_run(tmp_path, monkeypatch, capsys):
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.models import squeezenet1_1

    code, _ = snippets()
    lines = [line for line in code.splitlines() if line and not line.startswith("import")]
    assert len(lines) == 10
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (70, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    state = squeezenet1_1(num_classes=2).state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    assert "can be removed" in capsys.readouterr().out
    assert (tmp_path / "expert.onnx").is_file()
    assert (
        relcomp_kit.macs(found["expert"], found["task"].example)["all"]
        < relcomp_kit.macs(found["net"], found["task"].example)["all"]
    )
