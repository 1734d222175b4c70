"""The shape of the repository and of every lesson in it: what a reviewer would otherwise check by eye."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from relcomp_kit.course import exercises, notebooks
from relcomp_kit.files import checkout

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
TOP_LEVEL = {"pyproject.toml", "notebooks", "relcomp_kit", "data", "tests", "environment.yml", "README.md"}
TOP_LEVEL |= {"LICENSE", "CITATION.cff"}
TEXT_SUFFIXES = {".py", ".ipynb", ".toml", ".yml", ".yaml", ".md", ".json", ".txt", ".cfg", ""}
CONDA_NAMES = {"torch": "pytorch"}  # what conda-forge calls differently
FROM_PIP = {
    "zennit",
    "zennit-crp",
    "torch-pruning",
    "playwright",
    "sphinx-revealjs",
}  # what conda-forge lacks


def rendered(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", as_version=4)


def code_cells(source: Path) -> list:
    return [cell for cell in notebooks.read_source(source).cells if cell.cell_type == "code"]


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


lessons = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def test_modules_of_tests_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names)), "pytest takes two of one name for the same module"


def test_lessons_are_where_the_kit_looks():
    assert checkout() == ROOT
    assert notebooks.find_lessons() == SOURCES
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {source.stem for source in SOURCES}


@lessons
def test_notebook_is_in_step_with_its_source(source):
    expected, found = notebooks.read_source(source), rendered(source)
    assert [cell.id for cell in found.cells] == [f"{source.stem[:2]}-{i:03d}" for i in range(len(found.cells))]
    shape = [(cell.id, cell.cell_type, cell.metadata, cell.source) for cell in expected.cells]
    assert [(cell.id, cell.cell_type, cell.metadata, cell.source) for cell in found.cells] == shape
    assert found.metadata == expected.metadata


@lessons
def test_notebook_is_fit_to_be_committed(source):
    assert notebooks.problems(rendered(source)) == []
    text = (ROOT / "notebooks" / f"{source.stem}.ipynb").read_text(encoding="utf-8")
    assert "jupytext_version" not in text
    assert "\r" not in text


@lessons
def test_five_cells_or_more_are_compared(source):
    checked = [c for c in rendered(source).cells if "nbval-check-output" in c.metadata.get("tags", [])]
    assert len(checked) >= 5
    assert all(cell.outputs for cell in checked), "a checked cell without output compares nothing"


@lessons
def test_parameters_cell(source):
    cells = [cell for cell in code_cells(source) if "parameters" in cell.metadata.get("tags", [])]
    (cell,) = cells
    others = r'(  # or "[\w-]+"(,(\n#)? "[\w-]+")*)?'
    assert re.fullmatch(rf'profile = "quick"\nseed = 0(\ndataset = "(mnist|rail-scenes)"{others})?', cell.source)


@lessons
def test_cells_are_few_and_short(source):
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code_cells(source)]
    assert len(lengths) <= 45
    assert statistics.median(lengths) <= 6
    assert max(lengths) <= 25


@lessons
def test_prose_explains_the_code(source):
    prose = " ".join(c.source for c in notebooks.read_source(source).cells if c.cell_type == "markdown")
    words = len(re.findall(r"\w{2,}", prose))
    lines = sum(bool(line.strip()) for cell in code_cells(source) for line in cell.source.splitlines())
    assert words / lines >= 6


@lessons
def test_student_version_holds_no_solution(source):
    original = notebooks.read_source(source)
    places = [index for index, cell in enumerate(original.cells) if "exercise" in cell.metadata.get("tags", [])]
    student = exercises.student_version(notebooks.read_source(source))
    for index in places:
        solution = original.cells[index].source.split("# solution", 1)[1]
        body = [line for line in solution.splitlines() if line.startswith(" ")]
        assert body
        assert not any(line in student.cells[index].source.splitlines() for line in body)
        assert "raise NotImplementedError" in student.cells[index].source
        compile(student.cells[index].source, "exercise", "exec")


@lessons
def test_exercises_and_questions(source):
    prose = "\n".join(c.source for c in notebooks.read_source(source).cells if c.cell_type == "markdown")
    headings = re.findall(r"^## Exercise (\d): (.+)$", prose, re.MULTILINE)
    assert [int(number) for number, _ in headings] == [*range(1, len(headings) + 1)]
    *graded, (_, last) = headings
    assert 3 <= len(graded) <= 4
    assert all(re.fullmatch(r"[^★]+ ★{1,3}", title) for _, title in graded), "stars say how hard an exercise is"
    assert last.startswith("open")
    questions = prose.split("## Three questions", 1)[1]
    assert all(re.search(rf"^{number}\. ", questions, re.MULTILINE) for number in (1, 2, 3))
    assert "<details>" in questions


def test_top_level_holds_nothing_else():
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_no_file_names_a_package_registry():
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "anaconda" + ".org", "anaconda" + ".com", "npmjs" + ".com"]
    for path in tracked():
        if path.suffix in TEXT_SUFFIXES:
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not [host for host in hosts if host in text], path


def test_package_holds_no_lesson():
    find = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]
    assert find == {"include": ["relcomp_kit*"]}
    assert not [path for path in tracked() if path.suffix == ".ipynb" and ROOT / "relcomp_kit" in path.parents]
    for path in (ROOT / "relcomp_kit").rglob("*.py"):
        assert not re.search(r"^\s*# solution$", path.read_text(encoding="utf-8"), re.MULTILINE), path


def split_requirement(text: str) -> tuple[str, str]:
    name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*([<>=!~][^;]*)?(?:;.*)?", text.strip()).groups()
    return name, ",".join(sorted((bounds or "").replace(" ", "").split(",")))


def test_environment_is_in_step_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *(r for r in extras["dev"] if "relcomp" not in r)]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    from_pip = [*next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))]
    from_pip.remove("-e .")
    from_conda = dict(split_requirement(entry) for entry in environment["dependencies"] if isinstance(entry, str))
    assert project["requires-python"] == ">=3.10"
    assert from_conda.pop("python") == ">=3.13", "below, nncodec is wanted, and a compiler with it"
    assert "pip" in from_conda
    del from_conda["pip"]
    requirements = dict(split_requirement(entry) for entry in wanted if not entry.startswith("nncodec"))
    assert from_conda == {CONDA_NAMES.get(n, n): b for n, b in requirements.items() if n not in FROM_PIP}
    assert dict(split_requirement(entry) for entry in from_pip) == {n: requirements[n] for n in FROM_PIP}


def test_binder_is_in_step_with_the_environment():
    whole = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    binder = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    assert binder["channels"] == whole["channels"]
    assert set(binder["dependencies"]) <= {entry for entry in whole["dependencies"] if isinstance(entry, str)}
    assert {entry.partition(">")[0] for entry in binder["dependencies"]} >= {"python", "pip", "pytorch"}
    script = ROOT / ".binder" / "postBuild"
    assert script.stat().st_mode & 0o100
    assert "pip install --no-cache-dir --editable ." in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", script], check=True)


ROOMS = [
    *("datasets", "models", "relevance", "compression", "sweeps", "evidence", "figures", "studies", "course"),
    *("demonstrator", "cli"),
]
GROUND = ("errors", "files", "cache", "artifacts", "progress", "provenance", "threads")  # may be imported everywhere


def imports() -> dict[str, set[str]]:
    """Return the modules of the kit that each of its modules imports, at its top or inside a function."""
    place = ROOT / "relcomp_kit"
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in place.rglob("*.py")
    }
    found = {}
    for name, file in names.items():
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relcomp_kit"):
                wanted = [f"{node.module}.{alias.name}" for alias in node.names]
                found[name] |= {one if one in names else node.module for one in wanted} - {name}
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names if alias.name.startswith("relcomp_kit")}
    return found


@pytest.mark.slow
def test_imports_run_one_way():
    rooms = ["relcomp_kit", *(f"relcomp_kit.{name}" for name in ROOMS)]

    def height(module):
        parts = module.split(".")
        return 0 if parts[1:2] == [] or parts[1] in GROUND else rooms.index(".".join(parts[:2]))

    wrong = [
        f"{module} imports {other}"
        for module, others in imports().items()
        if module != "relcomp_kit"  # which names what is below it, and imports it when it is used
        for other in others
        if height(other) > height(module)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_ring():
    left = imports()
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"a ring goes through {sorted(left)}"


@pytest.mark.slow
def test_types_agree():
    """Of data sets, models, relevance and compression, as ``[tool.mypy]`` says."""
    pytest.importorskip("mypy")
    found = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not found.returncode, found.stdout
