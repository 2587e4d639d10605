"""Puts a network that costs nothing in place of the real ones in every Python process with this folder on its path.

Environment variables of the tests: ``FAKE_LOADING`` seconds that loading takes, ``FAKE_TRAINING`` that training takes
before, ``FAKE_TROUBLE`` the sentence with which it fails, ``FAKE_CRASH`` the last word of a process that dies instead,
``FAKE_SOURCE`` which code this is.
"""

import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from engines.errors import InvalidSetting, InvalidSite
from workbench import provenance

if "FAKE_SOURCE" in os.environ:
    provenance.source = lambda: os.environ["FAKE_SOURCE"]  # type: ignore[assignment]


def prepare(cell: Any, store: Any, told: Callable[[str], None]) -> str:
    """Instead of a specimen, the cell's name."""
    if word := os.environ.get("FAKE_CRASH"):
        sys.stderr.write(f"{word}\n")
        sys.stderr.flush()
        os._exit(9)
    training = float(os.environ.get("FAKE_TRAINING", "0"))
    for share in range(0, 100, 10) if training else ():
        told(f"training {share} %")
        time.sleep(training / 10)
    time.sleep(float(os.environ.get("FAKE_LOADING", "0")))
    if sentence := os.environ.get("FAKE_TROUBLE"):
        raise InvalidSetting(sentence)
    return f"{cell} {store.root.name}"


class Inspection:
    """Answers what tests ask."""

    def __init__(self, specimen: str, store: Any = None) -> None:  # noqa: ARG002 - the real one's signature
        self.specimen, self.asked = specimen, []

    def ask(self, request: str, params: dict[str, Any]) -> Any:
        """``overview`` says what was asked so far; the others do what they are called."""
        self.asked.append(request)
        match request:
            case "overview":
                return {"specimen": self.specimen, "asked": self.asked, "pid": os.getpid()}
            case "sleep":
                time.sleep(params["seconds"])
            case "refuse":
                raise InvalidSite("no such site; name another")
            case "stumble":
                raise ZeroDivisionError("a defect")
            case "die":
                os._exit(7)
        return params


for name, content in {
    "torch": {"set_num_threads": lambda _: None},
    "workbench.specimen": {"prepare": prepare},
    "workbench.inspection": {"Inspection": Inspection},
}.items():
    module = ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
