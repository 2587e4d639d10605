"""Networks and tasks that a human can compute, shared by the tests of every layer.

``conjunction()`` is a one-layer decoder that answers whether both of two bits are 1:

    tokens (x0, x1)     at the last position, attention copies x0 (dimension COPIED), the MLP adds AND (dimension BOTH)
    causal model        copied = x0;  both = copied and x1;  answer = both

so that ``copied`` is carried by L0.attn_out@last (and x0 by L0.resid_pre@first), and ``both`` by L0.mlp_out@last.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch

from engines.answer import Choice
from engines.causal import CausalModel, Setting, Variable
from engines.decoder_model import DecoderModel
from engines.networks import Block, Decoder, DecoderShape
from engines.site import Site
from engines.task import Pair, Problem, Task, draw_pairs

BIT, ONE, FIRST, SECOND, COPIED, BOTH = range(6)


def conjunction_decoder() -> Decoder:
    """The weights, each set by hand."""
    decoder = Decoder(
        DecoderShape(n_layers=1, n_heads=1, d_model=6, d_head=1, d_mlp=1, d_vocab=2, d_vocab_out=2, n_ctx=2)
    )
    decoder.W_E.data[1, BIT] = 1.0
    decoder.W_E.data[:, ONE] = 1.0
    decoder.W_pos.data[0, FIRST] = decoder.W_pos.data[1, SECOND] = 1.0
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    block.attn.W_Q.data[0, ONE, 0] = 100.0  # every query looks at the first position
    block.attn.W_K.data[0, FIRST, 0] = 1.0
    block.attn.W_V.data[0, BIT, 0] = 1.0
    block.attn.W_O.data[0, 0, COPIED] = 1.0
    block.mlp.W_in.data[[BIT, COPIED, ONE], 0] = torch.tensor([1.0, 1.0, -1.0])  # relu(x1 + x0 - 1)
    block.mlp.W_out.data[0, BOTH] = 1.0
    decoder.W_U.data[ONE, 0] = 0.5
    decoder.W_U.data[BOTH, 1] = 1.0
    return decoder


def conjunction() -> tuple[DecoderModel, Task]:
    """The network with its task; the answer is given at the last position only."""
    causal = CausalModel(
        inputs=(Variable("x0", (0, 1)), Variable("x1", (0, 1))),
        mechanisms={"copied": lambda x0: x0, "both": lambda copied, x1: copied & x1, "answer": lambda both: both},
        output="answer",
    )

    def draw(rng: np.random.Generator) -> Pair:
        return Pair(causal.sample(rng), causal.sample(rng), {"first": 0, "last": 1}, {"first": 0, "last": 1})

    def counterfactual(variable: str, pair: Pair, _base: Setting, source: Setting) -> Setting:
        return causal.intervene(pair.base, {variable: source[variable]})

    def tokens(setting: Setting) -> Sequence[int]:
        return [int(str(setting["x0"])), int(str(setting["x1"]))]

    task = Task(
        "conjunction",
        causal,
        Choice((0, 1), (0, 1), sharpness=20.0),
        ("copied", "both"),
        ("first", "last"),
        tokens,
        draw,
        lambda variable, run, _at: run[variable],
        counterfactual,
        lambda run: [run["answer"]],
        lambda _run: [1],
    )
    return DecoderModel("conjunction", conjunction_decoder()), task


@functools.cache
def conjunction_problem(target: str = "copied", seed: int = 0) -> Problem:
    """All sites of the conjunction. Its four inputs cannot be split in three, so every part draws from all of them."""
    model, task = conjunction()
    places = [
        f"L0.{name}@{at}" for name in ("resid_pre", "attn_out", "mlp_out", "resid_post") for at in ("first", "last")
    ]
    places += [f"L0.resid_post[{dim}:{dim + 1}]@last" for dim in range(6)]
    fit, calibration, test = (draw_pairs(task, "audit", quota=6, seed=seed + part) for part in range(3))
    others = tuple(name for name in task.variables if name != target)
    sites = tuple(Site.parse(place) for place in places)
    return Problem("conjunction", model, task.answer, target, (target, *others), sites, fit, calibration, test, seed)
