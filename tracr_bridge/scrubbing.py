"""A compiled program as a subject of causal scrubbing: its graph, its data, a true hypothesis and one that is false.

    graph, data = subject(network)
    true_hypothesis(network)         what the compiler knows: recovers everything
    wrong_hypothesis(network)        with one variable's values merged: recovers less, for certain

Features are the program's expressions, whatever the rung.
"""

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from engines.circuit import LABEL, TOKENS, aligned, circuit
from engines.column import take
from engines.dataset import Dataset
from engines.errors import Undefined, UnverifiedProgram
from engines.graph import Graph, Plain, difference
from engines.hypothesis import Hypothesis
from engines.sampling import Law, sample_runs
from engines.treeify import treeify
from tracr_bridge.claims import claims
from tracr_bridge.inputs import LIMIT, Inputs, inputs
from tracr_bridge.lower import encode
from tracr_bridge.merge import MERGED, Merge, merge
from tracr_bridge.network import TOLERANCE, Network, canonical
from tracr_bridge.rungs import COMPILED
from tracr_bridge.task import answer_code
from tracr_bridge.truth import SEED, Truth

ANSWER = "answer"
"""The feature that holds the right answers."""
NEARLY = ("compressed", "soft")
"""Rungs whose networks equal the compiled one in the states that they were made for, and not in all."""
FEW = 8
"""So many answers are reported apart."""
DRAWS = 2_000
"""Scrubbed runs on which the true hypothesis about such a network is tried."""


def subject(
    network: Network, *, length: int | None = None, limit: int = LIMIT, seed: int = SEED, behaviour: str = "loss"
) -> tuple[Graph, Dataset]:
    """The network as a graph in double precision, and the inputs of one length that it is asked on.

    All inputs of ``length`` (None: the program's full one), or ``limit`` that are drawn with ``seed``. Their features
    are the program's expressions (selectors apart), each a tuple of its values over positions:

    ``name``      the whole tuple
    ``name@i``    its value at position i, counted from 0 without BOS, as the program's own indices do
    ``answer``    the output, unless the program has an expression of that name
    ``name~``     with two values merged, wherever the true hypothesis claims it: see ``tracr_bridge.merge``

    Raises what ``tracr_bridge.inputs.inputs`` does; ``UnknownName`` for a behaviour.
    """
    known = network.truth
    drawn, answer = inputs(known, length, limit, seed), answer_code(known)
    decoder = copy.deepcopy(network.decoder).double()  # so that values that are equal are found to be
    graph = circuit(decoder, answer, range(1, drawn.length + 1), behaviour=behaviour, name=network.name)
    ids, _ = encode(known.compiled, drawn.tokens)
    answers = drawn.values(known.compiled.output.name)
    columns = {TOKENS: aligned(ids.tolist()), LABEL: answer.encode(answers, drawn.length)}
    show = [f"{_written(tokens)} -> {_written(given)}" for tokens, given in zip(drawn.tokens, answers, strict=True)]
    features = _features(drawn)
    return graph, Dataset(network.name, columns, features, show=show, slices=_slices(answers))


def _slices(answers: Sequence[Sequence[object]]) -> tuple[str, ...]:
    """The whole answer if it takes few values, else the first position's."""
    return (ANSWER,) if len(set(answers)) <= FEW else (f"{ANSWER}@0",)


@lru_cache(maxsize=512)
def true_hypothesis(network: Network) -> Hypothesis:
    """What the compiler's truth says of the network: each part carries its expressions, and nothing else is used.

    Raises ``UnverifiedProgram`` for a network of which that is not so: scrubbing puts parts together that never were on
    one input, where a network ``compressed`` or ``soft`` may fail. Whether it does is seen on ``DRAWS`` scrubbed runs.
    """
    hypothesis = claims(network)
    if network.rung in NEARLY and not (off := _strays(network, hypothesis)) <= TOLERANCE:
        raise UnverifiedProgram(
            f"{network.name}: under the true hypothesis of its program an output moves by {off:.3g}, more than "
            f"{TOLERANCE:g}: what this rung made one on its inputs comes apart when they are scrubbed; ask for another "
            f"rung, such as {COMPILED!r}"
        )
    return hypothesis


