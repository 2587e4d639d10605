"""Measure how fast a language model runs here: one batch of prompts through all layers, a few times."""

import time
from statistics import median

import torch

from engines import zoo
from engines.model import Ask, Batch, Model
from workbench import process
from workbench.pace import Pace
from workbench.terms import device

ROWS, TOKENS, REPEATS = 16, 20, 3
"""Prompts that run together, their tokens, and how often."""


def measure(name: str, dtype: str, when: str) -> Pace:
    """Load a model and measure; raises what loading it raises."""
    torch.set_num_threads(1)  # as runs have it
    loaded = zoo.load(name, device=device(), dtype=dtype)
    found = sorted(timed(loaded.model))
    prospect, layers = loaded.prospect, loaded.model.shape.n_layers
    middle, low, high = median(found), found[0], found[-1]
    return Pace(
        name, prospect.device, prospect.dtype, process.HOST, when, middle, low, high, ROWS, TOKENS, layers, REPEATS
    )


def timed(model: Model) -> list[float]:
    """Seconds a layer and prompt of each repeat, after one run that does not count."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, max(model.shape.vocabulary, 2), (ROWS, TOKENS), generator=generator)
    batch = Batch(tokens, torch.ones(ROWS, TOKENS, dtype=torch.bool))
    ask = Ask(torch.full((ROWS, 1), TOKENS - 1), torch.arange(2))
    found = []
    with torch.no_grad():
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            run = model.forward(batch, ask=ask)  # the answers come back to the CPU: a GPU is waited for
            found.append((time.perf_counter() - began) / (ROWS * run.layers))
    return found[1:]
