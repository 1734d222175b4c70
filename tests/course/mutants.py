"""Faults put into a solution, one at a time: what a tired student might write.

Operators, constants and comparisons are changed, terms, conditions and calls dropped, arguments taken for one another.
"""

import ast
import copy
from collections.abc import Iterator

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
BITS = (ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
MEMBERS = (ast.In, ast.NotIn)
FAMILIES = (ARITHMETIC, BITS, ORDER, MEMBERS, (ast.And, ast.Or))
TWINS = {  # of the name of a function or method: others that one might take for it
    "sum": ("max", "min", "len"),
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "any": ("all",),
    "all": ("any",),
    "sorted": ("list",),
    "argmin": ("argmax",),
    "amin": ("amax", "mean"),
    "amax": ("amin", "mean"),
    "median": ("mean", "max", "min"),
    "mean": ("sum", "max"),
    "floor": ("ceil", "trunc"),
    "round": ("floor", "ceil"),
    "log": ("log2", "exp"),
    "log2": ("log", "exp2"),
    "relu": ("abs", "sigmoid"),
}

ENDS = (
    "-({})",
    "({}) + 1",
    "({}) - 1",
    "({}) * 2",
    "({}) / 2",
    "({}) ** 2",
    "abs({})",
    "int({})",
    "round({})",
    "max(0, {})",
    "({})[:1]",
)


def mutants(function: ast.FunctionDef) -> list[tuple[str, ast.FunctionDef]]:
    """Return faulty versions of a function, each with what was changed; no two are the same."""
    names = [argument.arg for argument in function.args.args]
    whole, found = copy.deepcopy(function), {}
    whole.body = [
        one for one in function.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    places = [(parent, field, index) for parent in ast.walk(whole) for field, index in _slots(parent)]
    for number, (parent, field, index) in enumerate(places):
        if parent is whole and field != "body":
            continue  # its name and its arguments
        node = _get(parent, field, index)
        for new in _instead(node, names):
            again = copy.deepcopy(whole)
            other = [(p, f, i) for p in ast.walk(again) for f, i in _slots(p)][number]
            _put(*other, copy.deepcopy(new))
            text = ast.unparse(ast.fix_missing_locations(again))
            if text != ast.unparse(whole):
                found[text] = f"{_said(node)}  ->  {_said(new)}"
    return [(what, ast.parse(text).body[0]) for text, what in found.items()]


def _slots(node: ast.AST) -> Iterator[tuple[str, int | None]]:
    """Name the places of a node that hold other nodes."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield field, None
        elif isinstance(value, list):
            yield from ((field, index) for index, one in enumerate(value) if isinstance(one, ast.AST))


def _get(parent: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(parent, field)
    return value if index is None else value[index]


def _put(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> None:
    if index is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[index] = new


def _said(node: ast.AST) -> str:
    if isinstance(node, (ast.operator, ast.cmpop, ast.boolop)):
        return type(node).__name__
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))


def _instead(node: ast.AST, names: list[str]) -> Iterator[ast.AST]:
    """Return what could stand in the place of a node by mistake."""
    for family in FAMILIES:
        if isinstance(node, family):
            yield from (other() for other in family if not isinstance(node, other))
    if isinstance(node, ast.MatMult):
        yield from (ast.Mult(), ast.Add(), ast.Sub())
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right, ast.BinOp(node.right, node.op, node.left))
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare):
        yield from (ast.Constant(True), ast.Constant(False))
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse, ast.IfExp(node.test, node.orelse, node.body))
    elif isinstance(node, (ast.If, ast.While)):
        yield from (ast.Pass(), *node.body[:1])
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        changed = (0, 1, -node.value, node.value + 1, node.value - 1, node.value * 2, node.value / 2)
        yield from map(ast.Constant, dict.fromkeys(value for value in changed if value != node.value))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        yield from (ast.Name(name, ast.Load()) for name in names if name != node.id)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Load):
        yield node.value
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield ast.comprehension(node.target, node.iter, node.ifs[:index] + node.ifs[index + 1 :], 0)
    elif isinstance(node, ast.AugAssign):
        yield ast.Pass()
        yield ast.Assign([node.target], node.value)
    elif isinstance(node, ast.Return) and node.value is not None:
        for text in ENDS:
            yield ast.parse("return " + text.format(ast.unparse(node.value))).body[0]


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    """Return other calls: of a twin, with other arguments, or what the call was applied to."""
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    for twin in TWINS.get(name, ()):
        func = copy.deepcopy(node.func)
        setattr(func, "id" if isinstance(func, ast.Name) else "attr", twin)
        yield ast.Call(func, node.args, node.keywords)
    for index in range(len(node.args)):
        yield ast.Call(node.func, node.args[:index] + node.args[index + 1 :], node.keywords)
        for other in range(index):
            order = list(node.args)
            order[index], order[other] = order[other], order[index]
            yield ast.Call(node.func, order, node.keywords)
    for index in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:index] + node.keywords[index + 1 :])
    if isinstance(node.func, ast.Attribute):
        yield node.func.value
    yield from node.args
