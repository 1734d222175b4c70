"""The command that shows experts to an audience: `relcomp demo`."""

from typing import Annotated

import typer


def demo(
    net: Annotated[
        str | None,
        typer.Option(
            metavar="NET",
            help="Open with a net of the list (compact-camvid-0), or a file of `relcomp encode`.",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of this machine; a free one by default.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser; its address is printed anyway.")] = True,
) -> None:
    """Show relevant experts to an audience: a page in the browser, on this machine only."""
    from relcomp_kit.demonstrator.serve import serve

    serve(net, port, browser)
