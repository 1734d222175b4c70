"""Execute notebooks in a kernel of this interpreter, with the folders that a lesson reads made absolute."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbformat import NotebookNode

from relcomp_kit.datasets.download import data_dir
from relcomp_kit.files import cache_dir, checkout
from relcomp_kit.threads import patient


def notebooks_folder() -> Path:
    """Return the folder of the rendered lessons, in which kernels start."""
    return checkout() / "notebooks"


def execute(
    notebook: NotebookNode,
    output: Path | None = None,
    parameters: dict | None = None,
    environment: dict[str, str] | None = None,
    on_cell: Callable[[int], None] = lambda index: None,
) -> NotebookNode:
    """Execute a notebook with papermill, in a kernel of this very interpreter, started in the notebooks folder.

    Parameters
    ----------
    notebook : NotebookNode
        What to execute; it is changed.
    output : Path, optional
        File that papermill writes while it runs, so that a failed run can be looked at.
    parameters : dict, optional
        Values put after the cell tagged ``parameters``.
    environment : dict, optional
        Environment variables for the kernel, beside the absolute `data_environment`.
    on_cell : callable
        Called with the index of each cell that starts.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell raises.
    """
    import papermill

    with kernel_environment(environment or {}):
        return papermill.execute_notebook(
            notebook,
            output,
            parameters=parameters or {},
            kernel_name="python3",
            progress_bar=False,
            cwd=notebooks_folder(),
            on_cell_start=lambda cell, cell_index: on_cell(cell_index),
            coalesce_streams=True,
        )


def data_environment() -> dict[str, str]:
    """Return the folders that a lesson reads, absolute, because a kernel starts in the notebooks folder.

    Raises
    ------
    UserError
        If ``RELCOMP_DATA`` is set and no such folder is there.
    """
    folders = {"RELCOMP_CACHE": str(cache_dir().absolute())}
    if data := data_dir():
        folders["RELCOMP_DATA"] = str(data)
    return folders


@contextmanager
def kernel_environment(extra: dict[str, str]) -> Iterator[None]:
    """Set up this process's environment for a kernel, and restore it.

    The kernel named ``python3`` is this interpreter, whatever kernels the user has installed.
    """
    from ipykernel.kernelspec import write_kernel_spec

    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "kernels" / "python3"
        spec.parent.mkdir()
        write_kernel_spec(spec, extra_arguments=["--log-level=CRITICAL"])
        paths = [folder, *filter(None, [before.get("JUPYTER_PATH")])]
        os.environ.update(patient() | data_environment() | extra | {"JUPYTER_PATH": os.pathsep.join(paths)})
        os.environ.pop("MPLBACKEND", None)  # figures belong into the notebook
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def failure_text(error: Exception) -> str:
    """Say in one line where a lesson failed and with which error."""
    last_line = (str(error).strip().splitlines() or [""])[-1]
    if hasattr(error, "exec_count"):
        message = (str(error.evalue).strip().splitlines() or [""])[-1]
        return f"cell In [{error.exec_count}] raised {error.ename}: {message}"
    return f"{type(error).__name__}: {last_line}"
