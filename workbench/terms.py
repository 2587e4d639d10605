"""On what terms a language model is run: how many rows of each part, and the type of its numbers.

    --rows 48                             so many rows of every part
    --rows fit=200,test=all               the others as they are by default
    --dtype bfloat16                      or CAUSAL_WORKBENCH_DTYPE

Terms are part of a run's spec, and so of its id. Default ones are not written down: they are those of runs that were
made before there were any others.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.errors import InvalidSetting
from workbench import catalog

ALL = "all"
Count = int | str
"""A number of rows, or ``ALL``."""
PARTS: Mapping[str, str] = {"train": "fit", "validation": "calibration", "test": "test"}
"""What the splits of a data set are used for."""
GENERATED: Mapping[str, Count] = {"fit": 96, "calibration": 64, "test": 128}
"""Rows that are generated."""
PUBLISHED: Mapping[str, Count] = {"fit": 512, "calibration": 256, "test": ALL}
"""The first rows that are taken of published splits."""
LEAST, MOST = 8, 1_000_000
"""Rows of each counterfactual set and part that a network must do rightly, so that fewer are refused; and too many."""
DEVICE, DTYPE = "CAUSAL_WORKBENCH_DEVICE", "CAUSAL_WORKBENCH_DTYPE"
"""Variables that name the device of models (cpu, cuda, or cuda:1 for the second of several), and their type."""


@dataclass(frozen=True)
class Terms:
    """``rows`` are those counts that are no defaults; no ``dtype`` is the model's own."""

    rows: Mapping[str, Count] = field(default_factory=dict, hash=False)
    dtype: str = ""

    @staticmethod
    def asked(task: str, model: str, *, rows: str = "", dtype: str = "") -> "Terms":
        """Terms as a user writes them, the type else as the environment says it; raises ``InvalidSetting``."""
        usually = os.environ.get(DTYPE, "") if catalog.prompted(task) else ""
        return Terms.parse(task, model, rows=rows, dtype=dtype or usually)

    @staticmethod
    def parse(task: str, model: str, *, rows: str = "", dtype: str = "") -> "Terms":
        """Terms as they are written; raises ``InvalidSetting``."""
        if not catalog.prompted(task):
            for option, text in (("--rows", rows), ("--dtype", dtype)):
                if text:
                    raise InvalidSetting(
                        f"{option} {text} is for tasks of language models; {task} is none: leave it out"
                    )
            return Terms()
        return Terms(counts(task, rows), precision(model, dtype))

    def count(self, task: str, part: str) -> int | None:
        """How many rows of a part are taken; None for all."""
        found = self.rows.get(part, usual(task)[part])
        return None if isinstance(found, str) else found

    @property
    def counted(self) -> str:
        """The rows as one writes them; empty for the defaults."""
        return ",".join(f"{part}={count}" for part, count in self.rows.items())

    @property
    def flags(self) -> str:
        """The options of the command that ask for these terms, with a space before each."""
        return (f" --rows {self.counted}" if self.rows else "") + (f" --dtype {self.dtype}" if self.dtype else "")

    @property
    def given(self) -> dict[str, dict[str, str]]:
        """What is no default as a form takes it: ``terms`` by their options' names; empty for defaults."""
        typed = {name: text for name, text in (("rows", self.counted), ("dtype", self.dtype)) if text}
        return {"terms": typed} if typed else {}

    @property
    def record(self) -> dict[str, Any]:
        """What is no default, as JSON-ready data."""
        return ({"rows": dict(self.rows)} if self.rows else {}) | ({"dtype": self.dtype} if self.dtype else {})

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "Terms":
        """Terms as they were stored in a spec; raises ``TypeError`` when they are none."""
        rows, dtype = record.get("rows", {}), record.get("dtype", "")
        if not isinstance(rows, dict) or not isinstance(dtype, str):
            raise TypeError("its rows are no mapping, or its dtype is no name")
        if any(part not in GENERATED or not (count == ALL or type(count) is int) for part, count in rows.items()):
            raise TypeError(f"its rows {rows} are no counts of {', '.join(GENERATED)}")
        return Terms(rows, dtype)


def usual(task: str) -> Mapping[str, Count]:
    """The default counts of a task."""
    return PUBLISHED if catalog.benchmark(task) else GENERATED


def counts(task: str, text: str) -> dict[str, Count]:
    """The counts of a text that are no defaults, in the order of parts; raises ``InvalidSetting``."""
    if not text.strip():
        return {}
    example = "write --rows 48, or --rows fit=96,calibration=64,test=128"
    given: dict[str, Count] = {}
    if "=" not in text:
        given = dict.fromkeys(GENERATED, _count(text.strip(), text, task))
    for one in text.split(",") if "=" in text else ():
        part, sign, number = (word.strip() for word in one.partition("="))
        if not sign or part not in GENERATED:
            raise InvalidSetting(
                f"rows {text!r}: {one!r} counts no part; the parts are {', '.join(GENERATED)}: {example}"
            )
        if part in given:
            raise InvalidSetting(f"rows {text!r}: {part} is counted twice; keep one of them")
        given[part] = _count(number, text, task)
    return {part: given[part] for part, default in usual(task).items() if given.get(part, default) != default}


def _count(number: str, text: str, task: str) -> Count:
    if number == ALL:
        if not catalog.benchmark(task):
            raise InvalidSetting(
                f"rows {text!r}: the rows of {task} are generated, and there is no end of them; give a number"
            )
        return ALL
    if not re.fullmatch(r"[0-9]{1,9}", number) or not LEAST <= int(number) <= MOST:
        raise InvalidSetting(
            f"rows {text!r}: {number!r} is no number of rows; a part takes {LEAST} to {MOST:,}, since {LEAST} rows of "
            f"each counterfactual set must be right{', or all' if catalog.benchmark(task) else ''}"
        )
    return int(number)


def precision(model: str, dtype: str) -> str:
    """The type that is asked for, empty for the one that the model has anyhow; raises ``InvalidSetting``."""
    if not dtype:
        return ""
    from engines import zoo  # not for who asks for none: the screen is there sooner

    if dtype not in zoo.DTYPES:
        raise InvalidSetting(f"dtype {dtype!r} is not known; models run in {', '.join(zoo.DTYPES)}")
    return "" if dtype == zoo.own_dtype(model) == zoo.DTYPES[0] else dtype


def check(task: str, terms: Terms) -> None:
    """Raise ``InvalidSetting`` where no language model of ``task`` runs on these terms on the device that is asked for.

    Terms do not tell: the device is not theirs, and another machine may have one for them.
    """
    if catalog.prompted(task):
        from engines import zoo

        zoo.check(device(), terms.dtype)


def device() -> str:
    """The device that models are put on, as the environment says."""
    return os.environ.get(DEVICE) or "cpu"
