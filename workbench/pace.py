"""How fast a language model ran here: seconds that one layer took for one prompt, measured once and kept with its date.

    pace = read("smollm2", "cpu", "float32", store)      None where nothing was measured on this machine

``workbench measure MODEL`` measures it. A pace holds for one model, device, type of numbers and machine.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import InvalidSetting
from workbench import disk, process
from workbench.outcome import length
from workbench.store import Store


@dataclass(frozen=True)
class Pace:
    """Seconds a layer and prompt: the median and the ends of ``repeats`` runs of ``rows`` prompts of ``tokens`` tokens.

    ``when`` is a date, such as 2026-03-01.
    """

    model: str
    device: str
    dtype: str
    host: str
    when: str
    seconds: float
    low: float
    high: float
    rows: int
    tokens: int
    layers: int
    repeats: int

    def about(self, layers: float) -> str:
        """How long so many layer evaluations take, with what that assumes."""
        middle, low, high = (length(layers * one) for one in (self.seconds, self.low, self.high))
        return f"about {middle} ({low} to {high}) for prompts of {self.tokens} tokens"

    def times(self, layers: float) -> str:
        """How long so many layer evaluations take, with all that it rests on."""
        return f"{self.about(layers)}: {layers:,.0f} layer evaluations x {self}"

    def __str__(self) -> str:
        return (
            f"{self.seconds * 1e3:.3g} ms a layer, measured on {self.when} on {self.host} ({self.device}, "
            f"{self.dtype}) with {self.rows} such prompts"
        )


def file(model: str, device: str, dtype: str, store: Store) -> Path:
    """Where a pace is kept: beside the runs, by everything that it depends on."""
    name = hashlib.sha256("\n".join((model, device, dtype, process.HOST)).encode()).hexdigest()[:16]
    return store.root.parent / "cache" / "pace" / f"{name}.json"


def read(model: str, device: str, dtype: str, store: Store) -> Pace | None:
    """What was measured here, None for nothing; raises ``InvalidSetting`` for a file that holds no pace."""
    where = file(model, device, dtype, store)
    try:
        return _pace(json.loads(disk.read(where)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidSetting(f"{where} holds no pace ({error}); measure again: workbench measure {model}") from None


def _pace(record: Any) -> Pace:
    found = Pace(**record)
    if not all(isinstance(one, float | int) and one > 0 for one in (found.seconds, found.low, found.high)):
        raise ValueError("its seconds are no positive numbers")
    return found


def keep(pace: Pace, store: Store) -> Path:
    """Write a pace down; raises ``StoreUnwritable``."""
    where = file(pace.model, pace.device, pace.dtype, store)
    with disk.writing(where):
        where.parent.mkdir(parents=True, exist_ok=True)
    disk.replace(where, disk.encode(asdict(pace), indent=1))
    return where