def _strays(network: Network, hypothesis: Hypothesis) -> float:
    """The largest change of an output in scrubbed runs."""
    graph, data = subject(network)
    plain = Plain(graph, data.columns)
    *_, law = sample_runs(plain, data, treeify(graph, hypothesis), DRAWS)
    assert isinstance(law, Law)  # sampling ends with a law
    return difference(take(plain.value("out"), law.references), law.outputs["out"])


def wrong_hypothesis(
    network: Network, *, length: int | None = None, limit: int = LIMIT, seed: int = SEED
) -> Hypothesis:
    """The true hypothesis with one variable merged wherever it is claimed: false on the subject of these settings.

    The variable is the one whose merge has the largest effect: of those between the tokens and the output, or else of
    these two. Raises ``Undefined`` when no variable has two values that differ in effect, and what
    ``true_hypothesis`` and ``tracr_bridge.inputs.inputs`` do.
    """
    true, drawn = true_hypothesis(network), inputs(network.truth, length, limit, seed)
    lie = _largest(drawn)
    nodes = [replace(node, feature=tuple(_lied(name, lie) for name in node.feature)) for node in true.nodes]
    return replace(true, nodes=tuple(nodes), data=(("length", drawn.length), ("limit", limit), ("seed", seed)))


def _lied(name: str, lie: Merge) -> str:
    return lie.feature if name == lie.variable else name


def _largest(drawn: Inputs) -> Merge:
    """The merge with the largest effect, of an intermediate variable if one has any."""
    known = drawn.known
    ends = ("tokens", known.compiled.output.name)
    between = [name for name in _claimed(known) if name not in ends]
    for names in (between, ends):
        found = []
        for name in names:
            try:
                found.append(_merge(drawn, name))
            except Undefined:
                continue  # this variable has no lie
        if found:
            return max(found, key=lambda one: one.effect)
    raise Undefined(
        f"no variable of {known.program.name!r} has two values with different effects on the answers to "
        f"{len(drawn.tokens)} inputs of {drawn.length} tokens, so that it has no wrong twin; choose another length",
        "no variable has two values with different effects",
    )


def _merge(drawn: Inputs, name: str) -> Merge:
    return merge(drawn, name, _claimed(drawn.known)[name])


@lru_cache(maxsize=512)
def _claimed(known: Truth) -> Mapping[str, tuple[str, ...]]:
    """Every expression that the compiled network's true hypothesis claims, with all that is claimed beside it."""
    made = [node.feature for node in claims(canonical(known)).nodes]
    names = dict.fromkeys(name for claim in made for name in claim)
    return {
        name: tuple(sorted({other for claim in made if name in claim for other in claim} - {name})) for name in names
    }


Feature = Callable[[], Sequence[Hashable]]


def _features(drawn: Inputs) -> dict[str, Feature]:
    known = drawn.known
    selectors = {name for name, variable in known.variables.items() if variable.kind == "Select"}
    held = {ANSWER: known.compiled.output.name} | {
        name: name for name in known.causal.variables if name not in selectors
    }
    found: dict[str, Feature] = {}
    for feature, name in held.items():
        found[feature] = partial(drawn.values, name)
        found |= {f"{feature}@{at}": partial(_at, drawn, name, at) for at in range(drawn.length)}
    return found | {name + MERGED: partial(_merged, drawn, name) for name in _claimed(known)}


def _at(drawn: Inputs, name: str, position: int) -> list[Hashable]:
    return [row[position] for row in drawn.values(name)]


def _merged(drawn: Inputs, name: str) -> list[Hashable]:
    lie = _merge(drawn, name)
    return [lie.merged(row) for row in drawn.values(name)]


def _written(values: Sequence[object]) -> str:
    return " ".join(map(str, values))
