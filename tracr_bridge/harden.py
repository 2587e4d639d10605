"""Hardening: twins of a compiled network that compute exactly the same and are harder to read.

Each rung of ``tracr_bridge.rungs`` takes away something by which a localization method could find a variable without
knowing what carries it: coordinates that mean something, order, silence elsewhere, a place of its own, or living
gradients; or it adds what only looks like the variable. Truth moves along (``Network.frame``, ``Network.heads``), and
every network is held to the compiled one's logits before anybody sees it.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from engines.errors import UnknownName
from tracr_bridge.certificate import weight_hash
from tracr_bridge.decoys import distract, duplicate
from tracr_bridge.network import TOLERANCE, Network, canonical
from tracr_bridge.reach import reached, strays
from tracr_bridge.remap import remap, rotation, scramble, soften, weight_type
from tracr_bridge.rungs import COMPILED, RUNGS
from tracr_bridge.truth import SEED, Truth

SPARE = 4
"""Coordinates for what distractor heads write beside decoys."""
STILL = 1e-5
"""A direction along which states reach no further than this, on average, is not reached at all: it is rounding."""
SOFTEST = 2.0**-8
"""The least share of the compiled coldness that is tried."""
ROOM = 1.4
"""By how much more attention is cold than it must be: thresholds hide softness until it is too much, so that a rare
interchange may fail where all that were looked at are exact."""
HALVINGS = 5
"""Steps of the bisection: the coldness is found up to a factor 2 ** (8 / 2 ** 5), a fifth."""


@lru_cache(maxsize=512)
def harden(known: Truth, rung: str, seed: int = 0) -> Network:
    """The network of a program on a rung, by the program's weights, the rung and the seed alone.

    Raises ``UnknownName`` for a rung, ``UnverifiedProgram`` when its logits are not those of the compiled network.
    """
    if rung not in RUNGS:
        raise UnknownName("model", rung, RUNGS)
    if rung == COMPILED:
        return canonical(known)
    return MAKERS[rung](known, _generator(known, rung, seed))


def rotated(known: Truth, generator: torch.Generator) -> Network:
    """The residual stream turned at random."""
    turn = rotation(known.decoder.shape.d_model, generator)
    return Network(known, "rotated", remap(known.decoder, turn, turn.T), _like(turn, known), aligned=False)


def scrambled(known: Truth, generator: torch.Generator) -> Network:
    """Rotated, and the insides of heads and MLPs in other bases and another order."""
    inside, heads = scramble(known.decoder, generator)
    turn = rotation(known.decoder.shape.d_model, generator)
    return Network(known, "scrambled", remap(inside, turn, turn.T), _like(turn, known), aligned=False, heads=heads)


def embedded(known: Truth, generator: torch.Generator) -> Network:
    """Scrambled in twice the width; the other half is full of what depends on the input and is never read."""
    width = known.decoder.shape.d_model
    wide, idle = distract(known.decoder, width, generator)
    inside, heads = scramble(wide, generator)
    turn = rotation(2 * width, generator)
    return Network(
        known,
        "embedded",
        remap(inside, turn, turn.T),
        _like(turn[:width], known),
        aligned=False,
        heads={at: now for at, now in heads.items() if at not in idle},
        idle=frozenset((layer, heads[layer, head]) for layer, head in idle),
    )


def compressed(known: Truth, generator: torch.Generator) -> Network:
    """The span of all states that inputs and interchanges reach, in a random basis.

    Directions that never move apart are one direction now.
    """
    states = reached(known, SEED).double()
    values, vectors = torch.linalg.eigh(states.T @ states / len(states))
    kept = vectors[:, values > STILL**2]
    write = kept @ rotation(kept.shape[1], generator)
    return Network(known, "compressed", remap(known.decoder, write, write.T), _like(write, known), aligned=False)


def soft(known: Truth, generator: torch.Generator) -> Network:  # noqa: ARG001 - nothing is drawn
    """Attention scores as small as keeps every logit, on inputs and under interchanges, and then ``ROOM`` times that.

    Thresholds stay: they are as soft as tells their inputs apart already.
    """
    low, high = SOFTEST, 1.0
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        if strays(known, soften(known.decoder, middle), SEED + 1) <= TOLERANCE:
            high = middle
        else:
            low = middle
    coldness = min(1.0, high * ROOM)
    frame = torch.eye(known.decoder.shape.d_model, dtype=weight_type(known.decoder))
    return Network(known, "soft", soften(known.decoder, coldness), frame, aligned=True, coldness=coldness)


def decoys(known: Truth, generator: torch.Generator) -> Network:
    """Every variable written once more, by heads and neurons of its own, where nothing reads it; and distractors."""
    wide, idle = distract(known.decoder, SPARE, generator)
    twice = duplicate(known, wide)
    frame = torch.eye(known.decoder.shape.d_model, twice.decoder.shape.d_model, dtype=weight_type(wide))
    heads = frozenset((*idle, *twice.heads))
    return Network(known, "decoys", twice.decoder, frame, aligned=True, idle=heads, decoys=twice.blocks)


def copies(known: Truth, generator: torch.Generator) -> Network:  # noqa: ARG001 - nothing is drawn
    """Every variable written twice, by heads and neurons of their own; all readers take the mean.

    So one of the two alone moves what is read only half of the way. A compiled coordinate that is doubled stands in
    both places: its row of the frame is the direction between them.
    """
    twice = duplicate(known, known.decoder)
    own, width = known.decoder.shape.d_model, twice.decoder.shape.d_model
    read, frame = torch.eye(width, dtype=torch.float64), torch.eye(own, width, dtype=torch.float64)
    for block in twice.blocks:
        assert block.name is not None
        assert block.span is not None
        for at, other in zip(known.variable(block.name).dims, range(*block.span), strict=True):
            read[at, at] = read[other, at] = 0.5
            frame[at, at] = frame[at, other] = 0.5**0.5
    doubled = {block.name: block.span for block in twice.blocks if block.name is not None and block.span is not None}
    decoder = remap(twice.decoder, torch.eye(width, dtype=torch.float64), read)
    return Network(known, "copies", decoder, _like(frame, known), aligned=True, copies=doubled, doubled=twice.heads)


MAKERS: Mapping[str, Callable[[Truth, torch.Generator], Network]] = {
    "rotated": rotated,
    "scrambled": scrambled,
    "embedded": embedded,
    "compressed": compressed,
    "soft": soft,
    "decoys": decoys,
    "copies": copies,
}


def _like(frame: torch.Tensor, known: Truth) -> torch.Tensor:
    return frame.to(weight_type(known.decoder))


def _generator(known: Truth, rung: str, seed: int) -> torch.Generator:
    """A stream of its own for every program (by its weights), rung and seed."""
    digest = hashlib.sha256(f"{weight_hash(known.decoder)} {rung} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
