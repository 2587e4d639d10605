"""A frozen head or neuron that writes nothing is not computed, and nobody can tell."""

import pytest
import torch

from engines.networks import Decoder, DecoderShape

SHAPE = DecoderShape(n_layers=3, n_heads=3, d_model=8, d_head=4, d_mlp=6, d_vocab=5, d_vocab_out=4, n_ctx=6)


def decoder(idle_heads: list[int], idle_neurons: list[int]) -> Decoder:
    network = Decoder(SHAPE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    for block in network.blocks:
        block.attn.W_O.data[idle_heads] = 0.0
        block.mlp.W_out.data[idle_neurons] = 0.0
    return network


@pytest.mark.parametrize("idle_heads", [[], [1], [0, 2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("idle_neurons", [[], [3], [0, 1, 2, 3, 4, 5]], ids=str)
def test_idle_parts_make_no_difference(idle_heads: list[int], idle_neurons: list[int]) -> None:
    network = decoder(idle_heads, idle_neurons)
    tokens = torch.tensor([[0, 1, 2, 3], [0, 4, 4, 1]])
    mask = torch.tensor([[True] * 4, [False] + [True] * 3])
    looks = [(name, lambda tensor, hook: None) for name in network.hook_dict]  # noqa: ARG005 - whoever looks, sees all
    with network.hooks(fwd_hooks=looks):
        looked_at = network(tokens, mask)
    torch.testing.assert_close(network(tokens, mask)[mask], looked_at[mask])


def test_a_part_that_learns_is_computed_although_it_is_zero() -> None:
    network = decoder([0, 1, 2], [0, 1, 2, 3, 4, 5]).requires_grad_(True)
    network(torch.tensor([[0, 1, 2]])).square().sum().backward()
    for block in network.blocks:
        assert block.attn.W_O.grad.abs().max() > 0
        assert block.mlp.W_out.grad.abs().max() > 0
