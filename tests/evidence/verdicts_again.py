"""What today's rules make of the series in the committed records: old and new verdicts side by side.

python tests/evidence/verdicts_again.py            # print every claim, and mark what differs
python tests/evidence/verdicts_again.py --accept   # and write the new verdicts into the records
"""

import sys
from collections.abc import Iterator

from relcomp_kit.evidence import claims
from relcomp_kit.evidence.record import decided
from relcomp_kit.files import checkout, write_json

FOLDER = checkout() / "data" / "reference" / "full"


def both() -> Iterator[tuple[str, dict, dict]]:
    """Give for every decided claim the name of its record, its entry as kept, and as it would be decided today."""
    for name, record in claims.recorded().items():
        for entry in record["claims"]:
            yield name, entry, decided(entry)


def main() -> None:
    """Print old and new verdicts, and write the new ones if they are accepted."""
    new: dict[str, list[dict]] = {}
    for name, old, today in both():
        mark = "" if old["verdict"] == today["verdict"] else "  <--"
        print(f"{old['id']:<12}{old['verdict']:<22}{today['verdict']:<22}{name}{mark}")
        new.setdefault(name, []).append(today)
    if "--accept" in sys.argv:
        for name, record in claims.recorded().items():
            write_json(FOLDER / f"{name}.json", record | {"claims": new.get(name, [])})


if __name__ == "__main__":
    main()
