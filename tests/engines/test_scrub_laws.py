"""The engine follows the law of the specification: every run, every probability, on random graphs, data and trees."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engines import sampling
from engines.dataset import Dataset
from engines.errors import InsufficientData, InvalidHypothesis
from engines.estimate import estimate
from engines.events import Advance, Stage, drain
from engines.graph import Graph, Plain
from engines.hypothesis import Hypothesis, InterpNode, Source
from engines.kernels import draw, kernel
from engines.sampling import Law, enumerate_runs, references, sample_runs
from engines.scrub import Plan, scrub
from engines.treeify import Treeified, treeify
from tests.engines import literal
from tests.engines.random_trees import distribution, random_case

SEEDS = st.integers(0, 2**32)
CHOICES = 150
"""Joint choices of data that are enumerated literally."""


def literally(graph: Graph, data: Dataset, hypothesis: Hypothesis) -> dict[tuple[int, Fraction], Fraction] | None:
    """The probability of each reference with each value of the behaviour, one joint choice after the other."""
    found: dict[tuple[int, Fraction], Fraction] = {}
    try:
        for reference, value, weight in literal.enumerated(graph, data, hypothesis, CHOICES):
            found[reference, value] = found.get((reference, value), Fraction(0)) + weight
    except OverflowError:
        assume(False)
    except literal.Empty:
        return None
    return found


def sampled(graph: Graph, data: Dataset, tree: Treeified, samples: int, **how: bool | int) -> Law:
    """A sampled law."""
    *_, law = sample_runs(Plain(graph, data.columns), data, tree, samples, **how)
    assert isinstance(law, Law)
    return law


def drawn(data: Dataset, tree: Treeified, samples: int, seed: int) -> dict[str, np.ndarray]:
    """The data that ``sample_runs`` draws, by slot."""
    chosen, _, _ = references(data, samples, seed)
    return {tree.slots[slot].name: rows for slot, rows in draw(tree.slots, data, chosen, seed).items()}


@given(SEEDS)
@settings(max_examples=80)
@example(412)  # data without weight in a subset
def test_enumeration_is_the_literal_law(seed):
    graph, data, hypothesis = random_case(seed)
    tree, plain, known = treeify(graph, hypothesis), Plain(graph, data.columns), literally(*random_case(seed))
    if known is None:
        with pytest.raises(InsufficientData, match="nothing can be drawn"):
            enumerate_runs(plain, data, tree)
    else:
        law = enumerate_runs(plain, data, tree)
        assert distribution(law) == known
        assert law.mean == sum(value * weight for (_, value), weight in known.items())


@given(SEEDS)
@settings(max_examples=100)
def test_samples_are_the_literal_recursion_on_the_same_data(seed):
    graph, data, hypothesis = random_case(seed)
    tree = treeify(graph, hypothesis)
    try:
        law, ids = sampled(graph, data, tree, 12, seed=seed), drawn(data, tree, 12, seed)
    except InsufficientData:
        return
    for at, value in enumerate(law.values):
        run = literal.replayed(graph, data, hypothesis, {name: int(rows[at]) for name, rows in ids.items()})
        assert run.value() == value
        assert run.drawn == {name: rows[at] for name, rows in ids.items()}


@given(SEEDS)
@settings(max_examples=100)
def test_a_datum_agrees_with_its_parents_own_datum(seed):
    graph, data, hypothesis = random_case(seed, draws=("agree", "disagree"))
    tree = treeify(graph, hypothesis)
    try:
        ids = drawn(data, tree, 60, seed)
    except InsufficientData:
        return
    for node in hypothesis.nodes[1:]:
        of = data.classes(node.feature).of
        agreed = of[ids[node.name]] == of[ids[str(node.parent)]]
        assert (agreed if node.draw.kind == "agree" else ~agreed).all()


@given(SEEDS)
@settings(max_examples=60)
def test_a_datum_is_drawn_for_itself_with_its_share_of_its_class(seed):
    graph, data, hypothesis = random_case(seed, draws=("agree",))
    for slot in treeify(graph, hypothesis).slots[1:]:
        law, classes, weights = kernel(slot, data), data.classes(slot.feature).of, data.probabilities
        for row in np.flatnonzero(weights > 0) if slot.source.kind == "agree" else ():
            rows, shares = law.support(int(law.of[row]))
            assert dict(zip(rows.tolist(), shares, strict=True))[row] == weights[row] / sum(
                weights[classes == classes[row]]
            )


@given(SEEDS, st.sampled_from([4, 2000]))
@settings(max_examples=40)
def test_samples_are_near_the_exact_law(seed, samples):
    graph, data, hypothesis = random_case(seed)
    tree = treeify(graph, hypothesis)
    try:
        exact = enumerate_runs(Plain(graph, data.columns), data, tree)
    except InsufficientData:
        return
    law = sampled(graph, data, tree, samples * data.n, seed=7)
    if samples > 4:
        told = estimate(law, law.values, None)
        assert told.error is not None
        assert abs(told.value - float(exact.mean)) <= 4 * told.error + 1e-12
    assert set(zip(law.references.tolist(), law.values, strict=True)) <= set(distribution(exact))


def test_progress_never_tells_more_than_the_whole():
    told = set()
    for seed in range(12):
        graph, data, hypothesis = random_case(seed)
        try:
            events, _ = drain(scrub(graph, data, hypothesis, Plan(samples=11, ablations=False)))
        except (InsufficientData, InvalidHypothesis):
            continue
        stage, totals, last = "", {}, {}
        for event in events:
            if isinstance(event, Stage):
                stage = event.name
                totals[stage] = event.total
            elif isinstance(event, Advance):
                last[stage] = event.done
        assert last["samples"] == totals["samples"]
        told.add(totals["samples"])
    assert max(told) > 11  # a stratum's share was rounded up


@given(SEEDS)
@settings(max_examples=30)
def test_runs_are_the_same_however_they_are_computed(seed):
    graph, data, hypothesis = random_case(seed)
    tree = treeify(graph, hypothesis)
    try:
        law = sampled(graph, data, tree, 40, seed=seed)
    except InsufficientData:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "BATCH_BYTES", 1000)
        batched = sampled(graph, data, tree, 40, seed=seed)
    *_, chunked = sample_runs(Plain(graph, data.columns, chunk_bytes=200), data, tree, 40, seed=seed)
    assert isinstance(chunked, Law)
    for other in (
        sampled(graph, data, tree, 40, seed=seed),
        batched,
        chunked,
        sampled(graph, data, tree, 40, seed=seed, share=False),
    ):
        assert other.values.tolist() == law.values.tolist()
        assert other.references.tolist() == law.references.tolist()
        assert {port: list(column) for port, column in other.outputs.items()} == {
            port: list(column) for port, column in law.outputs.items()
        }
    enumerated = [enumerate_runs(Plain(graph, data.columns, chunk_bytes=size), data, tree) for size in (2**20, 200)]
    assert distribution(enumerated[0]) == distribution(enumerated[1])


@given(SEEDS)
@settings(max_examples=60)
def test_paths_through_nodes_that_are_not_named_follow_the_literal_law(seed):
    rng = random.Random(seed)
    graph, data, _ = random_case(seed)
    ends = [name for name in graph.upstream("out") if name != "out"]
    ports = [port for port in graph.nodes["out"].ports if port != "label"]
    via = tuple(rng.sample(("mlp", "head", *ends), rng.randrange(1, 4)))
    start = f"out.{rng.choice(ports)}"
    source = Source.parse(rng.choice(("resample", "separate", "exact", "mean", "together:A")))
    child = InterpNode("far", (f"{start} <- {rng.choice(ends)}",), "root", ("f",), via=via)
    hypothesis = Hypothesis("via", (InterpNode("root", ("out",), other=source), child))
    run = literal.Run(graph, data, hypothesis, lambda _, law: law[0][0])
    run.value()
    if "far" in run.drawn:
        law = enumerate_runs(Plain(graph, data.columns), data, treeify(graph, hypothesis))
        assert distribution(law) == literally(graph, data, hypothesis)
    else:
        with pytest.raises(InvalidHypothesis, match=r"node 'far'.*is nowhere an input of 'root'"):
            treeify(graph, hypothesis)
