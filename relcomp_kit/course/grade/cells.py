"""Run one cell of a notebook without the others: with what it needs of them, as far as that takes no time."""

import ast
import builtins


def run_cell(cells: list[str], index: int, space: dict | None = None) -> dict:
    """Run a cell, and before it the imports, functions, classes and constants above it that it needs.

    Parameters
    ----------
    cells : list of str
        The code of a notebook. A cell above the one that cannot be read as Python is passed over.
    index : int
        Which one to run.
    space : dict, optional
        Names that win over those above the cell.

    Returns
    -------
    dict
        The cell's names and their values.
    """
    cell = ast.parse(cells[index], "<cell>")
    above = [statement for code in cells[:index] for statement in _statements(code)]
    found: dict = {"__name__": "cell"}
    exec(compile(ast.Module(_needed(cell, above), []), "<above>", "exec"), found)
    found |= space or {}
    exec(compile(cell, "<cell>", "exec"), found)
    return found


def _statements(code: str) -> list[ast.stmt]:
    try:
        return ast.parse(code).body
    except SyntaxError:  # a command of the notebook, or unfinished work
        return []


def _needed(cell: ast.Module, above: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements above a cell that it needs, and those that these need in turn, in their order."""
    binding = {name: index for index, statement in enumerate(above) for name in _bound(statement)}
    wanted, found = [*_names(cell)], set()
    while wanted:
        index = binding.get(wanted.pop())
        if index is not None and index not in found:
            found.add(index)
            wanted += _names(above[index])
    return [above[index] for index in sorted(found)]


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(dir(builtins))


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names that an import, a function, a class or a constant binds; other statements may take hours."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        try:
            ast.literal_eval(statement.value)
        except (ValueError, TypeError):
            return []
        return [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return []
