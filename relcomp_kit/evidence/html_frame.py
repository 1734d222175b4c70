"""What all pages of the kit look like, and the links between the pages of the site: no scripts, nothing loaded."""

import base64
from html import escape

STYLE = """
:root { color-scheme: light; --line: #dde2e8; --soft: #4f5863; --link: #0a58ad; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1d2329; font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial,
  sans-serif; }
header { background: #17324d; color: #fff; } header p { color: #d5e0ea; max-width: 50rem; }
header > div, header > nav, main { max-width: 76rem; margin: 0 auto; padding: 1.8rem 1.5rem; }
main { padding: 0 1.5rem 4rem; }
header > nav { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: .7rem 1.5rem; }
header > nav + div { padding-top: .6rem; }
header a { color: #fff; }
h1 { margin: 0 0 .4rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 2.6rem 0 .3rem; font-size: 1.35rem; } h3 { margin: 1.8rem 0 .6rem; font-size: 1.05rem; }
p { margin: .3rem 0; } code { overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: none; } a:hover, a:focus { text-decoration: underline; }
main p a, dd a { text-decoration: underline; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
@media (max-width: 46rem) {
  header > div { padding: 1rem; } header > nav { padding: .6rem 1rem; } main { padding: 0 1rem 3rem; }
  h1 { font-size: 1.5rem; }
}
@media print { header { background: none; color: inherit; } header p { color: inherit; } nav { display: none; } }
"""
LINKS = {"index.html": "Lessons", "ledger.html": "Claims", "glossary.html": "Glossary", "api/index.html": "API"}


def picture(png: bytes, words: str) -> str:
    """Return a picture that stands in the page itself, as HTML.

    Parameters
    ----------
    png : bytes
        The picture.
    words : str
        What it shows, for those who do not see it, as text.
    """
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def frame(
    title: str, body: str, *, lead: str = "", root: str | None = None, style: str = "", headed: bool = True
) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
        The heading, as text.
    body : str
        What the page says, as HTML.
    lead : str
        Below the heading, as HTML.
    root : str, optional
        Way to the top of the site, such as ``"../"``; without one the page stands alone and links to no other.
    style : str
        What is added to the style of all pages.
    headed : bool
        Whether the title stands above the body; a lesson has its own heading.

    Returns
    -------
    str
        The page as HTML.
    """
    links = "".join(f'<a href="{root}{file}">{name}</a>' for file, name in LINKS.items())
    nav = f'<a class="skip" href="#text">Skip to the text</a><nav>{links}</nav>' if root is not None else ""
    heading = f"<div><h1>{escape(title)}</h1><p>{lead}</p></div>" if headed else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · relcomp</title><style>{STYLE}{style}</style></head>
<body><header>{nav}{heading}</header>
<main id="text">{body}</main></body></html>
"""
