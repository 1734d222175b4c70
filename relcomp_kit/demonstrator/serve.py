"""Serve the demonstrator's page by Voilà: to this machine only, to whoever has the token, without the network.

It lies beside the demonstrator, not in it, because the server itself needs no net: a kernel does, one a page.
"""

import json
import os
import re
import secrets
import socket
import tempfile
import webbrowser
from contextlib import suppress
from pathlib import Path

from relcomp_kit.course.kernel import kernel_environment
from relcomp_kit.datasets.scene_names import SCENE_NAMES
from relcomp_kit.errors import UserError
from relcomp_kit.files import write_atomic

HOST = "127.0.0.1"
LISTED = re.compile(
    rf"[a-z0-9]+-({'|'.join(SCENE_NAMES)})-[0-9]{{1,6}}"
)  # a name of a net; the page knows which there are
TITLE = "Relevant experts"  # of the browser's tab: Voilà takes the notebook's name
WIDGETS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
LARGEST_MESSAGE = 2**24  # bytes; of an image that is too large the page sends 10 MB and refuses it, with a sentence
TEMPLATE = "relcomp"
PAGE = """{%- extends 'voila/templates/lab/index.html.j2' -%}
{% import "spinner.macro.html.j2" as spinner %}

{%- block notebook_css -%}
{{ resources.include_js("static/voila-style.js") }}
{{ spinner.css() }}
<style>.jp-mod-noOutputs.jp-mod-noInput { display: none }</style>
{{ super.super() }}
{%- endblock notebook_css -%}

{%- block body_footer -%}
{{ super() }}
<script>
const { baseUrl, kernelId } = JSON.parse(document.getElementById("jupyter-config-data").textContent)
const watch = setInterval(async () => {
  const found = await fetch(`${baseUrl}api/kernels/${kernelId}`).catch(() => ({}))
  if (found.ok) return
  clearInterval(watch)
  const words = document.createElement("div"), again = document.createElement("button")
  words.id = "ended"
  words.setAttribute("role", "alert")
  words.style = "position: fixed; inset: 0 0 auto; z-index: 9; padding: 12px; background: #c0392b; color: white; " +
    "font: 700 18px sans-serif"
  words.textContent = "The program behind this page has ended: what you see no longer changes. "
  again.textContent = "Open the page anew"
  again.style = "font: inherit; padding: 2px 12px"
  again.onclick = () => location.reload()
  words.append(again)
  document.body.append(words)
}, 3000)
</script>
{%- endblock body_footer -%}
"""
ABANDONED = 3600  # seconds after which a kernel ends whose page is gone


def serve(net: str | None = None, port: int | None = None, browser: bool = True) -> None:
    """Show the demonstrator until Ctrl-C, then end its kernels.

    Parameters
    ----------
    net : str, optional
        What the page opens with: a name that its list shows, or a file of a net or an expert.
    port : int, optional
        A free one by default.
    browser : bool
        Open the page in the user's browser; its address is printed anyway.

    Raises
    ------
    UserError
        If the file is missing, the port is taken, or there is no Voilà.
    """
    if net is not None and not (Path(net).is_file() or LISTED.fullmatch(net)):
        raise UserError(f"{net} is missing: name a file of `relcomp encode` or `relcomp train`, or a net of the list")
    port = free_port(port)
    try:
        from tornado.ioloop import IOLoop
        from voila.app import Voila
    except ImportError as error:
        raise UserError(
            f"the demonstrator is shown by Voilà, which cannot be imported ({error}): pip install voila"
        ) from error
    token = secrets.token_urlsafe(24)
    address = f"http://{HOST}:{port}/?token={token}"
    with (
        suppress(KeyboardInterrupt),  # Voilà ends its kernels first
        tempfile.TemporaryDirectory(prefix="relcomp-demo-") as name,
        kernel_environment({}),
    ):
        folder = Path(name)
        write_atomic(folder / f"{TITLE}.ipynb", json.dumps(page_notebook(net)))
        write_template(folder)
        os.environ["JUPYTER_PATH"] = os.pathsep.join([str(folder), os.environ["JUPYTER_PATH"]])
        server = Voila(config=configuration(folder, port, token))
        server.initialize([])

        def announce() -> None:
            print(f"The demonstrator is at {address}\nCtrl-C ends it.", flush=True)
            if browser:
                webbrowser.open(write_redirect(folder, address).as_uri())

        IOLoop.current().add_callback(announce)  # called when the server listens
        server.start()
    print("\nrelcomp: the demonstrator has ended, and its kernels with it", flush=True)


