"""Put the table of results that follows from the records into README, and draw its picture from them."""

from relcomp_kit import figures
from relcomp_kit.evidence import claims, record
from relcomp_kit.files import checkout, write_atomic
from relcomp_kit.studies.ledger import with_results
from relcomp_kit.studies.pruning.measurement import select

README = checkout() / "README.md"
PICTURE = checkout() / "data" / "readme.png"


def todays() -> str:
    """Return README with the table that follows from the committed records."""
    return with_results(README.read_text(encoding="utf-8"), claims.table([]))


def picture() -> bytes:
    """Return as PNG what pruning and training alone do to the accuracy, as recorded."""
    curves = record.reference("02_prune_until_it_converges")["curves"]
    arms = {
        "plain training": select(curves["unpruned"], 0.95),  # its SF plays no part
        "pruned, SF 0.6": select(curves["pruned"], 0.6),
        "pruned, SF 0.95 (80 % removed)": select(curves["pruned"], 0.95),
        "magnitude, 80 % removed": select(curves["magnitude"], 0.95),
    }
    kept: list[bytes] = []
    figures.arms_against(arms, "Is it the pruning, or the training in between? MNIST, 3 seeds", kept)
    return kept[0]


if __name__ == "__main__":
    write_atomic(README, todays().encode())
    write_atomic(PICTURE, picture())
