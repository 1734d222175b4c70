"""Put the table of results that follows from the records into README."""

from relcomp_kit.evidence import claims
from relcomp_kit.files import checkout, write_atomic
from relcomp_kit.studies.ledger import with_results

README = checkout() / "README.md"


def todays() -> str:
    """Return README with the table that follows from the committed records."""
    return with_results(README.read_text(encoding="utf-8"), claims.table([]))


if __name__ == "__main__":
    write_atomic(README, todays().encode())
