"""Compiled programs as tasks: labels by another route, the network's own answers, wrong twins and candidate sites."""

import functools

import pytest
import torch

from engines import registry
from engines.activations import capture
from engines.causal import Setting
from engines.errors import InsufficientData, Undefined, UnknownName
from engines.intervene import unpatched
from engines.model import Batch
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.network import canonical
from tracr_bridge.task import POSITIONS, candidate_sites, compiled_task, known, model, network, problem
from tracr_bridge.truth import Truth
from tracr_bridge.twin import WRONG, exchanged


@functools.cache
def drawn(name: str) -> Pairs:
    """Pairs of a program with the wrong twin of every variable, fewer than the exam draws."""
    truth = known(name)
    twins = [variable + WRONG for variable in truth.program.variables]
    return draw_pairs(compiled_task(truth, *twins), "audit", quota=10, seed=7)


def inputs(truth: Truth, batch: Batch) -> list[tuple[object, ...]]:
    """The batch as tokens of the program, BOS left out."""
    ids = [row[mask].tolist() for row, mask in zip(batch.tokens, batch.mask, strict=True)]
    return [tuple(truth.compiled.tokens[entry] for entry in row[1:]) for row in ids]


def relabelled(truth: Truth, variable: str, base: Setting, source: Setting, at: tuple[int, int]) -> Setting | None:
    """The interchange computed from the whole program, not from what a change reaches; None where there is none."""
    name = variable.removesuffix(WRONG)
    value = truth.causal.run(source)[name][at[1]]  # type: ignore[index]
    if value is None:
        return None
    values = list(truth.causal.run(base)[name])  # type: ignore[arg-type]
    values[at[0]] = exchanged(truth, name)[value] if variable.endswith(WRONG) else value
    try:
        return truth.causal.intervene(base, {name: tuple(values)})
    except Undefined:
        return None


def test_labels_are_the_programs_interchanges(name: str) -> None:
    truth, pairs = known(name), drawn(name)
    bases, sources = ([{"tokens": row} for row in inputs(truth, side)] for side in (pairs.bases, pairs.sources))
    places = zip(
        (pairs.base_at["target"] - pairs.bases.padding - 1).tolist(),
        (pairs.source_at["target"] - pairs.sources.padding - 1).tolist(),
        strict=True,
    )
    width, at = pairs.answers_at.shape[1], list(places)
    for variable, labels in pairs.labels.items():
        runs = [
            relabelled(truth, variable, base, source, where)
            for base, source, where in zip(bases, sources, at, strict=True)
        ]
        assert pairs.valid[variable].tolist() == [run is not None for run in runs]
        assert sum(pairs.skipped[variable].values()) == sum(run is None for run in runs)
        answers = [run[truth.causal.output] for run in runs if run is not None]
        expected = pairs.answer.encode(answers, width)  # type: ignore[arg-type]
        torch.testing.assert_close(labels[pairs.valid[variable]], expected, equal_nan=True)


def test_the_network_answers_every_base_rightly(name: str) -> None:
    truth, pairs = known(name), drawn(name)
    subject = model(canonical(truth))
    outputs = unpatched(subject, capture(subject, pairs, [], [0]))
    assert bool(pairs.answer.correct(outputs, pairs.base_labels).all())
    assert bool((pairs.answered.sum(1) == pairs.bases.mask.sum(1) - 1).all())  # an answer for every token but BOS


def test_an_answer_code_tells_the_labels_apart(name: str) -> None:
    """An output that is right for one label is wrong for every other that differs from it."""
    truth, pairs = known(name), drawn(name)
    subject = model(canonical(truth))
    outputs = unpatched(subject, capture(subject, pairs, [], [0]))
    for variable in truth.program.variables:
        informative = pairs.informative(variable)
        assert not bool(pairs.answer.correct(outputs, pairs.labels[variable])[informative].any())


def test_a_wrong_twin_exchanges_every_value_for_another(name: str) -> None:
    truth = known(name)
    for variable in truth.program.variables:
        reachable = {value for value in truth.variable(variable).reachable if value is not None}
        images = exchanged(truth, variable)
        assert set(images) == reachable
        assert all(image in reachable and image != value for value, image in images.items())


