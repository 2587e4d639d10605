"""Writes the tables of the last run, with versions, into benchmarks/README.md: each between its own two marks."""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

from bench.timing import BUILD

README = Path(__file__).parents[1] / "README.md"


def main() -> None:
    """Replace what stands between the marks of every table that was measured; raises ``ValueError`` without marks."""
    text = README.read_text()
    versions: dict[str, str] = {}
    for file in sorted((BUILD / "rows").glob("*.json")):
        found = json.loads(file.read_text())
        versions |= found["versions"]
        text = between(text, found["name"], table(found))
    when = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, one thread"
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    README.write_text(between(text, "versions", f"{when}; {machine}; {listed}."))


def table(found: dict[str, Any]) -> str:
    """A table in Markdown, numbers to the right."""
    columns = found["columns"]
    lines = [columns, ["---", *["--:" for _ in columns[1:]]], *found["rows"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(text: str, name: str, content: str) -> str:
    """The text with ``content`` between the marks of ``name``."""
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(opening)
    _, found, after = rest.partition(closing)
    if not found:
        raise ValueError(f"README.md has no marks {opening.strip()} and {closing}; write them where the table belongs")
    return f"{before}{opening}\n{content}\n\n{closing}{after}"


if __name__ == "__main__":
    main()
