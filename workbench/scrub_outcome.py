"""What a finished scrub says, as it is drawn and listed: shares of the way on one axis, and what is to be doubted.

The way leads from the randomised behaviour (0) to the original one (1). Nothing is clipped to it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import CorruptRun
from workbench.estimate_text import number, percent, sureness
from workbench.scrub_text import SHARES

Record = Mapping[str, Any]
APART = 0.05
"""A slice disagrees with the total when their intervals are further apart than this share of the way."""
VACUOUS = 0.5
"""Above this P(self) a draw mostly changes nothing."""
ROUNDING = 1e-9
RAW = ("scrubbed", "original", "randomised", "constant")
FLAGS = {
    "constant": "worse than the best constant answer",
    "above": "over 100 %: information is smuggled in",
    "below": "below 0 %: worse than unrelated data",
    "undefined": "undefined: the randomised behaviour equals the original",
    "apart": f"surely more than {APART:g} of the way from the total",
    "slice": "a slice is flagged",
    "vacuous": f"vacuous: every draw mostly keeps its datum (P(self) above {VACUOUS:g})",
    "sampler": "sampler only: a feature is no function of those below it",
}
"""What ``!`` means."""
BRIEF = {name: name for name in FLAGS} | {"above": ">1", "below": "<0", "slice": "slices", "undefined": "undef"}
"""Flags where there is little room."""


@dataclass(frozen=True)
class Measured:
    """A value with its interval; ``low`` and ``high`` are None where it is exact."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def is_exact(self) -> bool:
        """Whether there is no interval since nothing was sampled."""
        return self.value is not None and self.low is None


@dataclass(frozen=True)
class Part:
    """All data or a slice of them: its losses as recorded, what is doubted, and its data that changed most."""

    name: str
    losses: Record
    flags: tuple[str, ...]
    examples: Record | None

    @property
    def n(self) -> int:
        """How many data it has."""
        return int(self.losses["n"])

    @property
    def recovered(self) -> Measured:
        """The recovered share, None where undefined."""
        return measured("recovered", self.losses["recovered"])


