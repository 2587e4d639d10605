"""First-order effects: exact where the network is linear, blind where it is saturated, and blindness is counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.activations import columns, read, recorded
from engines.answer import Choice, Number
from engines.attribution import SILENT, _moved, attribute
from engines.causal import CausalModel, Setting, Variable
from engines.decoder_model import DecoderModel
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import full, sweep
from engines.events import Notice, Piece, drain
from engines.intervene import Metered
from engines.methods.attribution import AttributionPatching
from engines.networks import Block, Decoder, DecoderShape
from engines.site import Port, Site
from engines.task import Pair, Pairs, Problem, Task, draw_pairs
from tests.families import mixed_pairs
from tests.known import ONE, conjunction_decoder, conjunction_problem

BIT, GATE, CONSTANT, FIRST, LAST, SEEN = range(6)
QUERY, MIXED = Site.parse("L0.head0.q@last"), Site.parse("L0.attn_out@last")


def gated() -> Problem:
    """Saturated attention: the last token decides, by a score of 1000, whether the first is looked at.

        query (1000 x1, 500),  keys (1, 0) at the first token and (0, 1) at the last,  values x0 and 0
        causal model           gate = x1;  answer = gate and x0

    ``gate`` is carried by the query, whose gradient is exactly zero: exp(-500 / sqrt 2) is no float32.
    """
    decoder = Decoder(
        DecoderShape(n_layers=1, n_heads=1, d_model=6, d_head=2, d_mlp=1, d_vocab=4, d_vocab_out=2, n_ctx=2)
    )
    decoder.W_E.data[1, BIT] = decoder.W_E.data[3, GATE] = 1.0
    decoder.W_E.data[:, CONSTANT] = 1.0
    decoder.W_pos.data[0, FIRST] = decoder.W_pos.data[1, LAST] = 1.0
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    block.attn.W_Q.data[0, GATE, 0], block.attn.W_Q.data[0, CONSTANT, 1] = 1000.0, 500.0
    block.attn.W_K.data[0, FIRST, 0] = block.attn.W_K.data[0, LAST, 1] = 1.0
    block.attn.W_V.data[0, BIT, 0] = block.attn.W_O.data[0, 0, SEEN] = 1.0
    decoder.W_U.data[CONSTANT, 0], decoder.W_U.data[SEEN, 1] = 0.5, 1.0
    causal = CausalModel(
        inputs=(Variable("x0", (0, 1)), Variable("x1", (0, 1))),
        mechanisms={"gate": lambda x1: x1, "answer": lambda gate, x0: gate & x0},
        output="answer",
    )

    def draw(rng: np.random.Generator) -> Pair:
        return Pair(causal.sample(rng), causal.sample(rng), {"first": 0, "last": 1}, {"first": 0, "last": 1})

    def counterfactual(variable: str, pair: Pair, _base: Setting, source: Setting) -> Setting:
        return causal.intervene(pair.base, {variable: source[variable]})

    task = Task(
        "gated",
        causal,
        Choice((0, 1), (0, 1), sharpness=20.0),
        ("gate",),
        ("first", "last"),
        lambda setting: [int(str(setting["x0"])), 2 + int(str(setting["x1"]))],
        draw,
        lambda variable, run, _at: run[variable],
        counterfactual,
        lambda run: [run["answer"]],
        lambda _run: [1],
    )
    parts = [draw_pairs(task, "audit", quota=6, seed=seed) for seed in range(3)]
    sites = (QUERY, MIXED, Site.parse("L0.head0.k@first"))
    return Problem("gated", DecoderModel("gated", decoder), task.answer, "gate", ("gate",), sites, *parts, seed=0)


def only(pairs: Pairs, among: torch.Tensor) -> Pairs:
    """The pairs with every other one declared invalid."""
    return replace(pairs, valid={name: valid & among for name, valid in pairs.valid.items()})


@pytest.mark.parametrize("target", ["copied", "both"])
def test_effects_are_exact_where_the_rest_of_the_network_is_linear(target: str) -> None:
    problem = conjunction_problem(target)
    _, found = drain(attribute(problem, problem.sites, {}))
    _, swept = drain(sweep(problem.model, problem.fit, full(problem.model, problem.sites), {}))
    some, labels, base = problem.fit.informative(target), problem.fit.labels[target], problem.fit.base_labels
    before = problem.answer.lead(swept.base, labels, base)[some]
    linear = [place for place, site in enumerate(problem.sites) if site.component in ("resid_post", "mlp_out")]
    assert len(linear) > 8
    for place in linear:
        moved = problem.answer.lead(swept.outputs[place], labels, base)[some] - before
        assert float(found.effects[place]) == pytest.approx(float(moved.mean() / (2 * before.abs().mean())), abs=1e-6)


def test_a_right_patch_has_an_effect_of_one() -> None:
    problem = conjunction_problem("both")
    _, found = drain(attribute(problem, [Site.parse("L0.resid_post@last")], {}))
    assert float(found.effects[0]) == pytest.approx(1.0, abs=1e-6)


def test_a_threshold_hides_what_lies_below_it() -> None:
    """relu(x0 + x1 - 1.01) has no slope at x0 = 0: turning x0 on is not seen, though it sets every answer right."""
    decoder = conjunction_decoder()
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    block.mlp.b_in.data[0] = -0.01
    problem, copy = conjunction_problem("copied"), Site.parse("L0.attn_out@last")
    problem = replace(problem, model=DecoderModel("thresholded", decoder))
    off = problem.fit.bases.tokens[:, 0] == 0
    for among, effect, unheard in ((off, 0.0, 1.0), (~off, 1 / 0.98, 0.0)):  # a lead of 0.49 moves by 1
        asked = replace(problem, fit=only(problem.fit, among))
        _, found = drain(attribute(asked, [copy], {}))
        assert (float(found.effects[0]), float(found.unheard[0])) == (pytest.approx(effect, abs=1e-6), unheard)
        assert bool(found.silent[0]) == (unheard == 1.0)
    _, mixed = drain(attribute(problem, [copy], {}))
    share = float(off[problem.fit.informative("copied")].double().mean())
    assert float(mixed.unheard[0]) == pytest.approx(share)
    assert not bool(mixed.silent[0])


def test_saturated_attention_has_no_gradient_and_the_method_says_so() -> None:
    """The exact effect is 1, the gradient 0 to the last bit."""
    problem = gated()
    _, found = drain(attribute(problem, problem.sites, {}))
    assert float(found.effects[0]) == 0.0
    assert found.silent.tolist() == [True, False, False]
    assert found.differing.tolist() == [True, True, False]  # keys hold positions only
    assert found.order() == (1, 0)

    _, blind = drain(AttributionPatching(verify=1).fit(problem, {}))
    assert blind.handles[0].site == MIXED
    assert blind.quality.value < 1.0
    assert "1 of 2 sites that differ between base and source were swapped exactly" in blind.notes
    none = "0 of these were swapped exactly and 0 set an answer right (audit=true takes all of them)"
    assert any(note.startswith("1 of them have no first-order effect") and note.endswith(none) for note in blind.notes)

    events, audited = drain(AttributionPatching(verify=1, audit=True).fit(problem, {}))
    assert audited.handles[0].site == QUERY  # of so few pairs no interval leaves out the other
    assert audited.quality.value == 1.0
    both = "1 of these were swapped exactly and 1 set an answer right (audit=true takes all of them)"
    assert any(
        note.startswith("1 of them have no first-order effect") and note.endswith(both) for note in audited.notes
    )
    assert {event.text for event in events if isinstance(event, Notice)} <= set(audited.notes)


def test_every_site_has_the_effect_of_its_own_vector() -> None:
    """Spans, heads, neurons and all positions, each read by itself: whatever sites share is made once."""
    names = ("L1.resid_post@last", "L1.resid_post[4:9]@last", "L1.resid_post[4:9]@all", "L0.head1.z@middle")
    names += ("L0.head0.z[2:3]@middle", "L1.mlp.neuron5@first", "L1.resid_post@t1", "embed@last")
    sites = [Site.parse(name) for name in names]
    generator = torch.Generator().manual_seed(0)
    pairs, index = mixed_pairs(), torch.tensor([2, 0])

    def drawn() -> dict[Port, torch.Tensor]:
        sizes = {site.port: (2, 8) if site.component == "z" else (16,) for site in sites}
        return {port: torch.randn(2, 7, *size, generator=generator) for port, size in sizes.items()}

    theirs, ours, gradients = drawn(), drawn(), drawn()
    ours[sites[3].port][0, :, 1] = theirs[sites[3].port][0, :, 1] = 0.0
    effects, differing = _moved(pairs, sites, index, theirs, ours, gradients)
    for place, site in enumerate(sites):
        where = columns(site, pairs.base_at, pairs.bases)[index]
        slope, base, source = (read(one[site.port], site, where).double() for one in (gradients, ours, theirs))
        torch.testing.assert_close(effects[place], (slope * (source - base)).sum((1, 2)), rtol=1e-6, atol=1e-6)
        assert differing[place].tolist() == (source != base).any(2).any(1).tolist()
    assert differing[3].tolist() == [False, True]


def test_two_forwards_and_one_backward_serve_all_sites() -> None:
    problem = conjunction_problem("both")
    _, found = drain(attribute(problem, problem.sites, {}))
    rows = problem.fit.informative("both").nonzero()[:, 0]
    meter = Metered(problem.model)
    recorded(meter, problem.fit.sources.take(rows), [Site.parse("L0.resid_post@last").port])
    assert found.cost.forward_passes == meter.forward_passes + len(rows)
    assert found.cost.layer_evaluations == meter.layer_evaluations + 2 * len(rows)  # one layer, there and back


def test_a_finished_attribution_is_not_run_again() -> None:
    problem = conjunction_problem("both")
    events, found = drain(attribute(problem, problem.sites, {}))
    done = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    again_events, again = drain(attribute(problem, problem.sites, done))
    assert not [event for event in again_events if isinstance(event, Piece)]
    assert torch.equal(again.effects, found.effects)
    assert again.cost == found.cost
    keys = [key for key in done]
    for other in (replace(problem, fit=problem.test), replace(problem, target="copied", variables=("copied", "both"))):
        fresh, _ = drain(attribute(other, problem.sites, done))
        keys += [event.key for event in fresh if isinstance(event, Piece)]
    assert len(set(keys)) == 3


def test_without_a_difference_there_is_nothing_to_claim() -> None:
    constant = Site.parse(f"L0.resid_post[{ONE}:{ONE + 1}]@last")
    with pytest.raises(InsufficientData, match="base and source differ at none of the sites; name other sites"):
        drain(AttributionPatching().fit(replace(conjunction_problem("both"), sites=(constant,)), {}))
    with pytest.raises(InvalidSetting, match="verify is 0: give 1 or more sites to swap exactly, such as 16"):
        drain(AttributionPatching(verify=0).fit(conjunction_problem("both"), {}))


def test_leads_by_hand() -> None:
    choice = Choice(("a", "b", "c"), (0, 1, 2), sharpness=2.0)
    outputs = torch.tensor([[[1.0, 3.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 0.0]]])
    labels, base = torch.tensor([[1, 1, -100]]), torch.tensor([[0, 2, 0]])
    assert choice.lead(outputs, labels, base).tolist() == [((3 - 1) + (1 - 0)) * 2.0 / 2]
    number = Number(0, 0.1)
    at = torch.tensor([[2.0, 9.0]], dtype=torch.float64)
    assert number.lead(torch.tensor([[[1.0], [0.0]]]), at, torch.tensor([[1.0, 9.0]]).double()).tolist() == [-1.0]
    assert number.lead(torch.tensor([[[2.0], [0.0]]]), at, torch.tensor([[1.0, 9.0]]).double()).tolist() == [1.0]
    assert SILENT < 0.01