def free_port(wanted: int | None = None) -> int:
    """Return a port on which nobody listens: the one wanted, or any.

    Raises
    ------
    UserError
        If the port is taken, or this user may not have it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(
                f"port {wanted} cannot be used ({reason}): choose another --port, or leave it out"
            ) from error
        return probe.getsockname()[1]


def page_notebook(net: str | None) -> dict:
    """Return a notebook of one cell, which shows the page; that says if there is no net of a name."""
    opened = str(Path(net).absolute()) if net is not None and Path(net).is_file() else net
    code = (
        "from IPython.display import HTML, display\n\n"
        "from relcomp_kit.demonstrator.page import show\n"
        "from relcomp_kit.demonstrator.uploads import READ_THE_START\n\n"
        f"display(HTML(READ_THE_START))\nshow({opened!r})"
    )
    cell = {"cell_type": "code", "metadata": {}, "source": code, "execution_count": None, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}


def write_template(folder: Path) -> Path:
    """Write a template for Voilà: its own, without the fonts of a content network, and with the word on a dead kernel.

    Parameters
    ----------
    folder : Path
        One of Jupyter's folders of data.
    """
    place = folder / "voila" / "templates" / TEMPLATE
    write_atomic(place / "conf.json", json.dumps({"base_template": "lab"}))
    return write_atomic(place / "index.html.j2", PAGE)


def write_redirect(folder: Path, address: str) -> Path:
    """Write a page that leads to another, so that no list of processes shows the token.

    Parameters
    ----------
    folder : Path
        Where the page is written, as ``open.html``.
    address : str
        Where it leads, token included.
    """
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={address}"><title>{TITLE}</title>'
    return write_atomic(folder / "open.html", page)


def configuration(folder: Path, port: int, token: str):
    """Return Voilà's configuration, whatever configuration files the user has.

    Parameters
    ----------
    folder : Path
        It holds the notebook.
    port : int
        The port to listen on; no other one is tried.
    token : str
        What the page's address has to hold.
    """
    from traitlets.config import Config

    policy = (
        f"default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        f"style-src 'self' 'unsafe-inline'; connect-src 'self' ws://{HOST}:{port}; frame-ancestors 'none'"
    )
    return Config(
        Voila={
            "ip": HOST,
            "port": port,
            "port_retries": 0,
            "token": token,
            "open_browser": False,  # Voilà would open the page without its token
            "notebook_path": str(folder / f"{TITLE}.ipynb"),
            "connection_dir_root": str(folder),
            "config_file_paths": [],
            "log_level": "ERROR",
            "tornado_settings": {
                "headers": {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"},
                "allow_remote_access": False,  # a name of another site that leads here is refused
                "local_hostnames": ["localhost"],
                "websocket_max_message_size": LARGEST_MESSAGE,
                "ws_ping_interval": 0,  # on one machine a lost connection is noticed without asking
            },
        },
        VoilaConfiguration={
            "template": TEMPLATE,
            "extension_allowlist": WIDGETS,
            "file_allowlist": [],  # no file of the folder is served
            "show_tracebacks": False,
        },
        NotebookNotary={"data_dir": str(folder)},  # the user's own may be where nobody can write
        KernelRestarter={"restart_limit": 0},  # a new kernel would know nothing of the page, which says what to do
        MappingKernelManager={"cull_idle_timeout": ABANDONED, "cull_interval": 60},
    )
