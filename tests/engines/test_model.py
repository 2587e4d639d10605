"""Runs of a model, behind both adapters: batches, restarts, what is asked, gradients, and nothing left behind."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from engines.bridge_model import BridgeModel
from engines.errors import InvalidModel, InvalidSetting, UnsupportedSite
from engines.model import Ask, Forward, Model, Start, pad
from engines.site import Port
from tests.families import FAMILIES, LAYERS, SEQUENCES, VOCABULARY, family, mixed

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 2e-5}
COLUMNS = torch.arange(VOCABULARY)
LAST = Ask(torch.full((3, 1), 6), COLUMNS)


def all_ports(model: Model) -> list[Port]:
    inside = model.components - {"embed"}
    return [Port(None, "embed"), *(Port(layer, name) for layer in range(LAYERS) for name in sorted(inside))]


def stream(layer: int) -> Port:
    """The residual stream before ``layer``, or after the last one."""
    return Port(layer, "resid_pre") if layer < LAYERS else Port(LAYERS - 1, "resid_post")


def network(model: Any) -> Any:
    return model.decoder if hasattr(model, "decoder") else model.bridge


def outputs(run: Forward) -> Tensor:
    assert run.outputs is not None
    return run.outputs


def noise(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_padded_row_computes_what_it_computes_alone(name: str) -> None:
    model = family(name)
    together = model.forward(mixed(), reads=all_ports(model), ask=LAST)
    for row, sequence in enumerate(SEQUENCES):
        length = len(sequence)
        alone = model.forward(pad([sequence]), reads=all_ports(model), ask=Ask(torch.tensor([[length - 1]]), COLUMNS))
        assert_close(outputs(together)[row], outputs(alone)[0], **CLOSE)
        for port in all_ports(model):
            assert_close(together.reads[port][row, -length:], alone.reads[port][0], **CLOSE)


@pytest.mark.parametrize("layer", range(LAYERS + 1))
@pytest.mark.parametrize("name", FAMILIES)
def test_a_restart_equals_the_whole_run(name: str, layer: int) -> None:
    model = family(name)
    clean = model.forward(mixed(), reads=all_ports(model)).reads
    edits = {
        port: lambda tensor, port=port: tensor + noise(*clean[port].shape)
        for port in all_ports(model)
        if port.layer is not None and port.layer >= layer and port.component != "resid_pre"
    }
    start = Start(layer, clean[stream(layer)])
    whole = model.forward(mixed(), edits=edits, reads=list(edits), ask=LAST)
    part = model.forward(mixed(), edits=edits, reads=list(edits), start=start, ask=LAST)
    assert (whole.layers, part.layers) == (LAYERS, LAYERS - layer)
    assert_close(part.outputs, whole.outputs, rtol=1e-5, atol=1e-5)
    for port in edits:
        assert_close(part.reads[port], whole.reads[port], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("name", FAMILIES)
def test_swapping_a_layer_s_output_is_starting_after_it(name: str, layer: int) -> None:
    model = family(name)
    other = pad([[19 - token for token in sequence] for sequence in SEQUENCES])
    foreign = model.forward(other, reads=[stream(layer + 1)]).reads[stream(layer + 1)]
    swapped = model.forward(mixed(), edits={Port(layer, "resid_post"): lambda _tensor: foreign}, ask=LAST)
    started = model.forward(mixed(), start=Start(layer + 1, foreign), ask=LAST)
    assert_close(started.outputs, swapped.outputs, rtol=1e-6, atol=1e-6)


def count_runs(model: Any) -> tuple[list[str], list[Any]]:
    """A list that says which attention ran and what shape was unembedded, and the handles that end the counting."""
    ran: list[str] = []
    blocks = enumerate(network(model).blocks)
    handles = [block.attn.register_forward_hook(lambda *_call, at=at: ran.append(f"L{at}")) for at, block in blocks]
    if isinstance(model, BridgeModel):
        unembed = network(model).unembed
        handles.append(unembed.register_forward_hook(lambda *call: ran.append(f"unembed {tuple(call[2].shape)}")))
    return ran, handles


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ask": LAST}, ["L0", "L1", "unembed (3, 1, 20)"]),
        ({"ask": LAST, "start": 1}, ["L1", "unembed (3, 1, 20)"]),
        ({"ask": LAST, "start": 2}, ["unembed (3, 1, 20)"]),
        ({"reads": [Port(0, "z")]}, ["L0"]),
        ({"reads": [Port(1, "resid_post")], "start": 1}, ["L1"]),
        ({"reads": [Port(1, "resid_post")]}, ["L0", "L1"]),
        ({"reads": [Port(None, "embed")]}, []),
        ({}, []),
        ({"start": 1}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", FAMILIES)
def test_only_what_is_needed_runs(name: str, options: dict[str, Any], expected: list[str]) -> None:
    model = family(name)
    residual = model.forward(mixed(), reads=[stream(1)]).reads[stream(1)]
    ran, handles = count_runs(model)
    if "start" in options:
        options = options | {"start": Start(options["start"], residual)}
    try:
        run = model.forward(mixed(), **options)
    finally:
        for handle in handles:
            handle.remove()
    assert ran == [entry for entry in expected if isinstance(model, BridgeModel) or entry.startswith("L")]
    assert run.layers == sum(entry.startswith("L") for entry in ran)
    assert (run.outputs is None) == ("ask" not in options)


@pytest.mark.parametrize("name", FAMILIES)
def test_asked_positions_and_columns_come_in_the_order_asked(name: str) -> None:
    model = family(name)
    positions, columns = torch.tensor([[6, 3], [6, 5], [4, 6]]), torch.tensor([7, 2])
    everything = outputs(model.forward(mixed(), ask=Ask(torch.arange(7).expand(3, -1), COLUMNS)))
    some = outputs(model.forward(mixed(), ask=Ask(positions, columns)))
    assert_close(some, everything[torch.arange(3)[:, None], positions][..., columns], rtol=1e-6, atol=1e-6)


def traces(model: Any) -> list[str]:
    """Every hook on the network and every module whose forward is not its class's own."""
    found: list[str] = []
    for name, module in network(model).named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found += [f"{name} {len(kind)}" for kind in hooks if kind]
        found += [f"{name} forward"] * ("forward" in module.__dict__)
    return found


