"""What all commands share: exit codes, options that several have, and how they print.

Data goes to stdout, narration to stderr.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import text
from workbench.store import Store

OK, FAILED, USAGE, STORE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Folder of runs [default: the user's data folder, or $CAUSAL_WORKBENCH_HOME/runs].",
    ),
]

Detach = Annotated[bool, typer.Option("--detach", help="Run in a process of its own that outlives this terminal.")]


def note(sentence: str) -> None:
    """Say a sentence on stderr."""
    print(text.safe(sentence), file=sys.stderr)


def complain(sentence: str, code: int) -> int:
    """Say what is wrong; returns ``code``."""
    note(f"workbench: {sentence}")
    return code


def put(record: Any, words: str, as_json: bool) -> None:
    """Print what was asked for."""
    print(json.dumps(record, indent=1, ensure_ascii=False) if as_json else words)


def open_store(folder: Path | None) -> Store:
    """The store in a folder; the user's own if none is named."""
    return Store.default() if folder is None else Store(folder)