def test_a_wrong_twin_means_something_else(name: str) -> None:
    """Else a method that finds the variable would be right about its twin."""
    pairs = drawn(name)
    for variable in known(name).program.variables:
        if not bool(pairs.informative(variable).any()):
            continue
        twin, valid = variable + WRONG, pairs.valid[variable] & pairs.valid[variable + WRONG]
        assert bool(pairs.answer.differs(pairs.labels[variable], pairs.labels[twin])[valid].any())


def test_a_single_value_has_no_wrong_twin() -> None:
    truth = known("reverse")
    [selector, *_] = [name for name, variable in truth.variables.items() if variable.encoding is None]
    with pytest.raises(Undefined, match=f"{selector} has one value and no wrong twin"):
        exchanged(truth, selector)


def test_candidate_sites_are_distinct_and_the_models_own(name: str) -> None:
    truth = known(name)
    sites, shape = candidate_sites(canonical(truth)), model(canonical(truth)).shape
    assert len(set(sites)) == len(sites)
    assert sorted(sites, key=Site.order) == list(sites)
    for site in sites:
        assert Site.parse(str(site)) == site
        assert site.position in POSITIONS
        assert shape.width(site) >= 1
    for variable in truth.program.variables:
        found = truth.variable(variable)
        assert found.ready is not None
        span = (found.dims[0], found.dims[-1] + 1)
        layer = None if found.ready.component == "resid_pre" else found.ready.layer
        component = "embed" if layer is None else "resid_post"
        assert Site(layer, component, "target", None, span) in sites


def test_blocks_are_candidates_from_the_layer_on_in_which_they_are_written(name: str) -> None:
    """A block that is left out at a layer is zero there on every input; one that is listed is not."""
    truth, pairs = known(name), drawn(name)
    subject, sites = model(canonical(truth)), candidate_sites(canonical(truth))
    for layer in range(subject.shape.n_layers):
        whole = Site(layer, "resid_post", "all")
        port = subject.forward(pairs.bases, reads=[whole.port]).reads[whole.port]
        vectors = port[pairs.bases.mask]
        listed = {site.span for site in sites if site.layer == layer and site.component == "resid_post"}
        for _, start, stop in truth.blocks:
            assert bool(vectors[:, start:stop].any()) == ((start, stop) in listed), (layer, start, stop)


@pytest.mark.parametrize("twin", ["", WRONG])
def test_a_problem_asks_for_one_variable_beside_the_others(name: str, twin: str) -> None:
    truth = known(name)
    first, *others = truth.program.variables
    asked = problem(canonical(truth), first + twin, 3)
    assert asked.target == asked.variables[0] == first + twin
    assert first + WRONG not in asked.variables[1:]
    assert first not in asked.variables[1:]
    assert set(asked.variables[1:]) == {one for one in others if bool(asked.fit.informative(one).any())}
    assert asked.sites == candidate_sites(canonical(truth))
    parts = [set(inputs(truth, part.bases)) for part in (asked.fit, asked.calibration, asked.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    again = problem(canonical(truth), first, 3)
    assert again.fit is asked.fit  # variables of a program share pairs, and with them sweeps


def test_a_problem_with_another_twin_has_pairs_of_its_own() -> None:
    truth = known("reverse")
    asked = problem(canonical(truth), "opposite" + WRONG, 0)
    assert asked.target == "opposite.wrong"
    assert bool(asked.test.informative("opposite.wrong").any())
    assert asked.variables == ("opposite.wrong", "length")


def test_a_wrong_variable_answers_with_the_programs_own() -> None:
    with pytest.raises(UnknownName, match=r"unknown variable of rasp\.reverse 'oposite'\. Did you mean 'opposite'\?"):
        problem(network("reverse"), "oposite", 0)
    with pytest.raises(UnknownName, match=r"unknown program 'revers'\. Did you mean 'reverse'\?"):
        known("revers")


def test_a_variable_on_which_no_pair_informs_is_refused() -> None:
    """In sort every rank is taken once: moving one breaks the permutation, and the program is undefined."""
    with pytest.raises(InsufficientData, match=r"rasp\.sort/compiled/rank: none of \d+ fit pairs informs on 'rank'"):
        problem(network("sort"), "rank", 0)


def test_the_programs_of_the_registry_are_all_asked() -> None:
    for program in registry.names("tracr_bridge.programs"):
        assert known(program).program.name == program