@pytest.mark.parametrize("start", [None, 1])
@pytest.mark.parametrize("name", FAMILIES)
def test_an_exception_leaves_nothing_behind(name: str, start: int | None) -> None:
    model = family(name)
    clean = model.forward(mixed(), reads=[stream(1)], ask=LAST)
    before = traces(model)

    def broken(_tensor: Tensor) -> Tensor:
        raise ZeroDivisionError("the edit itself")

    ports = [port for port in all_ports(model) if port.layer == 1]
    begin = None if start is None else Start(start, clean.reads[stream(1)])
    for port in ports:
        with pytest.raises(ZeroDivisionError, match="the edit itself"):
            model.forward(mixed(), edits={port: broken}, reads=ports, start=begin, ask=LAST)
    with pytest.raises(IndexError):
        model.forward(mixed(), start=begin, ask=Ask(torch.full((3, 1), 99), COLUMNS))
    assert traces(model) == before
    again = model.forward(mixed(), reads=[stream(1)], ask=LAST)
    assert torch.equal(outputs(again), outputs(clean))
    assert torch.equal(again.reads[stream(1)], clean.reads[stream(1)])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_edit_must_return_a_tensor_of_the_same_shape(name: str) -> None:
    model, port = family(name), Port(1, "resid_post")
    with pytest.raises(
        InvalidSetting, match=r"the edit at L1\.resid_post returned NoneType; return a new tensor \(3, 7, 16\)"
    ):
        model.forward(mixed(), edits={port: lambda _tensor: None}, ask=LAST)  # pyright: ignore
    with pytest.raises(InvalidSetting, match=r"returned a tensor \(3, 16\); return a new tensor \(3, 7, 16\)"):
        model.forward(mixed(), edits={port: lambda tensor: tensor[:, 0]}, ask=LAST)
    with pytest.raises(
        InvalidSetting, match=r"the edit at L1\.resid_post changed its argument in place; return a new tensor"
    ):
        model.forward(mixed(), edits={port: lambda tensor: tensor.zero_()}, ask=LAST)


@pytest.mark.parametrize("name", FAMILIES)
def test_ports_that_are_not_there_are_refused(name: str) -> None:
    model = family(name)
    with pytest.raises(UnsupportedSite, match=r"L9\.z: .* has layers 0 to 1"):
        model.forward(mixed(), reads=[Port(9, "z")])
    with pytest.raises(UnsupportedSite, match=r"L0\.state: .* cannot read or edit 'state'; it can: attn_out"):
        model.forward(mixed(), edits={Port(0, "state"): torch.zeros_like})
    with pytest.raises(UnsupportedSite, match=r"L0\.z: the run starts at layer 1, after this port; start earlier"):
        model.forward(mixed(), reads=[Port(0, "z")], start=Start(1, noise(3, 7, 16)))


@pytest.mark.parametrize("name", FAMILIES)
def test_inputs_longer_than_the_context_are_refused(name: str) -> None:
    with pytest.raises(InvalidModel, match=r"an input has 13 tokens; .* takes 12"):
        family(name).forward(pad([range(13), (1, 2)]), ask=LAST)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_flow_through_edits_and_starts_and_into_no_parameter(name: str) -> None:
    model = family(name)
    clean = model.forward(mixed(), reads=all_ports(model))
    weight = noise(3, 1, VOCABULARY)

    def total(port: Port, delta: Tensor) -> Tensor:
        return (outputs(model.forward(mixed(), edits={port: lambda tensor: tensor + delta}, ask=LAST)) * weight).sum()

    for port in all_ports(model):
        direction = noise(*clean.reads[port].shape)
        delta = torch.zeros_like(direction, requires_grad=True)
        (gradient,) = torch.autograd.grad(total(port, delta), delta)
        with torch.no_grad():
            slope = (total(port, 5e-4 * direction) - total(port, -5e-4 * direction)) / 1e-3
        assert_close((gradient * direction).sum(), slope, rtol=0.02, atol=0.05)
        assert gradient[:, -1].abs().max() > 0
    residual = clean.reads[stream(1)].clone().requires_grad_()
    outputs(model.forward(mixed(), start=Start(1, residual), ask=LAST)).sum().backward()
    assert residual.grad is not None
    assert residual.grad.abs().max() > 0
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in network(model).parameters())
