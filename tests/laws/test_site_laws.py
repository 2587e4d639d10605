"""What every adapter promises for every component it serves: a write is read back, and changes what the maths says.

The names of a bridge cannot be believed: an edit of its ``hook_resid_mid`` changes what the MLP reads and leaves the
residual stream as it was. Each law holds for each family, or the family refuses the component.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers.activations import ACT2FN

from engines.decoder_model import DECODER_HOOKS
from engines.errors import UnsupportedSite
from engines.model import Ask, Edit, Forward, Model, heads_in
from engines.networks import ACTIVATIONS
from engines.site import Port
from tests.families import CAUSAL, FAMILIES, LAYERS, VOCABULARY, family, mixed

COMPONENTS = ("embed", *DECODER_HOOKS)
LACKING = {("neox", "resid_mid")}
"""What a family cannot serve: attention and MLP of GPT-NeoX read the same input, there is nothing between them."""
SERVED = [(name, component) for name in FAMILIES for component in COMPONENTS if (name, component) not in LACKING]
LAYER = LAYERS - 1
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
LAST = Ask(torch.full((3, 1), 6), torch.arange(VOCABULARY))
BEFORE_LAST = Ask(torch.full((3, 1), 5), torch.arange(VOCABULARY))


def port_of(component: str, layer: int = LAYER) -> Port:
    return Port(None if component == "embed" else layer, component)


def read(model: Model, *components: str, edits: dict[str, Edit] | None = None) -> dict[str, Tensor]:
    """Values of components of the last layer, and the outputs at the last position, on the mixed batch."""
    ports = {name: port_of(name) for name in components}
    made = {port_of(name): edit for name, edit in (edits or {}).items()}
    run = model.forward(mixed(), reads=ports.values(), edits=made, ask=LAST)
    assert run.outputs is not None
    return {name: run.reads[port] for name, port in ports.items()} | {"outputs": run.outputs}


def plus(delta: Tensor) -> Edit:
    return lambda tensor: tensor + delta


def to(value: Tensor) -> Edit:
    return lambda _tensor: value


def noise(like: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def outputs(run: Forward) -> Tensor:
    assert run.outputs is not None
    return run.outputs


@pytest.mark.parametrize(("name", "component"), SERVED)
def test_a_write_reads_back(name: str, component: str) -> None:
    model = family(name)
    for layer in range(LAYERS):
        port = port_of(component, layer)
        old = model.forward(mixed(), reads=[port]).reads[port]
        part = old.clone()
        part[(1, -1, 0) if heads_in(port) else (1, -1)] += 1.0
        for new in (noise(old), part):
            run = model.forward(mixed(), reads=[port], edits={port: to(new)})
            assert torch.equal(run.reads[port], new)


@pytest.mark.parametrize(("name", "component"), SERVED)
def test_writing_what_was_read_changes_nothing(name: str, component: str) -> None:
    model, port = family(name), port_of(component, 0)
    before = model.forward(mixed(), reads=[port], ask=LAST)
    after = model.forward(mixed(), edits={port: to(before.reads[port])}, ask=LAST)
    assert_close(after.outputs, before.outputs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "component"), SERVED)
def test_an_edit_reaches_the_outputs_from_every_layer(name: str, component: str) -> None:
    model = family(name)
    before = outputs(model.forward(mixed(), ask=LAST))
    for layer in range(LAYERS):
        port = port_of(component, layer)
        old = model.forward(mixed(), reads=[port]).reads[port]
        new = old.clone()
        new[:, -1] += 3 * noise(old)[:, -1]
        after = outputs(model.forward(mixed(), edits={port: to(new)}, ask=LAST))
        assert (after - before).abs().amax((1, 2)).min() > 1e-4


@pytest.mark.parametrize(("name", "component"), [case for case in SERVED if case[0] in CAUSAL])
def test_an_edit_does_not_reach_back(name: str, component: str) -> None:
    model, port = family(name), port_of(component, 0)
    before = model.forward(mixed(), reads=[port], ask=BEFORE_LAST)
    new = before.reads[port].clone()
    new[:, -1] += 3.0
    assert_close(
        model.forward(mixed(), edits={port: to(new)}, ask=BEFORE_LAST).outputs, before.outputs, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(("name", "component"), sorted(LACKING))
def test_what_cannot_be_exact_is_refused(name: str, component: str) -> None:
    with pytest.raises(
        UnsupportedSite, match=rf"L1\.{component}: gpt_{name} cannot read or edit '{component}'; it can: attn_out"
    ):
        family(name).forward(mixed(), reads=[port_of(component)])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_serves_exactly_what_the_table_says(name: str) -> None:
    assert family(name).components == {component for model, component in SERVED if model == name}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_residual_stream_is_a_sum(name: str) -> None:
    model = family(name)
    stream = ("resid_pre", "attn_out", "mlp_out", "resid_post")
    clean = read(model, *stream)
    assert_close(clean["resid_pre"] + clean["attn_out"] + clean["mlp_out"], clean["resid_post"], **CLOSE)
    if "resid_mid" in model.components:
        middle = read(model, "resid_mid")["resid_mid"]
        assert torch.equal(middle, clean["resid_pre"] + clean["attn_out"])
        assert torch.equal(middle + clean["mlp_out"], clean["resid_post"])
    delta = noise(clean["resid_pre"])
    after = read(model, *stream, edits={"mlp_out": plus(delta)})
    assert_close(after["resid_post"], clean["resid_post"] + delta, **CLOSE)
    after = read(model, *stream, edits={"attn_out": plus(delta)})
    assert_close(after["resid_post"] - after["mlp_out"], clean["resid_pre"] + clean["attn_out"] + delta, **CLOSE)
    after = read(model, *stream, edits={"resid_pre": plus(delta)})
    assert_close(after["resid_post"], clean["resid_pre"] + delta + after["attn_out"] + after["mlp_out"], **CLOSE)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_stream_is_handed_from_layer_to_layer(name: str) -> None:
    model, embed, first = family(name), Port(None, "embed"), Port(0, "resid_pre")
    clean = model.forward(mixed(), reads=[embed, first, Port(0, "resid_post"), Port(1, "resid_pre")]).reads
    assert torch.equal(clean[embed], clean[first])
    assert torch.equal(clean[Port(0, "resid_post")], clean[Port(1, "resid_pre")])
    delta = noise(clean[embed])
    run = model.forward(mixed(), reads=[embed, first], edits={first: plus(delta), embed: plus(delta)})
    assert torch.equal(run.reads[embed], clean[embed] + delta)
    assert torch.equal(run.reads[first], clean[embed] + delta + delta)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "neox"])
def test_a_middle_edit_moves_the_mlp_and_the_stream(name: str) -> None:
    model = family(name)
    clean = read(model, "resid_mid", "attn_out", "mlp_out", "resid_post")
    new = clean["resid_mid"] + noise(clean["resid_mid"])
    after = read(model, "resid_mid", "attn_out", "mlp_out", "resid_post", edits={"resid_mid": to(new)})
    block = (model.decoder if hasattr(model, "decoder") else model.bridge).blocks[LAYER]
    by_hand = block.mlp(block.ln2(new))
    if hasattr(block, "ln2_post"):
        by_hand = block.ln2_post(by_hand)
    assert_close(after["mlp_out"], by_hand, **CLOSE)
    assert_close(after["resid_post"], new + by_hand, **CLOSE)
    assert torch.equal(after["attn_out"], clean["attn_out"])
    both = read(model, "resid_mid", "resid_post", edits={"resid_mid": to(new), "mlp_out": torch.zeros_like})
    assert torch.equal(both["resid_post"], new)
    # the same change made where attention adds to the stream
    same = read(model, "resid_post", edits={"attn_out": plus(new - clean["resid_mid"])})
    assert_close(after["outputs"], same["outputs"], **CLOSE)


def attention_of(model: Any) -> Any:
    return (model.decoder if hasattr(model, "decoder") else model.bridge).blocks[LAYER].attn


def after_attention(model: Any, change: Tensor) -> Tensor:
    """attn_out when what the heads add together changes by ``change``: itself, or what Gemma-2's norm makes of it."""
    clean = read(model, "attn_out", "result")
    block = (model.decoder if hasattr(model, "decoder") else model.bridge).blocks[LAYER]
    if not hasattr(block, "ln1_post"):
        return clean["attn_out"] + change
    return block.ln1_post(clean["result"].sum(2) + change)


