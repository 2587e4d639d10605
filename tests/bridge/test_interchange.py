"""The network does under interventions what the causal model says, for every variable of every program.

A variable's coordinates are written at its ready port, at one position; the causal model runs with that position
overridden. Values come from another input (any position, any length) or are set to any value of the inferred set.
"""

from collections import Counter

import numpy as np
import pytest
import torch

from engines.errors import Undefined
from tracr_bridge.lower import decode, encode
from tracr_bridge.truth import encoding

PAIRS = 60


def hook_name(variable):
    return f"blocks.{variable.ready.layer}.hook_{variable.ready.component}"


def from_source(truth, variable, rng, count):
    """Vectors and values of the variable at random positions of random inputs, read from the network."""
    inputs = [truth.program.sample(rng) for _ in range(count)]
    ids, mask = encode(truth.compiled, inputs)
    _, cache = truth.decoder.run_with_cache(ids, mask, names_filter=lambda name: name == hook_name(variable))
    backward = [int(rng.integers(1, len(tokens) + 1)) for tokens in inputs]
    values = [
        truth.causal.run({"tokens": tokens})[variable.name][-at] for tokens, at in zip(inputs, backward, strict=True)
    ]
    vectors = cache[hook_name(variable)][torch.arange(count), [-at for at in backward]]
    return vectors[:, list(variable.dims)], values


def any_value(_, variable, rng, count):
    """Ideal encodings of random values, reachable or not."""
    values = [variable.values[index] for index in rng.integers(len(variable.values), size=count)]
    vectors = torch.stack([encoding(variable, value) for value in values]).float()
    return vectors[:, list(variable.dims)], values


def intervened(truth, variable, bases, backward, vectors):
    """What the network decodes to when the vectors stand at one position of each base, counted from the end."""
    ids, mask = encode(truth.compiled, bases)

    def write(x, hook):  # noqa: ARG001 (hook points call with a name)
        x = x.clone()
        x[torch.arange(len(bases))[:, None], [[-at] for at in backward], list(variable.dims)] = vectors
        return x

    logits = truth.decoder.run_with_hooks(ids, mask, fwd_hooks=[(hook_name(variable), write)])
    return decode(truth.compiled, logits, mask)


def agrees(found, wanted):
    numbers = isinstance(wanted, float | int) and isinstance(found, float)
    return wanted is None or found == wanted or (numbers and abs(found - wanted) < 1e-4)


def sweep(truth, variable, draw, rng):
    """Counts of valid, informative and skipped interventions (by reason); asserts that every valid one agrees."""
    bases = [truth.program.sample(rng) for _ in range(PAIRS)]
    backward = [int(rng.integers(1, len(tokens) + 1)) for tokens in bases]
    vectors, values = draw(truth, variable, rng, PAIRS)
    decoded = intervened(truth, variable, bases, backward, vectors)
    counts = Counter()
    for tokens, at, value, found in zip(bases, backward, values, decoded, strict=True):
        plain = truth.causal.run({"tokens": tokens})
        override = list(plain[variable.name])
        override[-at] = value
        try:
            run = truth.causal.intervene({"tokens": tokens}, {variable.name: tuple(override)})
        except Undefined as undefined:
            counts["none" if "None" in str(undefined) else "outside" if "outside" in str(undefined) else "soft"] += 1
            continue
        wanted = run[truth.causal.output]
        assert all(map(agrees, found, wanted)), (variable.name, tokens, override, found, wanted)
        counts["valid"] += 1
        counts["informative"] += wanted != plain[truth.causal.output]
    return counts


@pytest.mark.parametrize("draw", [from_source, any_value])
def test_interchange(known, draw, record_property):
    rng = np.random.default_rng(0)
    for variable in known.variables.values():
        if variable.ready is None:
            continue
        counts = sweep(known, variable, draw, rng)
        record_property(variable.name, dict(counts))
        assert sum(counts.values()) - counts["informative"] == PAIRS
        assert counts["valid"] > 0, (variable.name, counts)
        if variable.name in known.program.variables:
            assert counts["informative"] > 0, (variable.name, counts)
