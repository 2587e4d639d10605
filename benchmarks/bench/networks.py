"""A random decoder, larger than any compiled one, with random pairs and labels: only costs are measured on it."""

import torch

from engines.answer import Choice
from engines.decoder_model import DecoderModel
from engines.model import Batch
from engines.networks import Decoder, DecoderShape
from engines.site import Site
from engines.task import Pairs

ANSWERS = 10
"""Output columns that the random task looks at."""
VARIABLE = "random"
"""The one variable of the random task."""


def random_decoder(n_layers: int, d_model: int, n_ctx: int, d_vocab: int) -> DecoderModel:
    """A causal decoder with layer norm, heads of 32 and weights of a learned network's size, from seed 0."""
    shape = DecoderShape(
        n_layers,
        n_heads=d_model // 32,
        d_model=d_model,
        d_head=32,
        d_mlp=4 * d_model,
        d_vocab=d_vocab,
        d_vocab_out=d_vocab,
        n_ctx=n_ctx,
        causal=True,
        activation="gelu",
        layer_norm=True,
    )
    decoder, generator = Decoder(shape), torch.Generator().manual_seed(0)
    for name, parameter in decoder.named_parameters():
        if "ln" not in name and ".b_" not in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * d_model**-0.5
    return DecoderModel(f"random decoder, {n_layers} layers, d {d_model}", decoder)


def random_pairs(model: DecoderModel, count: int, seed: int) -> Pairs:
    """Pairs of distinct random prompts as long as the context, answered at the last position with random labels."""
    shape, generator = model.decoder.shape, torch.Generator().manual_seed(seed)

    def prompts() -> Batch:
        tokens = torch.randint(shape.d_vocab, (count, shape.n_ctx), generator=generator)
        return Batch(tokens, torch.ones_like(tokens, dtype=torch.bool))

    at = {"middle": torch.full((count,), shape.n_ctx // 2), "last": torch.full((count,), shape.n_ctx - 1)}
    return Pairs(
        bases=prompts(),
        sources=prompts(),
        base_at=at,
        source_at=at,
        answers_at=torch.full((count, 1), shape.n_ctx - 1),
        base_labels=torch.zeros(count, 1, dtype=torch.int64),
        labels={VARIABLE: torch.randint(ANSWERS, (count, 1), generator=generator)},
        valid={VARIABLE: torch.ones(count, dtype=torch.bool)},
        values={VARIABLE: torch.randint(3, (count, 2), generator=generator)},
        answer=Choice(tuple(range(ANSWERS)), tuple(range(ANSWERS))),
    )


def random_sites(model: DecoderModel, components: tuple[str, ...], positions: tuple[str, ...]) -> tuple[Site, ...]:
    """``components`` after every layer at every position, and with "result" among them, of each head."""
    sites: list[Site] = []
    for layer in range(model.shape.n_layers):
        for component in components:
            heads = range(model.shape.n_heads) if component == "result" else (None,)
            sites += [Site(layer, component, position, head) for head in heads for position in positions]
    return tuple(sites)
