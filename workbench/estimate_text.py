"""Estimates of causal scrubbing in words: numbers, shares, and how sure they are; undefined ones are words already."""

from collections.abc import Mapping
from typing import Any

EXACT = 24
"""The longest fraction that is written; a longer one is only said to be exact."""


def number(value: Any) -> str:
    """Four significant digits; words for what is not finite."""
    return value if isinstance(value, str) else f"{value:.4g}"


def percent(value: Any) -> str:
    """A share as a percentage, as it is: below 0 and above 100 as well."""
    return value if isinstance(value, str) else f"{100 * value:.1f} %"


def sureness(estimate: Mapping[str, Any], shown: Any = number) -> str:
    """The interval of an estimate, or "exact" with its fraction."""
    if estimate["error"] is not None:
        return f"[{shown(estimate['low'])}, {shown(estimate['high'])}]"
    fraction = estimate["exact"]
    return f"exact, {fraction}" if fraction is not None and "/" in fraction and len(fraction) <= EXACT else "exact"
