"""A run without its first columns computes what it computes with them, in every family that resumes.

Laws hold under left padding with mixed lengths, at every component, at one site and at several; gradients too.
"""

import re
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers import GPTJConfig, GPTJForCausalLM, MambaConfig, MambaForCausalLM

from engines.activations import Activations, capture
from engines.bridge_model import BridgeModel
from engines.errors import InvalidSetting, UnsupportedSite
from engines.intervene import Jobs, columns_before, patched, start_layer, swapped
from engines.intervene import replace as full_swap
from engines.model import PAST, Ask, Batch, Model, Start, pad
from engines.site import Port, Site
from tests.families import (
    CAUSAL,
    FAMILIES,
    HUGGING,
    LAYERS,
    SHAPE,
    VOCABULARY,
    boot,
    decoder,
    family,
    hugging,
    mixed,
    mixed_pairs,
)

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
COLUMNS = torch.arange(VOCABULARY)
RESUMING = tuple(name for name in CAUSAL if not name.startswith("native"))
WIDTH = 7
WHY = {
    "decoder-bidirectional": "its attention sees later columns",
    "native": "its layer 0 keeps no keys and values",
    "native-bidirectional": "its layer 0 keeps no keys and values",
    "native-rotary": "its layer 0 keeps no keys and values",
}
"""What families that do not resume say of themselves."""


def noise(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


def ports(model: Model, first: int) -> list[Port]:
    """Every port of a layer from ``first`` on."""
    return [Port(layer, name) for layer in range(first, LAYERS) for name in sorted(model.components - {"embed"})]


def cached(model: Model, batch: Batch, layer: int, before: int) -> tuple[Start, Start]:
    """A start with all columns, and one without the first ``before``."""
    past = [Port(number, PAST) for number in range(LAYERS)]
    reads = model.forward(batch, reads=[Port(None, "embed"), *ports(model, 0), *past]).reads
    residual = reads[Port(None, "embed") if layer == 0 else Port(layer - 1, "resid_post")]
    known = {number: reads[past[number]][:, :before] for number in range(layer, LAYERS)}
    return Start(layer, residual), Start(layer, residual[:, before:], known)


def test_these_families_resume_and_no_other() -> None:
    """A native bridge keeps no keys and values; where attention looks ahead, what is left out is not unchanged."""
    assert tuple(name for name in FAMILIES if family(name).shape.resumes) == RESUMING


@pytest.mark.parametrize(("layer", "before"), [(0, 1), (0, 4), (1, 6)])
@pytest.mark.parametrize("name", RESUMING)
def test_every_port_and_gradient_is_that_of_the_run_with_all_columns(name: str, layer: int, before: int) -> None:
    model = family(name)
    whole, rest = cached(model, mixed(), layer, before)
    positions = torch.arange(before, WIDTH).expand(3, -1)
    real = mixed().mask[:, before:]  # what padding computes nobody reads
    everywhere = model.forward(mixed(), start=whole, reads=ports(model, layer)).reads
    found = []
    for start, left in ((whole, 0), (rest, before)):
        changes = {port: noise(*values.shape)[:, before:].requires_grad_() for port, values in everywhere.items()}

        def edit(tensor: Tensor, port: Port, changes: dict[Port, Tensor] = changes, left: int = left) -> Tensor:
            return torch.cat([tensor[:, : before - left], tensor[:, before - left :] + changes[port]], 1)

        edits = {port: partial(edit, port=port) for port in changes}
        run = model.forward(mixed(), start=start, reads=[*changes], edits=edits, ask=Ask(positions, COLUMNS))
        assert run.outputs is not None
        (run.outputs * noise(*run.outputs.shape))[real].sum().backward()
        gradients = {f"gradient of {port}": change.grad for port, change in changes.items()}
        reads = {str(port): run.reads[port][:, before - left :] for port in changes}
        found.append({"outputs": run.outputs, **gradients, **reads})
    for what, mine in found[1].items():
        assert_close(mine[real], found[0][what][real], **CLOSE, msg=lambda told, what=what: f"{what}: {told}")


def sites(model: Model, position: str) -> list[Site]:
    """The embedding, and every component of the last but one layer."""
    heads = ("q_in", "k_in", "v_in", "q", "k", "v", "z", "result")
    names = sorted(model.components - {"embed"})
    layer = LAYERS - 2
    return [
        Site(None, "embed", position),
        *(Site(layer, name, position, 0 if name in heads else None) for name in names),
    ]


@pytest.mark.parametrize(("position", "left"), [("middle", 4), ("last", 6), ("first", 0)])
@pytest.mark.parametrize("name", RESUMING)
def test_patches_and_their_gradients_are_those_of_the_run_with_all_columns(name: str, position: str, left: int) -> None:
    model, index = family(name), torch.tensor([2, 0, 1, 0])
    for layer in range(LAYERS):
        together = [site for site in sites(model, position) if start_layer(site) == layer]
        ready = capture(model, mixed_pairs(), together, [layer])
        assert {columns_before(ready, Jobs(site, 1, full_swap), index) for site in together} == {left}
        found = []
        for activations in (ready, replace(ready, past={})):
            strengths = [torch.tensor(0.7, requires_grad=True) for _ in together]
            jobs = [Jobs(site, 1, full_swap) for site in together]
            for site, strength in zip(together, strengths, strict=True):
                change = lambda base, source, strength=strength: base + strength * (source - base)  # noqa: E731
                jobs.append(Jobs(site, 2, change))
            outputs = patched(model, activations, jobs, index)
            (outputs * noise(*outputs.shape)).sum().backward()
            found.append((outputs, strengths))
        assert_close(found[0][0], found[1][0], **CLOSE)
        for site, mine, theirs in zip(together, found[0][1], found[1][1], strict=True):
            assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=lambda told, site=site: f"{site}: {told}")