@dataclass(frozen=True)
class Outcome:
    """A finished scrub: the total first among its parts, the shares and the raw values that go on one axis, flags."""

    record: Record
    parts: tuple[Part, ...]
    shares: tuple[Measured, ...]
    raw: tuple[Measured, ...]
    flags: tuple[str, ...]

    @staticmethod
    def of(record: Record) -> "Outcome":
        """What a record says; raises ``CorruptRun`` for one that holds no scrub."""
        try:
            return _outcome(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = record.get("id", "?")
            raise CorruptRun(
                f"the result of scrub {name} holds no scrub ({error!r}); scrub its hypothesis.toml with --again"
            ) from None

    @property
    def total(self) -> Part:
        """All data."""
        return self.parts[0]

    @property
    def how(self) -> str:
        """Whether everything was enumerated, else how many samples were drawn."""
        return "exact" if self.record["exact"] else f"{self.record['samples']:,} samples"

    @property
    def headline(self) -> str:
        """Recovered with its interval and n, and the constant answer beside it."""
        losses = self.total.losses
        told = [f"{name} {shown(losses[key])}" for key, name in SHARES.items()]
        return f"{told[0]}   n {self.total.n:,}, {self.how}   {told[1]}"


def shown(estimate: Record | None) -> str:
    """A share in words: with its interval, or that it is exact, or undefined."""
    if estimate is None:
        return "undefined"
    return f"{percent(estimate['value'])} {sureness(estimate, percent)}"


def raw_shown(estimate: Record) -> str:
    """A value in words, with its interval, or that it is exact."""
    return f"{number(estimate['value'])} {sureness(estimate)}"


def measured(name: str, estimate: Record | None) -> Measured:
    """An estimate of a record; words for what is not finite become numbers."""
    if estimate is None:
        return Measured(name, None, None, None)
    value = float(estimate["value"])
    if estimate["error"] is None:
        return Measured(name, value, None, None)
    return Measured(name, value, float(estimate["low"]), float(estimate["high"]))


def share(name: str, estimate: Record, losses: Record) -> Measured:
    """Where a value lies on the way; errors of the value and of the randomised behaviour enter to first order.

    share = (randomised - value) / (randomised - original); None where the two ends are equal.
    """
    random, original = (measured("", losses[end]) for end in ("randomised", "original"))
    value = float(estimate["value"])
    if losses["recovered"] is None or random.value is None or original.value is None:
        return Measured(name, None, None, None)
    way = random.value - original.value
    found = (random.value - value) / way
    mine, theirs = (float(one["error"] or 0.0) for one in (estimate, losses["randomised"]))
    if not mine and not theirs:
        return Measured(name, found, None, None)
    half = _z(estimate, losses["randomised"]) * math.hypot(mine / way, theirs * (value - original.value) / way**2)
    return Measured(name, found, found - half, found + half)


def _z(*estimates: Record) -> float:
    """Standard errors in half an interval, as the record has them."""
    for one in estimates:
        if one["error"]:
            return (float(one["high"]) - float(one["value"])) / float(one["error"])
    return 0.0


def _outcome(record: Record) -> Outcome:
    losses, is_reward = record["total"], bool(record["behaviour"]["reward"])
    total = Part("all data", losses, _doubts(losses, is_reward), record.get("examples"))
    slices = tuple(
        Part(
            f"{one['feature']}={one['value']}",
            one["losses"],
            _slice_doubts(one["losses"], losses, is_reward),
            one.get("examples"),
        )
        for one in record["slices"]
    )
    ablated = {f"{name} ablation": one for name, one in record["ablations"].items() if name != "resample"}
    known = {name: one for name, one in ablated.items() if not isinstance(one, str)}
    others = {"constant": losses["constant"], **known}
    shares = [measured("recovered", losses["recovered"]), *(share(name, one, losses) for name, one in others.items())]
    raw = [measured(name, losses[name]) for name in RAW] + [measured(name, one) for name, one in known.items()]
    flags = [*total.flags]
    flags += ["slice"] * any(one.flags for one in slices)
    draws = record["nodes"]
    flags += ["vacuous"] * bool(draws and all(float(one["itself"]) > VACUOUS for one in draws))
    flags += ["sampler"] * bool(record["inconsistencies"])
    return Outcome(record, (total, *slices), tuple(shares), tuple(raw), tuple(flags))


def _ends(one: Measured) -> tuple[float, float]:
    assert one.value is not None
    return (one.value, one.value) if one.low is None or one.high is None else (one.low, one.high)


def _doubts(losses: Record, is_reward: bool) -> tuple[str, ...]:
    """What is to be doubted of losses by themselves."""
    found = measured("", losses["recovered"])
    if found.value is None:
        told = ["undefined"]
    else:
        low, high = _ends(found)
        told = ["above"] * (low > 1 + ROUNDING) + ["below"] * (high < -ROUNDING)
    mine, rock = _ends(measured("", losses["scrubbed"])), _ends(measured("", losses["constant"]))
    is_worse = mine[1] < rock[0] - ROUNDING if is_reward else mine[0] > rock[1] + ROUNDING
    return (*told, *["constant"] * is_worse)


def _slice_doubts(losses: Record, total: Record, is_reward: bool) -> tuple[str, ...]:
    """What is to be doubted of a slice: what it says by itself, and that it disagrees with the total."""
    mine, whole = measured("", losses["recovered"]), measured("", total["recovered"])
    found = _doubts(losses, is_reward)
    if mine.value is None or whole.value is None:
        return found
    (low, high), (least, most) = _ends(mine), _ends(whole)
    return (*found, *["apart"] * (low - most > APART or least - high > APART))


def told(flags: Sequence[str]) -> str:
    """What flags mean, one after the other; empty without any."""
    return f"! {'; '.join(FLAGS[flag] for flag in flags)}" if flags else ""


def doubt(flags: Sequence[str]) -> str:
    """Flags in a word each; empty without any."""
    return ",".join(BRIEF[flag] for flag in flags)


def brief(flags: Sequence[str]) -> str:
    """Flags in a word each after ``!``; empty without any."""
    return f"! {doubt(flags)}" if flags else ""
