"""Which prompts a model was tuned on, as the manifest in its folder remembers them, and rows without any of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines.errors import InvalidModel
from engines.prompting import Example
from workbench import disk

MANIFEST = "tuned.json"


def mark(prompt: str) -> str:
    """A prompt as the manifest has it: the beginning of its SHA-256."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def untaught(
    parts: Mapping[str, Sequence[Example]], folder: Path | None
) -> tuple[dict[str, list[Example]], Mapping[str, int]]:
    """Each part without rows that hold a prompt which the model in ``folder`` was tuned on, and how many those are.

    Raises ``InvalidModel`` for a manifest that cannot be read: it would not be known what was trained on.
    """
    taught = frozenset() if folder is None else prompts_of(folder)
    kept = {
        part: [one for one in every if not taught & {mark(str(run["prompt"])) for run in (one.base, one.source)}]
        for part, every in parts.items()
    }
    return kept, {part: len(parts[part]) - len(every) for part, every in kept.items()}


def prompts_of(folder: Path) -> frozenset[str]:
    """The marks of all prompts that the model in a folder was ever tuned on; raises ``InvalidModel``."""
    file = folder / MANIFEST
    try:
        return frozenset(str(each) for each in json.loads(disk.read(file))["prompts"])
    except FileNotFoundError:
        return frozenset()
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidModel(
            f"{file} cannot be read ({type(error).__name__}), so that it is not known which rows the model was tuned "
            "on; tune it again"
        ) from None
