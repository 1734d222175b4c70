"""The API as pages made from docstrings: one HTML file a module, with a search, without the network."""

import pkgutil
import re
import tempfile
from importlib import import_module
from pathlib import Path

import relcomp_kit
from relcomp_kit.errors import UserError
from relcomp_kit.files import refusal

TEMPLATE = """{% extends "default/module.html.jinja2" %}
{% block nav_title %}
<p><a href="{{ "../" * module.modulename.count(".") }}HOME">The course</a></p>{{ super() }}
{% endblock %}
"""  # pdoc's page, with a link above the names
STYLE = ".pdoc .docstring { overflow-wrap: anywhere; }"  # pdoc adds it: a long name does not widen the page of a phone


def documented() -> list[str]:
    """Return the names of all modules but the command line, whose `relcomp --help` says what commands take."""
    found = [module.name for module in pkgutil.walk_packages(relcomp_kit.__path__, "relcomp_kit.")]
    return ["relcomp_kit", *(name for name in found if not name.startswith("relcomp_kit.cli"))]


def write_api(out: Path, home: str | None = None) -> Path:
    """Write a page for every module of the kit, and return the page to open.

    Parameters
    ----------
    out : Path
        Folder of the pages; made if it is missing.
    home : str, optional
        What every page links to, as seen from that folder: such as ``"../index.html"``, the site around them.

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
    for name in documented():
        module = import_module(name)
        for public in getattr(module, "__all__", ()):  # names that are imported when they are used
            setattr(module, public, getattr(module, public))
    with tempfile.TemporaryDirectory() as templates:
        (Path(templates) / "custom.css").write_text(STYLE, encoding="utf-8")
        if home:
            (Path(templates) / "module.html.jinja2").write_text(TEMPLATE.replace("HOME", home), encoding="utf-8")
        render.configure(docformat="numpy", show_source=False, template_directory=Path(templates))
        try:
            pdoc(*_not_found_alone(documented()), output_directory=out)
            for page in out.rglob("*.html"):
                page.write_text(_without_dead_links(page.read_text(encoding="utf-8")), encoding="utf-8")
        except OSError as error:
            raise refusal(out, error) from error
    return out / "index.html"


def _without_dead_links(page: str) -> str:
    """Return a page without the links that pdoc makes to methods of a base class, which it then does not show."""
    named = set(re.findall(r'\bid="([^"]*)"', page))
    return re.sub(r'<a href="#([^"]+)">([^<]*)</a>', lambda link: link[0 if link[1] in named else 2], page)


def _not_found_alone(names: list[str]) -> list[str]:
    """Return the modules that pdoc has to be told of: it finds those of a package that has no ``__all__``."""
    told = ["relcomp_kit"]
    for name in names[1:]:
        package, _, last = name.rpartition(".")
        if last not in getattr(import_module(package), "__all__", (last,)):
            told.append(name)
    return told