@pytest.mark.parametrize("name", FAMILIES)
def test_z_and_result_add_what_the_output_weights_say(name: str) -> None:
    model = family(name)
    clean = read(model, "z", "result", "attn_out")
    weight = attention_of(model).W_O
    assert_close(clean["result"], torch.einsum("bphe,hed->bphd", clean["z"], weight), **CLOSE)
    delta = torch.zeros_like(clean["z"])
    delta[:, :, 1] = noise(delta)[:, :, 1]
    after = read(model, "result", "attn_out", edits={"z": plus(delta)})
    change = delta[:, :, 1] @ weight[1]
    assert_close(after["attn_out"], after_attention(model, change), **CLOSE)
    assert torch.equal(after["result"][:, :, 0], clean["result"][:, :, 0])
    same = read(model, "result", "attn_out", edits={"result": to(after["result"])})
    assert_close(same["attn_out"], after["attn_out"], **CLOSE)
    assert_close(same["outputs"], after["outputs"], **CLOSE)


@pytest.mark.parametrize("letter", "qkv")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_head_input_reaches_its_own_projection_only(name: str, letter: str) -> None:
    model = family(name)
    clean = read(model, f"{letter}_in", letter)
    heads = model.shape.heads(letter)
    weight = getattr(attention_of(model), f"W_{letter.upper()}")
    assert clean[letter].shape[2] == clean[f"{letter}_in"].shape[2] == heads
    assert torch.equal(clean[f"{letter}_in"][:, :, 0], clean[f"{letter}_in"][:, :, -1])
    delta = torch.zeros_like(clean[f"{letter}_in"])
    delta[:, :, heads - 1] = noise(delta)[:, :, heads - 1]
    after = read(model, "q", "k", "v", edits={f"{letter}_in": plus(delta)})
    assert_close(after[letter], clean[letter] + torch.einsum("bphd,hde->bphe", delta, weight), **CLOSE)
    clean |= read(model, "q", "k", "v")
    assert all(torch.equal(after[other], clean[other]) for other in set("qkv") - {letter})
    same = read(model, edits={letter: to(after[letter])})
    assert_close(same["outputs"], after["outputs"], **CLOSE)


