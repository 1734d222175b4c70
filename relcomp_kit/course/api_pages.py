"""The API as pages made from docstrings: one HTML file a module, with a search, without the network."""

import pkgutil
from importlib import import_module
from pathlib import Path

import relcomp_kit
from relcomp_kit.errors import UserError
from relcomp_kit.files import refusal


def documented() -> list[str]:
    """Return the names of all modules but the command line, whose `relcomp --help` says what commands take."""
    found = [module.name for module in pkgutil.walk_packages(relcomp_kit.__path__, "relcomp_kit.")]
    return ["relcomp_kit", *(name for name in found if not name.startswith("relcomp_kit.cli"))]


def write_api(out: Path) -> Path:
    """Write a page for every module of the kit, and return the page to open.

    Parameters
    ----------
    out : Path
        Folder of the pages; made if it is missing.

    Returns
    -------
    Path
        ``index.html`` in that folder.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    from pdoc import pdoc, render

    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder for the pages")
    render.configure(docformat="numpy", show_source=False)
    for name in documented():
        module = import_module(name)
        for public in getattr(module, "__all__", ()):  # names that are imported when they are used
            setattr(module, public, getattr(module, public))
    try:
        pdoc(*_not_found_alone(documented()), output_directory=out)
    except OSError as error:
        raise refusal(out, error) from error
    return out / "index.html"


def _not_found_alone(names: list[str]) -> list[str]:
    """Return the modules that pdoc has to be told of: it finds those of a package that has no ``__all__``."""
    told = ["relcomp_kit"]
    for name in names[1:]:
        package, _, last = name.rpartition(".")
        if last not in getattr(import_module(package), "__all__", (last,)):
            told.append(name)
    return told
