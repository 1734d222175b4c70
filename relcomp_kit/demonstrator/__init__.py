"""The demonstrator: experts inside a net, chosen and compared while one watches.

A `State` says what is asked; `answer` computes it, and `render` draws it. Nothing here knows of widgets.
Every function that takes a state raises a `relcomp_kit.errors.UserError` of one sentence where it cannot be served.

- `state`: `State`, `PathChoice`, and what an `Answer` holds. `language`: states as lines of commands, and back.
- `nets`, `scenes`, `uploads`: what can be chosen. `engine`: the answer. `render`: pictures and tables.
- `trained`: experts that were trained after their cut, nets of their own; `expert_training` makes them.
- `views`: what the page shows of a state. `work`: the thread that computes it, reports each step, and can be stopped.

States are immutable: ``dataclasses.replace(state, heat="sky")``, ``state.with_path(0, choice)``. Intermediate results
are kept between calls, so that another share to keep costs a few passes only. ``state.at_once()`` leaves out what takes
seconds (latency, coded files, test scenes).

- ``render.render(state, size=(960, 620)) -> Figure``, ``render.render_filters``, ``render.render_channel`` (needs
  ``state.channel``) likewise, ``render.render_layers(state) -> str`` of HTML. ``render.png(figure)`` is fast.
- ``uploads.keep(data, name) -> name`` for ``scene upload NAME``.

Source: the demonstrator of the "mixture of relevant experts", Fraunhofer HHI in the BerDiBa project.
"""

from relcomp_kit.demonstrator.completion import complete
from relcomp_kit.demonstrator.engine import answer
from relcomp_kit.demonstrator.language import HELP, as_line, asks_help, parse
from relcomp_kit.demonstrator.state import KINDS, MOST_PATHS, Answer, LayerRow, PathChoice, Shown, State

__all__ = [
    "HELP",
    "KINDS",
    "MOST_PATHS",
    "Answer",
    "LayerRow",
    "PathChoice",
    "Shown",
    "State",
    "answer",
    "as_line",
    "asks_help",
    "complete",
    "parse",
]
