"""What every method owes its caller, whatever it does: a file in ``engines/methods`` is tested by being there."""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engines import registry
from engines.decoder_model import DecoderModel
from engines.events import Event, Measured, Notice, Piece, Steps, drain
from engines.featurize import Featurizer
from engines.score import Fit, Quality, to_record
from engines.task import Pairs, Problem
from tests.known import conjunction_problem

METHODS = registry.names("engines.methods")
PUBLISHED = {"plot_reference"}
"""Methods kept as they were published, failings and all; test_reference.py shows these."""
SHORTER: Mapping[str, Mapping[str, Any]] = {"dbm": {"steps": 16}}
"""Training that finds the variables of these small problems in fewer steps than it takes by default."""
EMPTY: Mapping[str, Mapping[str, Tensor]] = {}


def method(name: str, problem: Problem) -> Any:
    """The method with its default settings but for ``SHORTER``.

    One that must be told where to look is told every whole site.
    """
    made = registry.load("engines.methods", name, "METHOD", "method")
    blank = {field.name for field in dataclasses.fields(made) if field.default in ((), dataclasses.MISSING)}
    assert blank <= {"sites"}, f"{name}: settings without a default: {blank}"
    told = {"sites": tuple(str(site) for site in problem.sites if site.span is None)} if blank else {}
    return made(**told, **SHORTER.get(name, {}))


def run(name: str, problem: Problem) -> tuple[list[Event], Fit]:
    return drain(method(name, problem).fit(problem, EMPTY))


@functools.cache
def settled(name: str, target: str) -> tuple[list[Event], Fit]:
    """One run of each method on each problem, for the tests that only look at it."""
    return run(name, conjunction_problem(target))


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["copied", "both"])
def problem(request: pytest.FixtureRequest) -> Problem:
    return conjunction_problem(request.param)


def content(fit: Fit) -> dict[str, Any]:
    """Everything that two equal runs agree on, tensors as bytes: the record, every featurizer and every table."""
    return {
        "record": to_record(fit),
        "featurizers": [parts(handle.featurizer) for handle in fit.handles],
        "tensors": {key: (table.axes, table.values.numpy().tobytes()) for key, table in fit.tensors.items()},
    }


def parts(featurizer: Featurizer) -> dict[str, object]:
    fields = {field.name: getattr(featurizer, field.name) for field in dataclasses.fields(featurizer)}
    return {
        name: (value.shape, value.numpy().tobytes()) if isinstance(value, Tensor) else value
        for name, value in fields.items()
    }


def test_a_fit_holds_handles_scores_controls_and_costs(name: str, problem: Problem) -> None:
    events, fit = settled(name, problem.target)
    assert fit.variable == problem.target
    assert fit.handles
    for handle in fit.handles:
        assert handle.variable == problem.target
        assert handle.site in problem.sites or handle.site in {site.whole for site in problem.sites}
        assert handle.featurizer.width == problem.model.shape.width(handle.site)
        assert 1 <= handle.featurizer.rank <= handle.featurizer.width
    controls = fit.controls
    assert controls.chance is not None
    n = int(problem.test.informative(problem.target).sum())
    for scored in (fit.quality, controls.no_op, controls.full_swap, controls.random_site, controls.chance):
        assert scored.iia.n == n > 0
        assert proper(scored)
    assert (controls.no_op.iia.value, controls.no_op.value) == (0.0, 0.0)
    searched = bool(fit.ranking)  # drawing a site at random costs nothing
    assert (fit.cost.forward_passes > 0, fit.cost.layer_evaluations > 0, fit.cost.seconds > 0) == (searched,) * 3
    assert any(isinstance(event, Measured) and event.metric == "held-out iia" for event in events)
    assert {event.text for event in events if isinstance(event, Notice)} <= set(fit.notes)
    values = [value for _, value in fit.ranking]
    assert values == sorted(values, reverse=True)


def proper(quality: Quality) -> bool:
    scores = [quality.iia, *([] if quality.invariance is None else [quality.invariance])]
    return all(0 <= score.low <= score.value <= score.high <= 1 and score.n > 0 for score in scores)


def test_a_method_that_searches_finds_the_variable(name: str, problem: Problem) -> None:
    """All but a draw at random are right on every held-out pair: both variables have perfect sites."""
    _, fit = settled(name, problem.target)
    if fit.ranking:
        assert fit.quality.value == 1.0 or name in PUBLISHED
        assert fit.ranking[0][1] == max(value for _, value in fit.ranking)
    else:
        assert len(fit.handles) == 1  # nothing was considered, hence nothing is ranked


def test_two_runs_are_equal_bit_for_bit(name: str, problem: Problem) -> None:
    one, other = settled(name, problem.target)[1], run(name, problem)[1]
    assert content(one) == content(other)


def test_a_record_is_json_without_nan_and_without_seconds(name: str, problem: Problem) -> None:
    _, fit = settled(name, problem.target)
    record = to_record(fit)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert "seconds" not in json.dumps(record)
    assert record["handles"][0]["site"] == str(fit.handles[0].site)
    assert all(math.isfinite(value) for _, value in record["ranking"])


def pieces(events: Iterable[Event]) -> dict[str, Mapping[str, Tensor]]:
    """The pieces of work among some events, in their order; each has a key of its own."""
    found = [event for event in events if isinstance(event, Piece)]
    kept = {piece.key: piece.tensors for piece in found}
    assert len(kept) == len(found)  # else a piece would be taken for another
    return kept


