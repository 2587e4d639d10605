"""Rungs: the networks of every compiled program, from the compiled one on, each harder to read and as exact.

This module imports nothing, so that rungs can be listed without an array library.
"""

from collections.abc import Mapping
from types import MappingProxyType

COMPILED = "compiled"
"""The rung of the network as it was compiled."""
RUNGS: Mapping[str, str] = MappingProxyType(
    {
        COMPILED: "the transformer that Tracr compiles from the program, exact",
        "rotated": "its residual stream turned at random, so that no coordinate means anything",
        "scrambled": "rotated, with heads and neurons permuted and rescaled, and the inside of each head turned",
        "embedded": "scrambled, in twice the width, beside heads and neurons that write what nothing reads",
        "compressed": "its residual stream reduced to the states that it reaches, without loss, and turned",
        "soft": "its attention as soft as its answers allow, so that gradients are alive",
        "decoys": "with dead copies of every variable, and heads that write what nothing reads",
        "copies": "with every variable written twice and read as the mean of both",
    }
)
"""Every rung by name, with what it is."""
