"""Regimes: how bases, sources and positions are drawn, without which nothing is true of a site.

At equal length and equal position, for example, a variable that only depends on position never changes, and no method
can find it. This module imports nothing, so that regimes can be listed without an array library.
"""

from collections.abc import Mapping
from types import MappingProxyType

VARIABLE = "variable"
"""The default regime."""
REGIMES: Mapping[str, str] = MappingProxyType(
    {
        VARIABLE: "cross position, variable length: any position of any input to any position of any other",
        "cross": "cross position: any position to any position, all inputs of the full length",
        "fixed": "fixed length: the same position of two inputs of the full length, as in plain resampling",
        "set": "set to value: each reachable value of a variable equally often, from any source that has it",
    }
)
"""Every regime by name, with what it draws."""