def test_a_run_resumes_after_every_piece_with_the_same_result(name: str, problem: Problem) -> None:
    events, fit = settled(name, problem.target)
    finished = list(pieces(events).items())
    for after in range(1, len(finished) + 1):
        again_events, again = drain(method(name, problem).fit(problem, dict(finished[:after])))
        assert list(pieces(again_events)) == [key for key, _ in finished[after:]]
        assert content(again) == content(fit)


def test_what_is_handed_in_is_left_as_it_is(name: str) -> None:
    problem = conjunction_problem("both")
    done = pieces(run(name, problem)[0])
    copies = {key: {part: tensor.clone() for part, tensor in tensors.items()} for key, tensors in done.items()}
    assert isinstance(problem.model, DecoderModel)
    weights = [parameter.clone() for parameter in problem.model.decoder.parameters()]
    digests = [part.digest + part.labels_digest for part in (problem.fit, problem.calibration, problem.test)]
    drain(method(name, problem).fit(problem, done))
    assert all(
        torch.equal(done[key][part], tensor) for key, tensors in copies.items() for part, tensor in tensors.items()
    )
    assert all(
        torch.equal(before, after) for before, after in zip(weights, problem.model.decoder.parameters(), strict=True)
    )
    assert [part.digest + part.labels_digest for part in (problem.fit, problem.calibration, problem.test)] == digests


def hooks(problem: Problem) -> int:
    """How many hook functions are on the network now."""
    assert isinstance(problem.model, DecoderModel)
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in problem.model.decoder.modules())


def test_cancelling_anywhere_leaves_no_hook_on_the_network(name: str) -> None:
    problem = conjunction_problem("copied")
    before, total = hooks(problem), len(run(name, problem)[0])
    assert hooks(problem) == before == 0
    for stop in range(0, total, 1 + total // 4):
        steps = method(name, problem).fit(problem, EMPTY)
        taken = [event for event, _ in zip(first(steps, stop + 1), range(stop + 1), strict=True)]
        assert len(taken) == stop + 1
        steps.close()
        assert hooks(problem) == 0
        assert not any(parameter.requires_grad for parameter in problem.model.decoder.parameters())  # type: ignore[attr-defined]


def first(steps: Steps[Fit], count: int) -> Iterator[Event]:
    for _ in range(count):
        yield next(steps)


def scrambled(pairs: Pairs, target: str) -> Pairs:
    """The pairs with the target's labels turned around: what informed does not, and the other way round."""
    labels = torch.where(pairs.informative(target)[:, None], pairs.base_labels, 1 - pairs.base_labels)
    return replace(pairs, labels={**pairs.labels, target: labels})


def test_test_pairs_choose_nothing(name: str, problem: Problem) -> None:
    """With other labels on the test pairs a method claims the same and only scores otherwise."""
    other = replace(problem, test=scrambled(problem.test, problem.target))
    plain, told = settled(name, problem.target)[1], run(name, other)[1]
    claimed, again = content(plain), content(told)
    assert claimed["featurizers"] == again["featurizers"]
    assert [handle.site for handle in plain.handles] == [handle.site for handle in told.handles]
    assert [handle.calibration for handle in plain.handles] == [handle.calibration for handle in told.handles]
    assert plain.ranking == told.ranking
    assert plain.quality != told.quality


def test_the_seed_is_the_only_source_of_chance(name: str) -> None:
    """Another seed of torch's and numpy's global generators changes nothing, and none of them is moved."""
    problem = conjunction_problem("both")
    one = content(settled(name, "both")[1])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert content(run(name, problem)[1]) == one
    assert torch.equal(torch.get_rng_state(), state)


def test_pairs_without_a_label_are_told_in_the_notes(name: str) -> None:
    problem = conjunction_problem("both")
    test = problem.test
    valid = test.valid["both"].clone()
    valid[int(test.invariant("both").nonzero()[0])] = False
    test = replace(test, valid={**test.valid, "both": valid}, skipped={"both": {"the source is tired": 1}})
    events, fit = run(name, replace(problem, test=test))
    sentence = "test pairs without a label for both: 1 x the source is tired"
    assert sentence in fit.notes
    assert Notice(sentence) in events
    assert fit.quality.invariance is not None
    assert fit.quality.invariance.n == int(test.invariant_as_drawn("both").sum())


def test_bootstrap_draws_tell_and_decide_nothing(name: str, problem: Problem) -> None:
    """Whoever selects by couplings can be asked for no draws, which changes notes and no number."""
    made = method(name, problem)
    events, fit = settled(name, problem.target)
    told = [event for event in events if isinstance(event, Measured) and event.metric == "pick stability"]
    assert bool(told) == hasattr(made, "draws")
    if not told:
        return
    for draws in (0, 3):
        few_events, few = drain(replace(made, draws=draws).fit(problem, EMPTY))
        assert bool(draws) == any(
            isinstance(event, Measured) and event.metric == "pick stability" for event in few_events
        )
        assert ("no bootstrap draws were asked for" in " ".join(few.notes)) == (draws == 0)
        assert _without_draws(few) == _without_draws(fit)


def _without_draws(fit: Fit) -> dict[str, Any]:
    kept = {key: table for key, table in fit.tensors.items() if key != "pick stability"}
    notes = tuple(note for note in fit.notes if "bootstrap draws" not in note)
    return content(replace(fit, tensors=kept, notes=notes))


def test_a_method_is_settings_and_nothing_else(name: str) -> None:
    made = registry.load("engines.methods", name, "METHOD", "method")
    assert dataclasses.is_dataclass(made)
    assert (made.__doc__ or "").strip()
    problem = conjunction_problem("both")
    one = method(name, problem)
    assert one == method(name, problem)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.state = 1
