"""What the cached results rest on: a fingerprint of the code behind every recipe, against numbers gone stale.

An artifact and a sweep's record are named by their recipe's ``VERSION``, which is kept by hand: a change that gives
other values and forgets it would serve the old ones for ever. So ``fingerprints.json`` holds a hash of every function,
class and constant that a recipe rests on, and `test_fingerprints` says which of them changed while the version stayed.

Which ones those are is found by following names through the source, from the functions that call `load_or_make` and the
experiments of sweeps. Finer than by modules: who adds a measure to `saliency.py` need not think about recipes that use
another one. A hash is that of the syntax tree without docstrings and annotations, so that layout, comments and types
change nothing. What is left of false alarms, such as a renamed variable, costs one command:

    python tests/studies/fingerprints.py --accept

It is not part of the names in the cache, because then each of these false alarms would cost users hours of training.
The scenes that the kit draws have a version of their own, which is part of their data's hash; they are a recipe here
too. What is imported from libraries is not followed, nor are files, locks and progress: they decide no figure.
"""

import ast
import hashlib
import json
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).with_suffix(".json")
DRAWN = "relcomp_kit.datasets.rail_scenes"
OUTSIDE = ("errors", "files", "cache", "artifacts", "progress", "provenance", "figures", "evidence", "sweeps", "course")


@cache
def module_file(module: str) -> Path | None:
    """Return the source of a module of the kit; None for all else."""
    place = ROOT.joinpath(*module.split("."))
    found = [file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]
    return found[0] if found and module.split(".")[0] == "relcomp_kit" else None


class _Plain(ast.NodeTransformer):
    """Take docstrings and annotations away."""

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def _function(self, node):
        node.returns = None
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = _function


@cache
def definitions(module: str) -> tuple[dict[str, list[ast.stmt]], dict[str, str]]:
    """Return what a module defines, name to statements, and what it imports from the kit, name to its full name."""
    tree = _Plain().visit(ast.parse(module_file(module).read_text(encoding="utf-8")))
    defined: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.setdefault(node.name, []).append(node)
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    defined.setdefault(part.id, []).append(node)
    return defined, imported(tree)


def imported(tree: ast.AST) -> dict[str, str]:
    """Return the names that a piece of source imports from the kit, anywhere in it."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relcomp_kit"):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.asname or a.name: a.name for a in node.names if a.name.startswith("relcomp_kit")}
    return found


def resolve(full: str) -> str | None:
    """Return "module:name" of something in the kit, where it is defined; None if it is outside of what counts."""
    module, _, name = full.rpartition(".")
    if module_file(full) or not module_file(module) or module.split(".")[1] in OUTSIDE:
        return None
    defined, imports = definitions(module)
    if name in defined:
        return f"{module}:{name}"
    return resolve(imports[name]) if name in imports else None


@cache
def uses(definition: str) -> frozenset[str]:
    """Return what a definition names, each as "module:name"."""
    module, _, name = definition.partition(":")
    defined, imports = definitions(module)
    found = set()
    for node in (part for statement in defined[name] for part in ast.walk(statement)):
        words = []
        while isinstance(node, ast.Attribute):
            words, node = [node.attr, *words], node.value
        if isinstance(node, ast.Name) and node.id in defined:
            found.add(f"{module}:{node.id}")
        elif isinstance(node, ast.Name) and node.id in imports:
            full = imports[node.id]
            while words and module_file(full):
                full = f"{full}.{words.pop(0)}"
            found.add(resolve(full))
    return frozenset(found - {None, definition})


def reach(roots: set[str], stop: str | None = DRAWN) -> set[str]:
    """Return all that some definitions rest on, themselves included, without what is in the package ``stop``."""
    found, waiting = set(), set(roots)
    while waiting:
        one = waiting.pop()
        if one in found or (stop and one.startswith((f"{stop}:", f"{stop}."))):
            continue
        found.add(one)
        waiting |= uses(one)
    return found


def digest(definition: str) -> str:
    """Return a hash of the syntax of a definition, the same in every version of Python."""
    module, _, name = definition.partition(":")
    text = "".join(dump(statement) for statement in definitions(module)[0][name])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def dump(node) -> str:
    """Return a syntax tree as text, without fields that are empty: newer versions have more of them."""
    if isinstance(node, list):
        return "[" + ",".join(map(dump, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return f"{type(node).__name__}({','.join(f'{name}={dump(value)}' for name, value in fields)})"


@cache
def recipes() -> dict[str, tuple[str, int, frozenset[str]]]:
    """Return every recipe: where its version stands, the version, and the definitions that it rests on."""
    found = {}
    for file in sorted((ROOT / "relcomp_kit").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if "load_or_make(" not in file.read_text(encoding="utf-8") or module == "relcomp_kit.artifacts":
            continue
        for root, statements in definitions(module)[0].items():
            for call in (part for statement in statements for part in ast.walk(statement)):
                if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "load_or_make":
                    recipe, version = (_value(module, argument) for argument in call.args[:2])
                    rests = frozenset(reach({f"{module}:{root}"}))
                    before = found.get(recipe, (module, version, rests))
                    if before[:2] != (module, version):  # one would hide the other, here and in the cache
                        raise ValueError(f"{before[0]} and {module} both make {recipe!r}: take another name for one")
                    found[recipe] = (module, version, before[2] | rests)
    import relcomp_kit.studies  # noqa: F401, it registers the experiments
    from relcomp_kit.sweeps.experiments import EXPERIMENTS

    for name, reference in EXPERIMENTS.items():
        version = resolve(f"{reference.partition(':')[0]}.VERSION")
        found[f"sweep: {name}"] = (version.partition(":")[0], constant(version), frozenset(reach({reference})))
    roots = {resolve(f"{DRAWN}.{name}") for name in ("CLASSES", "SPLITS", "RailScenes")}
    found["rail scenes"] = (DRAWN, constant(f"{DRAWN}:VERSION"), frozenset(reach(roots, None)))
    return found


def _value(module: str, node: ast.expr):
    """Return what an argument is: a constant, or a name of the module."""
    return node.value if isinstance(node, ast.Constant) else constant(resolve(f"{module}.{node.id}"))


def constant(definition: str):
    """Return the value of a constant such as ``VERSION``, without importing its module, which takes seconds."""
    module, _, name = definition.partition(":")
    (statement,) = definitions(module)[0][name]
    target, value = statement.targets[0], ast.literal_eval(statement.value)
    return value if isinstance(target, ast.Name) else value[[part.id for part in target.elts].index(name)]


def current() -> dict:
    """Return what `STORED` has to hold now."""
    found = recipes()
    everything = sorted(set().union(*(rests for _, _, rests in found.values())))
    return {
        "versions": {name: version for name, (_, version, _) in sorted(found.items())},
        "definitions": {one: digest(one) for one in everything if not one.endswith(":VERSION")},
    }


def complaints(stored: dict, now: dict) -> list[str]:
    """Return a sentence for every recipe whose code changed while its version did not."""
    before, after = stored["definitions"], now["definitions"]
    changed = {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}
    found = []
    for name, (place, version, rests) in recipes().items():
        # what is gone no recipe rests on any more: who named it has changed, too
        mine = sorted(one for one in changed & rests)
        if mine and stored["versions"].get(name) == version:
            found.append(f"{name} ({place}, version {version}) rests on {', '.join(mine)}")
    return found


if __name__ == "__main__":
    if sys.argv[1:] != ["--accept"]:
        raise SystemExit("python tests/studies/fingerprints.py --accept")
    STORED.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {STORED.relative_to(ROOT)}")