@pytest.mark.parametrize("name", RESUMING)
def test_several_sites_and_batches_are_in_the_order_of_the_jobs(name: str) -> None:
    model = family(name)
    where = [Site.parse(f"L0.{text}") for text in ("mlp_out@last", "attn_out@first", "mlp_out@middle", "mlp_out@last")]
    jobs = [Jobs(site, 1, full_swap) for site in where]
    jobs.append(Jobs(where[0], 1, full_swap, ((where[2], full_swap), (Site.parse("L1.mlp_out@last"), full_swap))))
    jobs.append(Jobs(where[0], 2, lambda base, source: (base + source).expand(2, -1, -1, -1)))
    ready = capture(model, mixed_pairs(), [site for job in jobs for site, _ in job.patches], [0])
    left = [columns_before(ready, job, torch.arange(3)) for job in jobs]
    assert left == [6, 0, 4, 6, 4, 6]
    found = swapped(model, ready, jobs)
    assert_close(found, swapped(model, replace(ready, past={}), jobs), **CLOSE)
    assert_close(
        patched(model, ready, jobs, torch.arange(3)), found, **CLOSE
    )  # in one run, from the first column of all
    alike = (found[:, None] - found).abs().amax((2, 3, 4)) < 1e-3
    kinds = torch.tensor([0, 1, 2, 0, 4, 5, 5])  # else their order would not show
    assert torch.equal(alike, kinds[:, None] == kinds)


@pytest.mark.parametrize("dead", range(SHAPE.n_heads))
def test_heads_that_write_nothing_are_left_out_of_the_past_too(dead: int) -> None:
    model = decoder(SHAPE)
    for name, weight in model.decoder.named_parameters():
        if name.endswith("W_O"):
            weight.data[dead] = 0.0
    whole, rest = cached(model, mixed(), 0, 4)
    ask = Ask(torch.full((3, 1), WIDTH - 1), COLUMNS)
    found = [model.forward(mixed(), start=start, ask=ask).outputs for start in (rest, whole)]
    assert_close(found[0], found[1], **CLOSE)


def test_an_answer_before_the_patch_runs_with_its_columns() -> None:
    model, site = family("gpt2"), Site.parse("L0.mlp_out@last")
    two = torch.zeros(3, 2, dtype=torch.int64)
    early = replace(
        mixed_pairs(), answers_at=torch.tensor([[6, 5], [6, 5], [6, 3]]), base_labels=two, labels={"v": two}
    )
    ready = capture(model, early, [site], [0])
    assert columns_before(ready, Jobs(site, 1, full_swap), torch.arange(3)) == 3
    absent = replace(early, answers_at=torch.tensor([[6, 5], [6, -1], [6, 3]]))  # as good as column 0
    assert not capture(model, absent, [site], [0]).past
    whole = replace(ready, past={})
    job = [Jobs(site, 1, full_swap)]
    assert_close(swapped(model, ready, job), swapped(model, whole, job), **CLOSE)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in RESUMING])
