"""Bridges against what they claim to be: transformers, TransformerLens's own patching, and our decoder's weights."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformer_lens import patching
from transformers import AutoModelForCausalLM

from engines.bridge_model import BridgeModel
from engines.errors import InvalidModel, UnsupportedSite
from engines.model import Ask, Forward, pad
from engines.site import Port
from tests.families import (
    BRIDGES,
    HUGGING,
    LAYERS,
    NATIVE,
    SEQUENCES,
    SHAPE,
    VOCABULARY,
    boot,
    decoder,
    family,
    mixed,
    native,
    save,
)

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
COLUMNS = torch.arange(VOCABULARY)
LAST = Ask(torch.full((3, 1), 6), COLUMNS)


def outputs(run: Forward) -> Tensor:
    assert run.outputs is not None
    return run.outputs


def noise(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", HUGGING)
def test_a_bridge_computes_what_transformers_computes(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save(*HUGGING[name], folder)
        theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    for sequence in SEQUENCES:
        tokens = torch.tensor([sequence])
        with torch.no_grad():
            expected = theirs(tokens, output_hidden_states=True, use_cache=False)
        ask = Ask(torch.arange(len(sequence))[None], COLUMNS)
        run = family(name).forward(pad([sequence]), reads=[Port(None, "embed"), Port(0, "resid_post")], ask=ask)
        assert_close(run.outputs, expected.logits, **CLOSE)
        assert_close(run.reads[Port(None, "embed")], expected.hidden_states[0], **CLOSE)
        assert_close(run.reads[Port(0, "resid_post")], expected.hidden_states[1], **CLOSE)


def as_native(model: Any) -> dict[str, Tensor]:
    """Our decoder's weights under a bridge's names."""
    own, width = model.decoder, model.shape.d_model
    state = {"embed.weight": own.W_E, "pos_embed.weight": own.W_pos, "unembed.weight": own.W_U.T}
    norms = {"ln_final": own.ln_final}
    for layer, block in enumerate(own.blocks):
        at = f"blocks.{layer}"
        for letter in "QKV":
            state[f"{at}.attn.{letter.lower()}.weight"] = getattr(block.attn, f"W_{letter}").mT.reshape(-1, width)
            state[f"{at}.attn.{letter.lower()}.bias"] = getattr(block.attn, f"b_{letter}").flatten()
        state |= {f"{at}.attn.o.weight": block.attn.W_O.reshape(-1, width).T, f"{at}.attn.o.bias": block.attn.b_O}
        state |= {f"{at}.mlp.in.weight": block.mlp.W_in.T, f"{at}.mlp.in.bias": block.mlp.b_in}
        state |= {f"{at}.mlp.out.weight": block.mlp.W_out.T, f"{at}.mlp.out.bias": block.mlp.b_out}
        norms |= {f"{at}.ln1": block.ln1, f"{at}.ln2": block.ln2}
    return state | {f"{at}.{name}": value for at, norm in norms.items() for name, value in norm.state_dict().items()}


def test_the_decoder_and_a_native_bridge_with_its_weights_are_one_model() -> None:
    ours, theirs = decoder(replace(SHAPE, activation="gelu")), native(NATIVE)
    ours.decoder.b_U.zero_()  # a native bridge has none
    theirs.bridge.load_state_dict(as_native(ours), strict=False)
    assert ours.components == theirs.components
    inside = ours.components - {"embed"}
    ports = [Port(None, "embed"), *(Port(layer, name) for layer in range(LAYERS) for name in sorted(inside))]
    runs = [model.forward(mixed(), reads=ports, ask=LAST) for model in (ours, theirs)]
    assert_close(runs[0].outputs, runs[1].outputs, rtol=0, atol=1e-5)
    real = mixed().mask
    for port in ports:
        assert_close(runs[0].reads[port][real], runs[1].reads[port][real], **CLOSE)
        edits = {port: lambda tensor, port=port: tensor + noise(*runs[0].reads[port].shape)}
        edited = [outputs(model.forward(mixed(), edits=edits, ask=LAST)) for model in (ours, theirs)]
        assert_close(edited[0], edited[1], **CLOSE)


@pytest.mark.parametrize(
    ("component", "patch"),
    [
        ("resid_pre", patching.get_act_patch_resid_pre),
        ("attn_out", patching.get_act_patch_attn_out),
        ("mlp_out", patching.get_act_patch_mlp_out),
        ("z", patching.get_act_patch_attn_head_out_by_pos),
        ("q", patching.get_act_patch_attn_head_q_by_pos),
        ("k", patching.get_act_patch_attn_head_k_by_pos),
        ("v", patching.get_act_patch_attn_head_v_by_pos),
    ],
)
def test_patching_gives_what_transformer_lens_gives(component: str, patch: Callable[..., Tensor]) -> None:
    model = family("gpt2-folded")
    clean, corrupted = [[3, 4, 5, 6]], [[3, 9, 5, 11]]
    cache = model.bridge.run_with_cache(torch.tensor(clean))[1]
    theirs = patch(model.bridge, torch.tensor(corrupted), cache, lambda logits: logits[0, -1, 7])
    ask = Ask(torch.tensor([[3]]), torch.tensor([7]))
    for index in torch.cartesian_prod(*(torch.arange(size) for size in theirs.shape)).tolist():
        port, where = Port(index[0], component), (slice(None), *index[1:])
        source = model.forward(pad(clean), reads=[port]).reads[port]

        def swap(tensor: Tensor, source: Tensor = source, where: Any = where) -> Tensor:
            new = tensor.clone()
            new[where] = source[where]
            return new

        run = model.forward(pad(corrupted), edits={port: swap}, ask=ask)
        assert_close(outputs(run)[0, 0, 0], theirs[tuple(index)], **CLOSE)


@pytest.mark.parametrize("name", [name for name in BRIDGES if name != "neox"])
def test_transformer_lens_s_own_middle_hook_leaves_the_stream_alone(name: str) -> None:
    """Why the adapter does not use it; when this fails, the adapter may become simpler."""
    model, added = family(name), noise(1, 7, 16)
    tokens, ask = torch.tensor([SEQUENCES[0]]), Ask(torch.arange(7)[None], COLUMNS)
    hook = (f"blocks.{LAYERS - 1}.hook_resid_mid", lambda tensor, hook: tensor + added)  # noqa: ARG005
    theirs = model.bridge.run_with_hooks(tokens, fwd_hooks=[hook])
    ours = model.forward(
        pad([SEQUENCES[0]]), edits={Port(LAYERS - 1, "resid_mid"): lambda tensor: tensor + added}, ask=ask
    )
    assert (outputs(ours) - theirs).abs().max() > 0.1


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"set_use_attn_result": True}, {"result"}),
        ({"set_use_split_qkv_input": True}, {"q_in", "k_in", "v_in"}),
    ],
)
def test_a_setting_that_would_swallow_an_edit_is_noticed(settings: dict[str, bool], refused: set[str]) -> None:
    bridge = boot(*HUGGING["gpt2"])
    before = BridgeModel("gpt2", bridge)
    assert refused < before.components
    for name, value in settings.items():
        getattr(bridge, name)(value)
    assert BridgeModel("gpt2", bridge).components == before.components - refused
    for component in refused:
        with pytest.raises(UnsupportedSite, match=rf"L0\.{component}: the bridge no longer computes this"):
            before.forward(mixed(), edits={Port(0, component): torch.zeros_like}, ask=LAST)


def test_a_bridge_that_pads_wrongly_takes_one_length_at_a_time() -> None:
    # TransformerLens masks in the model's precision and takes the softmax in float32, where the mask becomes -inf
    model = BridgeModel("double", boot(*HUGGING["llama"]).double())
    with pytest.raises(
        InvalidModel, match=r"double does not compute a padded row as it computes it alone; run inputs of one"
    ):
        model.forward(mixed(), ask=LAST)
    alone = model.forward(pad([SEQUENCES[0]]), ask=Ask(torch.tensor([[6]]), COLUMNS))
    assert_close(outputs(alone).float(), outputs(family("llama").forward(mixed(), ask=LAST))[:1], **CLOSE)


@pytest.mark.parametrize("name", BRIDGES)
def test_some_columns_are_those_of_the_whole_vocabulary(name: str) -> None:
    model, added, some = family(name), noise(3, 7, 16), torch.tensor([17, 3, 4])
    assert model.narrow
    for port in (Port(None, "embed"), Port(LAYERS - 1, "resid_post")):
        found = []
        for columns in (COLUMNS, some):
            change = added.clone().requires_grad_()
            edits = {port: lambda tensor, change=change: tensor + change}
            chosen = outputs(model.forward(mixed(), edits=edits, ask=replace(LAST, columns=columns)))
            chosen = chosen[..., some] if columns is COLUMNS else chosen
            chosen.pow(2).sum().backward()
            found.append((chosen, change.grad))
        assert_close(found[0], found[1], **CLOSE)


def test_an_unembedding_whose_columns_depend_on_each_other_is_run_whole() -> None:
    bridge = boot(*HUGGING["gpt2"])
    bridge.unembed.register_forward_hook(lambda _module, _inputs, logits: logits - logits.mean(-1, keepdim=True))
    model, ask = BridgeModel("centred", bridge), replace(LAST, columns=torch.tensor([7, 2]))
    assert not model.narrow
    everything = outputs(family("gpt2").forward(mixed(), ask=LAST))
    assert_close(
        outputs(model.forward(mixed(), ask=ask)), (everything - everything.mean(-1, True))[..., [7, 2]], **CLOSE
    )


def test_a_digest_is_that_of_the_weights_as_they_are() -> None:
    model, other = native(NATIVE), native(NATIVE)
    first = model.digest()
    assert first == model.digest() == other.digest()
    with torch.no_grad():
        next(model.bridge.parameters()).add_(1.0)
    assert model.digest() != first
    model.bridge.load_state_dict(other.bridge.state_dict())
    assert model.digest() == first


def test_a_bridge_without_mlps_serves_the_rest() -> None:
    model = native(replace(NATIVE, attn_only=True))
    assert family("native").components - model.components == {"mlp.pre", "mlp.post", "mlp_out", "resid_mid"}


def test_weights_of_zero_hide_no_component() -> None:
    """Compiled networks are full of them; a site that carries nothing is still a site."""
    bridge = native(NATIVE).bridge
    for parameter in bridge.parameters():
        parameter.data.zero_()
    assert BridgeModel("zero", bridge).components == family("native").components


@pytest.mark.parametrize("n_ctx", [1, 2, 3])
def test_a_bridge_may_have_a_context_of_any_length(n_ctx: int) -> None:
    model = native(replace(NATIVE, n_ctx=n_ctx))
    assert model.components == family("native").components
    batch = pad([(3,), tuple(range(n_ctx))])
    ask = Ask(torch.full((2, 1), n_ctx - 1), COLUMNS)
    alone = model.forward(pad([(3,)]), ask=Ask(torch.tensor([[0]]), COLUMNS))
    assert_close(outputs(model.forward(batch, ask=ask))[:1], outputs(alone), **CLOSE)


@pytest.mark.parametrize("name", HUGGING)
def test_half_precision_changes_nothing_in_what_is_served(name: str) -> None:
    model = BridgeModel("half", boot(*HUGGING[name]).bfloat16())
    assert model.components == family(name).components
    assert model.pads
