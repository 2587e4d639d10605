"""Compiled programs under causal scrubbing: the true hypothesis recovers everything, a merged variable does not."""

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from engines import registry
from engines.baselines import recovered
from engines.dataset import Dataset
from engines.errors import InsufficientData, InvalidSetting, Undefined, UnverifiedProgram
from engines.graph import Plain
from engines.hypothesis import Hypothesis
from engines.sampling import Law, sample_runs
from engines.treeify import treeify
from tracr_bridge.inputs import inputs
from tracr_bridge.lower import encode
from tracr_bridge.merge import MERGED, merge
from tracr_bridge.network import Network
from tracr_bridge.program import TRIES
from tracr_bridge.rungs import RUNGS
from tracr_bridge.scrubbing import subject, true_hypothesis, wrong_hypothesis
from tracr_bridge.task import answer_code, known, network

PROGRAMS = (*registry.names("tracr_bridge.programs"), *(f"random_0_{index}" for index in range(21)))
SOME = ("reverse", "palindrome", "random_0_5")
SAMPLES = 300


@functools.cache
def asked(of: Network) -> tuple[Plain, Dataset]:
    graph, data = subject(of)
    return Plain(graph, data.columns), data


def scrubbed(of: Network, hypothesis: Hypothesis) -> Law:
    plain, data = asked(of)
    *_, law = sample_runs(plain, data, treeify(plain.graph, hypothesis), SAMPLES)
    assert isinstance(law, Law)
    return law


def excess(of: Network, hypothesis: Hypothesis) -> np.ndarray:
    """The scrubbed loss of each run less the original one of its reference."""
    law = scrubbed(of, hypothesis)
    return law.values - asked(of)[0].value("loss").numpy()[law.references]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_graph_of_a_compiled_program_is_its_network_and_answers_rightly(program: str) -> None:
    of = network(program)
    plain, data = asked(of)
    drawn = inputs(of.truth)
    tokens, mask = encode(of.truth.compiled, drawn.tokens)
    assert bool(mask.all())
    columns = list(answer_code(of.truth).columns)
    outputs = copy.deepcopy(of.decoder).double()(tokens)[:, 1:][..., columns]
    assert_close(plain.value("out"), outputs, rtol=1e-12, atol=1e-12)
    assert data.columns["tokens"].tolist() == tokens.tolist()
    assert Plain(subject(of, behaviour="errors")[0], data.columns).value("loss").sum() == 0
    assert float(plain.value("loss").max()) < 1e-3


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_true_hypothesis_recovers_everything_and_a_merged_variable_does_not(program: str) -> None:
    of = network(program)
    true, wrong = true_hypothesis(of), wrong_hypothesis(of)
    assert np.abs(excess(of, true)).max() < 1e-12
    worse = excess(of, wrong)
    assert worse.min() > -1e-3  # an answer that was right may not become more so
    assert worse.mean() > 0.05
    lies = {name for node in wrong.nodes for name in node.feature if name.endswith(MERGED)}
    assert len(lies) == 1
    (lie,) = lies
    assert asked(of)[1].classes((lie,)).count < asked(of)[1].classes((lie.removesuffix(MERGED),)).count


@pytest.mark.parametrize("program", SOME)
def test_recovered_is_one_for_the_truth_alone(program: str) -> None:
    of = network(program)
    plain, data = asked(of)
    pairs = torch.cartesian_prod(torch.arange(data.n), torch.arange(data.n))
    labels = data.columns["label"]
    assert isinstance(labels, torch.Tensor)
    every = plain.graph.nodes["loss"].compute(plain.value("out")[pairs[:, 0]], labels[pairs[:, 1]])
    original, random = float(plain.value("loss").mean()), float(every.mean())
    shares = [recovered(scrubbed(of, make(of)).mean, original, random) for make in (true_hypothesis, wrong_hypothesis)]
    assert shares[0] == pytest.approx(1, abs=1e-9)
    assert shares[1] < 0.9


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("program", SOME)
def test_the_hypotheses_move_along_the_ladder(program: str, rung: str) -> None:
    of = network(program, rung)
    assert np.abs(excess(of, true_hypothesis(of))).max() < 1e-6
    assert excess(of, wrong_hypothesis(of)).mean() > 0.05