@pytest.mark.parametrize("letter", "qkv")
@pytest.mark.parametrize("name", FAMILIES)
def test_an_edited_head_changes_the_z_of_its_own_queries_only(name: str, letter: str) -> None:
    model = family(name)
    clean = read(model, "z", letter)
    delta = torch.zeros_like(clean[letter])
    delta[:, :, 0] = noise(delta)[:, :, 0]
    after = read(model, "z", edits={letter: plus(delta)})
    reached = model.shape.n_heads // model.shape.heads(letter)
    assert torch.equal(after["z"][:, :, reached:], clean["z"][:, :, reached:])
    assert ((after["z"] - clean["z"])[:, -1, :reached].abs().amax(-1) > 1e-4).all()
    if letter == "v":  # z is linear in v
        mirrored = read(model, "z", edits={letter: plus(-delta)})
        assert_close(after["z"] + mirrored["z"], 2 * clean["z"], **CLOSE)


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Plain attention over the mixed batch, as the textbook writes it."""
    allowed = mixed().mask[:, None, None, :]
    if causal:
        allowed = allowed & torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
    scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("bhqk,bkhe->bqhe", scores.masked_fill(~allowed, -1e30).softmax(-1), v)


@pytest.mark.parametrize("letter", "qkv")
@pytest.mark.parametrize(
    "name", ["decoder", "decoder-bidirectional", "native", "native-bidirectional", "gpt2", "gpt2-folded"]
)
def test_z_is_attention_of_the_edited_q_k_and_v(name: str, letter: str) -> None:
    model = family(name)
    clean = read(model, "q", "k", "v")
    after = read(model, "q", "k", "v", "z", edits={letter: plus(noise(clean[letter]))})
    real = mixed().mask
    by_hand = attend(after["q"], after["k"], after["v"], causal=name in CAUSAL)
    assert_close(after["z"][real], by_hand[real], **CLOSE)


def nonlinearity(model: Any) -> Callable[[Tensor], Tensor]:
    if hasattr(model, "decoder"):
        return ACTIVATIONS[model.decoder.shape.activation]
    return ACT2FN[model.bridge.cfg.act_fn]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_hidden_layer_is_the_nonlinearity_then_the_output_weights(name: str) -> None:
    model = family(name)
    act = nonlinearity(model)
    clean = read(model, "mlp.pre", "mlp.post", "mlp_out")
    new = clean["mlp.pre"] + noise(clean["mlp.pre"])
    after = read(model, "mlp.post", edits={"mlp.pre": to(new)})
    # a gate multiplies both sides by what the edit leaves alone, so this holds with and without one
    assert_close(after["mlp.post"] * act(clean["mlp.pre"]), clean["mlp.post"] * act(new), **CLOSE)
    block = (model.decoder if hasattr(model, "decoder") else model.bridge).blocks[LAYER]
    if not hasattr(block.mlp, "gate"):
        assert_close(after["mlp.post"], act(new), **CLOSE)
    delta = noise(clean["mlp.post"])
    after = read(model, "mlp_out", edits={"mlp.post": plus(delta)})
    expected = clean["mlp_out"] + delta @ block.mlp.W_out
    if hasattr(block, "ln2_post"):
        expected = block.ln2_post((clean["mlp.post"] + delta) @ block.mlp.W_out)
    assert_close(after["mlp_out"], expected, **CLOSE)
