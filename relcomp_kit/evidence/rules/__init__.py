"""The rule of every decided claim, as code: measured series (one value a seed) in, a `Ruling` out.

Each function is named after its claim in ``data/claims.toml``, where the rule stands in words.
"""

import re
from collections.abc import Callable

from relcomp_kit.evidence.rules import coding, ecqx, rail, thesis
from relcomp_kit.evidence.verdicts import Ruling

RULES: dict[str, Callable[..., Ruling]] = {
    name[0].upper() + name[1:]: rule
    for module in (thesis, rail, coding, ecqx)
    for name, rule in vars(module).items()
    if re.fullmatch(r"[tbx]\d+[a-z]?", name)
}
