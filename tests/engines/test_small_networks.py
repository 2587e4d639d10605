"""The recurrent adder and the perceptron behind the model protocol: against plain torch, in batches, when edited."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.errors import InvalidModel, InvalidSetting, UnknownName, UnsupportedSite, Untrained
from engines.events import Trained, drain
from engines.lessons import Recipe, initialise, train
from engines.model import Ask, Batch, Model, Start, pad
from engines.perceptron import Perceptron, PerceptronShape
from engines.recurrent import END, AdderGru
from engines.setup import learned, problem, restored, untrained
from engines.site import Port, Site
from engines.small_model import SmallModel
from engines.tasks import adder, equality

STATE = Port(0, "state")


def gru(seed: int = 0) -> SmallModel:
    """A recurrent network with random weights."""
    network = AdderGru(6)
    initialise(network, torch.Generator().manual_seed(seed))
    return SmallModel("gru", network.requires_grad_(False))


def mlp(seed: int = 0) -> SmallModel:
    """A perceptron with random weights."""
    network = Perceptron(PerceptronShape(entities=9, slots=4, d_entity=2, n_layers=3, classes=2))
    initialise(network, torch.Generator().manual_seed(seed))
    return SmallModel("mlp", network.requires_grad_(False))


def everywhere(batch: Batch) -> Ask:
    """Both outputs at every column."""
    return Ask(torch.arange(batch.tokens.shape[1]).expand(batch.rows, -1), torch.tensor([0, 1]))


def outputs(model: Model, batch: Batch, edits: dict[Port, Callable[[Tensor], Tensor]] | None = None) -> Tensor:
    """Outputs at every column."""
    run = model.forward(batch, edits=edits or {}, ask=everywhere(batch))
    assert run.outputs is not None
    return run.outputs


def test_the_recurrent_network_is_a_plain_gru_with_two_heads() -> None:
    model = gru()
    network = model.network
    assert isinstance(network, AdderGru)
    batch = pad([[0, 3, 1, 2, END], [1, 1, 3, 0, END]])
    plain = torch.nn.GRU(2, 6, batch_first=True)
    plain.load_state_dict({f"{name}_l0": tensor for name, tensor in network.cell.state_dict().items()})
    bits = torch.stack([batch.tokens[:, :4] & 1, batch.tokens[:, :4] >> 1], -1).float()
    with torch.no_grad():
        states, last = plain(bits)
        logits = torch.cat([network.sum_head(states), network.carry_head(last[0])[:, None]], 1)
    found = model.forward(batch, reads=[STATE], ask=everywhere(batch))
    assert found.outputs is not None
    torch.testing.assert_close(found.outputs, torch.cat([torch.zeros_like(logits), logits], -1))
    torch.testing.assert_close(found.reads[STATE][:, :4], states)
    assert torch.equal(found.reads[STATE][:, 4], found.reads[STATE][:, 3])  # the end leaves the state alone


def test_the_perceptron_is_a_plain_one() -> None:
    model = mlp()
    network = model.network
    assert isinstance(network, Perceptron)
    batch = pad([[0, 3, 1, 2], [8, 8, 3, 0]])
    x = network.embedding[batch.tokens].flatten(1)
    for block in network.blocks:
        x = torch.relu(block.linear(x))  # type: ignore[operator, union-attr]
    torch.testing.assert_close(outputs(model, batch)[:, -1], network.readout(x))


@pytest.mark.parametrize("model", [gru(), mlp()], ids=["gru", "mlp"])
def test_mixed_lengths_in_a_batch_equal_one_by_one(model: SmallModel) -> None:
    rows = [[0, 3, 1], [2, 1, 3, 0], [1]]
    batch = pad(rows)
    for row, found in zip(rows, outputs(model, batch), strict=True):
        torch.testing.assert_close(found[-len(row) :], outputs(model, pad([row]))[0])


@given(step=st.integers(0, 3), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_an_edited_state_reads_back_and_moves_every_later_state_and_no_earlier_one(step: int, seed: int) -> None:
    model, batch = gru(), pad([[0, 3, 1, 2, END], [1, 1, 3, 0, END]])
    new = torch.randn(2, 6, generator=torch.Generator().manual_seed(seed))
    chosen = (torch.arange(5) == step)[:, None]
    before = model.forward(batch, reads=[STATE]).reads[STATE]
    after = model.forward(
        batch, reads=[STATE], edits={STATE: lambda state: torch.where(chosen, new[:, None], state)}
    ).reads[STATE]
    assert torch.equal(after[:, step], new)
    assert torch.equal(after[:, :step], before[:, :step])
    assert all(bool((after[:, later] != before[:, later]).any()) for later in range(step + 1, 5))
    network = model.network
    assert isinstance(network, AdderGru)
    if step < 3:  # the recurrence goes on from the edited state
        bits = torch.stack([batch.tokens[:, step + 1] & 1, batch.tokens[:, step + 1] >> 1], -1).float()
        torch.testing.assert_close(after[:, step + 1], network.cell(bits, new))


def test_an_edit_is_applied_once_to_each_state() -> None:
    """A soft edit that were applied again at every later step would go too far."""
    model, batch = gru(), pad([[0, 3, 1, 2, END]])
    before = model.forward(batch, reads=[STATE]).reads[STATE]
    chosen = (torch.arange(5) == 1)[:, None]
    edit = {STATE: lambda state: torch.where(chosen, state / 2, state)}
    after = model.forward(batch, reads=[STATE], edits=edit).reads[STATE]
    assert torch.equal(after[:, 1], before[:, 1] / 2)


@pytest.mark.parametrize("component", ["resid_pre", "mlp.pre", "mlp.post", "resid_post"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_an_edited_layer_reads_back_and_changes_the_answer(component: str, layer: int) -> None:
    model, batch, port = mlp(), pad([[0, 3, 1, 2]]), Port(layer, component)
    run = model.forward(batch, reads=[port], edits={port: lambda x: x + 1}, ask=everywhere(batch))
    plain = model.forward(batch, reads=[port], ask=everywhere(batch))
    assert run.outputs is not None
    assert plain.outputs is not None
    assert torch.equal(run.reads[port], plain.reads[port] + 1)
    assert not torch.equal(run.outputs[:, -1], plain.outputs[:, -1])


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_a_run_from_a_cached_layer_input_equals_the_whole_run(layer: int) -> None:
    model, batch = mlp(), pad([[0, 3, 1, 2], [8, 8, 3, 0]])
    port = Port(layer, "resid_pre") if layer < 3 else Port(2, "resid_post")
    cached = model.forward(batch, reads=[port]).reads[port]
    run = model.forward(batch, start=Start(layer, cached), ask=everywhere(batch))
    assert run.layers == 3 - layer
    assert run.outputs is not None
    assert torch.equal(run.outputs, outputs(model, batch))


def test_what_a_network_does_not_have_is_refused() -> None:
    batch = pad([[0, 3, 1, 2]])
    with pytest.raises(UnsupportedSite, match=r"gru cannot read or edit 'mlp\.post'; it can: resid_pre, state"):
        gru().forward(batch, reads=[Port(0, "mlp.post")])
    with pytest.raises(UnsupportedSite, match="this model has no 'state'"):
        mlp().shape.width(Site.parse("L0.state@t1"))
    with pytest.raises(UnsupportedSite, match="coordinates 0 to 5"):
        gru().shape.width(Site.parse("L0.state[0:7]@t1"))
    with pytest.raises(InvalidModel, match="tokens go from 0 to 4"):
        gru().forward(pad([[5]]), ask=everywhere(pad([[5]])))
    with pytest.raises(InvalidModel, match="has 5 tokens; this network takes 4"):
        mlp().forward(pad([[0, 1, 2, 3, 4]]), ask=everywhere(pad([[0] * 5])))
    with pytest.raises(InvalidModel, match="give at least 1, such as 16"):
        AdderGru(0)


def test_training_is_the_same_for_the_same_seed_and_tells_its_loss() -> None:
    short = Recipe(steps=40, batch=64, learning_rate=0.01, final_rate=1.0, weight_decay=0.0, accuracy=0.0)

    def trained(seed: int) -> tuple[list[float], dict[str, Tensor]]:
        model, generator = untrained(adder.TASK, "gru8"), torch.Generator().manual_seed(seed)
        assert isinstance(model.network, AdderGru)
        initialise(model.network, generator)
        steps = train(model, adder.ADDER.answer, adder.lessons(short, generator), adder.exam(), short)
        events, weights = drain(steps)
        assert not any(parameter.requires_grad for parameter in model.network.parameters())
        return [event.loss for event in events if isinstance(event, Trained)], dict(weights)

    state = torch.get_rng_state()
    first, again, other = trained(0), trained(0), trained(1)
    assert torch.equal(state, torch.get_rng_state())  # nothing is drawn from the global generator
    assert first[0] == again[0] != other[0]
    assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])
    assert first[0][-1] < first[0][0]


def test_a_network_that_has_not_learned_is_refused() -> None:
    once = Recipe(steps=1, batch=8, learning_rate=0.01, final_rate=1.0, weight_decay=0.0, accuracy=1.0)
    model = gru()
    lessons = adder.lessons(once, torch.Generator().manual_seed(0))
    with pytest.raises(Untrained, match=r"gru answers 0\.\d+ of 256 inputs rightly after 1 steps, less than 1.0"):
        drain(train(model, adder.ADDER.answer, lessons, adder.exam(), once))
    with pytest.raises(InvalidSetting, match="train nothing"):
        Recipe(steps=0, batch=8, learning_rate=0.01, final_rate=1.0, weight_decay=0.0, accuracy=1.0)
    with pytest.raises(InvalidSetting, match="give a positive number"):
        Recipe(steps=1, batch=8, learning_rate=-1.0, final_rate=1.0, weight_decay=0.0, accuracy=1.0)


def test_names_and_weights_that_are_not_a_tasks_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'gru16'"):
        untrained(adder.TASK, "gru6")
    with pytest.raises(UnknownName, match="unknown variable of adder 'C9'"):
        problem(adder.TASK, gru(), "C9", 0)
    with pytest.raises(Untrained, match="these are no weights of adder/gru8"):
        restored(adder.TASK, "gru8", {"wrong": torch.zeros(1)})
    with pytest.raises(UnknownName):
        drain(learned(adder.TASK, "gru6", 0))


def test_equality_lessons_are_right_and_balanced() -> None:
    lesson = equality.lesson(4000, torch.Generator().manual_seed(0))
    w, x, y, z = lesson.tokens.T
    assert torch.equal(lesson.labels[:, 0] == 1, (w == x) == (y == z))
    assert float((w == x).double().mean()) == pytest.approx(0.5, abs=0.04)
    run = equality.EQUALITY.causal.run({"W": 3, "X": 3, "Y": 1, "Z": 2})
    assert (run["WX"], run["YZ"], run["same"]) == (True, False, False)