def test_a_network_that_fails_when_parts_come_apart_has_no_true_hypothesis() -> None:
    """Compressing may make one direction of two expressions that agree on all inputs."""
    of = network("random_0_119", "compressed")
    with pytest.raises(UnverifiedProgram, match=r"random_0_119/compressed: under the true hypothesis .* output moves"):
        true_hypothesis(of)
    with pytest.raises(UnverifiedProgram, match="ask for another rung, such as 'compiled'"):
        wrong_hypothesis(of)
    assert len(true_hypothesis(network("random_0_119")).nodes) > 2


def tree(hypothesis: Hypothesis) -> list[tuple[str, str]]:
    return [(node.name, node.paths[0].removeprefix("loss <- ")) for node in hypothesis.nodes]


def test_the_tree_of_reverse() -> None:
    """As one reads it off the program: what the output moves, the opposite position, and how long the input is."""
    found = true_hypothesis(network("reverse"))
    assert tree(found) == [
        ("loss", "loss"),
        ("reversed", "out.in <- L2.head0"),
        ("opposite", "out.in <- L2.head0.q <- L1.mlp"),
        ("indices", "out.in <- L2.head0.q <- L1.mlp.in <- embed"),
        ("length", "out.in <- L2.head0.q <- L1.mlp.in <- L0.mlp"),
        ("length.width", "out.in <- L2.head0.q <- L1.mlp.in <- L0.mlp.in <- L0.head0"),
        ("tokens", "out.in <- L2.head0.q <- L1.mlp.in <- L0.mlp.in <- L0.head0.q <- embed"),
        ("tokens.2", "out.in <- L2.head0.q <- L1.mlp.in <- L0.mlp.in <- L0.head0.k <- embed"),
        ("indices.2", "out.in <- L2.head0.k <- embed"),
        ("tokens.3", "out.in <- L2.head0.v <- embed"),
    ]
    assert found.node("length.width").feature == found.node("length").feature == ("length",)
    assert found.subject == "rasp.reverse/compiled"


def test_what_one_port_reads_from_one_part_is_one_node() -> None:
    found = true_hypothesis(network("rank"))
    assert found.node("smaller+larger").feature == ("larger", "smaller")
    assert {node.name for node in found.children("smaller+larger")} == {"smaller.width", "larger.width"}


def test_a_second_copy_of_a_head_is_a_node_of_its_own_and_permuted_heads_are_found() -> None:
    paths = dict(tree(true_hypothesis(network("palindrome", "copies"))))
    below = "out.in <- L4.mlp.in <- L3.mlp.in <- L3.head0.k <- L2.mlp.in"
    assert paths["mirrored"] == f"{below} <- L2.head0"
    assert paths["mirrored.2"] == f"{below} <- L2.head1"
    moved = network("random_0_5", "embedded")
    heads = {f"L{layer}.head{head}" for (layer, _), head in moved.heads.items()}
    steps = {step for _, path in tree(true_hypothesis(moved)) for step in path.split(" <- ")}
    assert {step.removesuffix(".q").removesuffix(".k").removesuffix(".v") for step in steps if "head" in step} <= heads


def test_features_are_the_programs_expressions() -> None:
    of = network("histogram")
    _, data = asked(of)
    row = inputs(of.truth).tokens.index(("a", "b", "a", "c", "a"))
    assert data.show is not None
    assert data.show[row] == "a b a c a -> a - a - a"
    values = {name: data.values(name)[row] for name in ("tokens", "count", "count@1", "tokens@3", "answer", "answer@0")}
    assert values == {
        "tokens": ("a", "b", "a", "c", "a"),
        "count": (3, 1, 3, 1, 3),
        "count@1": 1,
        "tokens@3": "c",
        "answer": ("a", "-", "a", "-", "a"),
        "answer@0": "a",
    }
    assert "same" not in data.features  # a selector
    lie = merge(inputs(of.truth), "count")
    assert data.values(f"count{MERGED}")[row] == lie.merged((3, 1, 3, 1, 3))
    assert lie.merged((None, *lie.values)) == (None, *["|".join(map(str, lie.values))] * 2)


