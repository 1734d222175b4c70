"""The last cell of every lesson: links to the lesson before, the glossary beside it, and the lesson after.

The links are relative, so they work where the notebooks lie together: in the checkout, in JupyterLab, in a run, in the
students' pack. The pages of the site have links of their own (`relcomp_kit.course.lesson_page`).
"""

from collections.abc import Mapping

from nbformat import NotebookNode

from relcomp_kit.course import glossary

TAG = "navigation"


def line(name: str, titles: Mapping[str, str]) -> str:
    """Return the text of the cell.

    Parameters
    ----------
    name : str
        Of the lesson, such as ``"02_prune_until_it_converges"``.
    titles : mapping of str to str
        Name to title of the lessons that lie together.
    """
    names = sorted(titles)
    before = [one for one in names if one < name][-1:]
    after = [one for one in names if one > name][:1]
    links = [f"← {_link(one, titles)}" for one in before]
    links.append(f"[Glossary]({glossary.FILE})")
    links += [f"{_link(one, titles)} →" for one in after]
    return " · ".join(links)


def _link(name: str, titles: Mapping[str, str]) -> str:
    return f"[{name[:2]} {titles[name]}]({name}.ipynb)"


def link(notebook: NotebookNode, name: str, titles: Mapping[str, str]) -> None:
    """Write the links of a lesson anew, for the lessons that lie beside it here.

    Parameters
    ----------
    notebook : NotebookNode
        The lesson, changed in place; without a cell tagged `TAG` it stays as it is.
    name : str
        Of the lesson.
    titles : mapping of str to str
        As for `line`.
    """
    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            cell.source = line(name, titles)