def test_other_families_run_all_columns(name: str) -> None:
    model, site = family(name), Site.parse("L0.mlp_out@last")
    ready: Activations = capture(model, mixed_pairs(), [site], [0])
    assert not ready.past
    with pytest.raises(UnsupportedSite, match=rf"L0\.past: only a run .*resumes False \({re.escape(WHY[name])}\)"):
        model.forward(mixed(), reads=[Port(0, PAST)])
    start = Start(1, noise(3, 2, 16), {1: noise(3, 5, 2, 16)})
    reason = re.escape(WHY[name])
    with pytest.raises(InvalidSetting, match=rf"cannot leave out columns \({reason}\); give the start without past"):
        model.forward(mixed(), start=start, ask=Ask(torch.full((3, 1), 6), COLUMNS))


@pytest.mark.parametrize("name", ["decoder", "gpt2"])
def test_starts_that_do_not_fit_are_refused(name: str) -> None:
    model = family(name)
    _, start = cached(model, mixed(), 0, 4)
    last = Ask(torch.full((3, 1), 6), COLUMNS)
    for wrong in (
        replace(start, past={1: start.past[1]}),
        replace(start, residual=noise(3, 4, 16)),
        replace(start, past={0: start.past[0], 1: start.past[1][:, :3]}),
    ):
        with pytest.raises(InvalidSetting, match=r"the start at layer 0 has \d of 7 columns and a past of so many"):
            model.forward(mixed(), start=wrong, ask=last)
    with pytest.raises(InvalidSetting, match="column 3 is asked, and the run starts at column 4; start earlier"):
        model.forward(mixed(), start=start, ask=Ask(torch.full((3, 1), 3), COLUMNS))
    with pytest.raises(UnsupportedSite, match=r"L1\.past: only a run from layer 0 .* from layer 1"):
        model.forward(mixed(), reads=[Port(1, PAST)], start=Start(1, noise(3, 7, 16)))
    with pytest.raises(UnsupportedSite, match=r"L0\.past: .* cannot read or edit 'past'"):
        model.forward(mixed(), edits={Port(0, PAST): torch.zeros_like})


def test_a_bridge_that_looks_ahead_does_not_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its class is called: attention that sees later keys gives itself away."""
    bridge = boot(*HUGGING["llama"])
    assert BridgeModel("causal", bridge).shape.resumes

    def see_all(*, inputs_embeds: Tensor, attention_mask: Tensor, **_settings: object) -> Tensor:
        return torch.zeros(*inputs_embeds.shape[:1], 1, inputs_embeds.shape[1], attention_mask.shape[1])

    monkeypatch.setattr("transformers.models.llama.modeling_llama.create_causal_mask", see_all)
    model, ask = BridgeModel("both ways", bridge), Ask(torch.tensor([[0]]), COLUMNS)
    one, other = (model.forward(pad([(1, 2, token)]), ask=ask).outputs for token in (3, 7))
    assert one is not None
    assert other is not None
    assert (one - other).abs().max() > 0.1
    assert not model.shape.resumes
    assert model.shape.why_whole == "L1.resid_post is another without the first columns, or when later ones change"


def test_layers_that_keep_more_than_keys_and_values_do_not_resume() -> None:
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4)
    shape = hugging(config, MambaForCausalLM).shape
    assert not shape.resumes
    assert shape.why_whole == "its layer 0 keeps a LinearAttentionLayer, not keys and values alone"


def test_a_defect_is_not_taken_for_an_architecture_that_needs_all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("engines.bridge_model._cache_layers", broken)
    with pytest.raises(ZeroDivisionError, match="a defect") as caught:
        BridgeModel("broken", boot(*HUGGING["gpt2"]))
    assert caught.value.__notes__ == ["broken: this broke while asking whether a run may leave out its first columns"]


def test_blocks_that_return_pairs_can_be_skipped_and_resumed() -> None:
    """GPT-J's blocks hand on their attention too, which whatever stands in for a skipped one must do as well."""
    sizes: dict[str, Any] = {
        "n_embd": 16,
        "n_inner": 24,
        "n_layer": LAYERS,
        "n_head": 2,
        "n_positions": 12,
        "rotary_dim": 4,
    }
    model = hugging(GPTJConfig(vocab_size=VOCABULARY, initializer_range=0.4, **sizes), GPTJForCausalLM)
    assert (model.returned, model.shape.resumes, model.shape.why_whole) == (2, True, "")
    whole, rest = cached(model, mixed(), 1, 1)
    ask = Ask(torch.full((3, 1), WIDTH - 1), COLUMNS)
    expected = model.forward(mixed(), ask=ask).outputs
    assert expected is not None
    assert float(expected.std()) > 0.01
    for start in (whole, rest):
        assert_close(model.forward(mixed(), start=start, ask=ask).outputs, expected, **CLOSE)