def test_a_merge_is_chosen_among_what_may_be_exchanged() -> None:
    drawn = inputs(known("sort"))
    assert merge(drawn, "rank").effect > 0.2
    with pytest.raises(Undefined, match=r"no two values of rank have different effects .* choose another variable"):
        merge(drawn, "rank", ("tokens",))  # where the tokens are claimed beside it, they say the rank
    with pytest.raises(Undefined, match="no two values of length have different effects"):
        merge(inputs(known("reverse")), "length")  # inputs of one length have one


def test_inputs_of_one_length() -> None:
    truth = known("histogram")
    assert [len(inputs(truth, length).tokens) for length in (1, 2, 5)] == [3, 9, 243]
    assert inputs(truth).every
    some, again = inputs(truth, 5, 100, 3), inputs(known("histogram"), 5, 100, 3)
    assert not some.every
    assert some.tokens == again.tokens != inputs(truth, 5, 100, 4).tokens
    assert len(set(some.tokens)) == 100
    _, data = subject(network("histogram"), length=2, limit=5, seed=1)
    assert (data.n, data.columns["tokens"].shape, data.columns["label"].shape) == (5, (5, 3), (5, 2))
    wrong = wrong_hypothesis(network("histogram"), length=3)
    assert dict(wrong.data) == {"length": 3, "limit": 1000, "seed": 0}
    graph, data = subject(network("histogram"), **{name: int(value) for name, value in wrong.data})
    treeify(graph, wrong)
    assert data.n == 27


def admitting(admits: object, length: int = 12):
    truth = known("histogram")
    return replace(truth, program=replace(truth.program, length=length, admits=admits))


def first_tokens(allowed: Sequence[str]):
    return lambda tokens: set(tokens) <= set(allowed)


def test_inputs_are_drawn_where_there_are_too_many_to_list() -> None:
    few = inputs(admitting(first_tokens("ab")), 12, 4)
    assert len(set(few.tokens)) == 4
    assert all(set(tokens) <= {"a", "b"} for tokens in few.tokens)
    with pytest.raises(InsufficientData, match=rf"{TRIES + 9} draws of 12 tokens gave \d admitted inputs; lower"):
        inputs(admitting(lambda tokens: set(tokens[:9]) == {"a"}), 12, 9)


def lost(tokens: tuple[str, ...]) -> None:
    raise Undefined(f"nowhere on {len(tokens)}")


def test_refusals() -> None:
    with pytest.raises(InvalidSetting, match="length 6: program 'histogram' takes 1 to 5 tokens"):
        subject(network("histogram"), length=6)
    with pytest.raises(InvalidSetting, match="limit 1: scrubbing exchanges inputs"):
        subject(network("histogram"), limit=1)
    with pytest.raises(InsufficientData, match="admits no input of 3 tokens; choose another length"):
        inputs(admitting(first_tokens("")), 3)
    causal = known("histogram").causal
    open_ended = replace(causal, mechanisms={**causal.mechanisms, "lost": lost})
    with pytest.raises(UnverifiedProgram, match=r"'histogram' is undefined on \('a', 'a'\): nowhere on 2; refuse"):
        inputs(replace(known("histogram"), causal=open_ended), 2)
    with pytest.raises(Undefined, match="no variable of 'detect_pattern' has two values with different effects"):
        wrong_hypothesis(network("detect_pattern"), length=1)


def test_weights_stay_as_they_are() -> None:
    of = network("reverse")
    asked(of)
    assert of.decoder.W_E.dtype == torch.float32
    assert asked(of)[0].value("out").dtype == torch.float64
