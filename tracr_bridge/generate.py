"""Random programs: RASP programs with known truth by the hundred, each verified and worth asking about.

``random_<seed>_<index>`` names one program for ever. Its index has a random stream of its own, from which drafts are
drawn until one

    can be compiled, is defined on every input and looks at other tokens for answers that vary
    has variables that vary, copy nothing and change answers when they are interchanged (``tracr_bridge.worth``)
    compiles to a network that gives the program's answer, and holds each variable exactly, on every input
    (``tracr_bridge.agreement``)

Every draft that is not kept is counted by its reason; a network that disagrees with its program would be a defect of
the compiler, and has a reason of its own.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from engines.errors import InvalidProgram
from tracr_bridge.agreement import Agreement, agreement, spread
from tracr_bridge.certificate import weight_hash
from tracr_bridge.compile import compile, read
from tracr_bridge.compiled import Compiled
from tracr_bridge.draft import Draft, draft
from tracr_bridge.expression import Expression
from tracr_bridge.lower import lower, shape
from tracr_bridge.program import Program, Token
from tracr_bridge.recipe import listed
from tracr_bridge.tables import Runs, Tables, run, tables
from tracr_bridge.worth import MISSING, OUTPUTS, answers, gap, interchanges, variables

PREFIX = "random_"
NAME = re.compile(r"random_(0|[1-9]\d*)_(0|[1-9]\d*)")
LAYERS, D_MODEL = 6, 100
"""Deepest and widest network."""
VARIABLES = 4
"""Most variables that a program lists: the first in causal order."""
ASKED = 8
"""Inputs on which the causal model and Tracr's evaluator are asked too."""
DRAFTS = 2_000
"""Drafts for one index; about one in ten is kept."""
REASONS: Mapping[str, str] = {
    "no tokens": "it does not read the tokens",
    "refused": "the compiler refuses it",
    "undefined": "it is undefined on an input",
    "missing answers": f"more than {MISSING:.0%} of positions have no answer",
    "positional": "position and length decide the answer",
    "alone": "each answer needs only the token at its own position",
    "few answers": f"it answers inputs of full length in fewer than {OUTPUTS} ways",
    "close numbers": "its answers are numbers too close to tell apart",
    "no live variable": "no intermediate value varies, copies nothing and changes answers",
    "too large": f"it needs more than {LAYERS} layers or {D_MODEL} coordinates",
    "network disagrees": "the network gives other answers",
    "blended": "the network does not hold a variable exactly",
    "disputed": "two routes to the program's values differ",
}
"""Why a draft is not kept, in the order in which the reasons are looked for."""
DEFECTS = ("network disagrees", "blended", "disputed")
"""Reasons that would be a defect of compiler or semantics, not of the draft."""


class Rejected(Exception):
    """A draft that is not kept; ``reason`` is one of ``REASONS``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{REASONS[reason]}: {detail}" if detail else REASONS[reason])


@dataclass(frozen=True)
class Entry:
    """One program of a manifest: what it computes, its network's sizes (``heads`` in the widest layer) and its weights.

    ``weights`` is the SHA-256 that a certificate of the network has.
    """

    name: str
    recipe: str
    vocabulary: tuple[Token, ...]
    length: int
    causal: bool
    variables: tuple[str, ...]
    numerical: bool
    layers: int
    heads: int
    d_model: int
    weights: str

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for programs that differ in their names alone."""
        return (self.recipe, self.vocabulary, self.length, self.causal)


@dataclass(frozen=True)
class Manifest:
    """The first distinct programs of a seed, and everything that was drawn on the way.

    ``duplicates`` names each index that was passed over and the program that it repeats; ``rejections`` counts drafts
    by reason, those of duplicates included.
    """

    seed: int
    entries: tuple[Entry, ...]
    duplicates: Mapping[str, str]
    rejections: Mapping[str, int]

    def to_record(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**asdict(self), "entries": [asdict(entry) for entry in self.entries]}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "Manifest":
        """The manifest that ``to_record`` wrote; raises ``TypeError`` when a field is missing or unknown."""
        rows = (
            {**row, "vocabulary": tuple(row["vocabulary"]), "variables": tuple(row["variables"])}
            for row in record["entries"]
        )
        return Manifest(**{**record, "entries": tuple(Entry(**row) for row in rows)})


def is_random(name: str) -> bool:
    """Whether ``name`` means to be that of a random program."""
    return name.startswith(PREFIX)


def random_program(name: str) -> Program:
    """The program called ``random_<seed>_<index>``; raises ``InvalidProgram`` for a name that is not so made."""
    match = NAME.fullmatch(name)
    if match is None:
        raise InvalidProgram(
            f"{name!r} names no random program; write random_<seed>_<index> with whole numbers from 0 and without "
            "leading zeros, such as 'random_0_17'"
        )
    return _kept(int(match[1]), int(match[2]))[0]


def manifest(count: int, seed: int = 0) -> Manifest:
    """The first ``count`` programs of ``seed`` that are pairwise distinct; raises ``InvalidProgram``."""
    if count < 1 or seed < 0:
        raise InvalidProgram(f"count is {count} and seed {seed}; write a count from 1 and a seed from 0")
    entries: dict[tuple[Any, ...], Entry] = {}
    duplicates: dict[str, str] = {}
    rejections = Counter(dict.fromkeys(REASONS, 0))
    index = 0
    while len(entries) < count:
        _, entry, rejected = _kept(seed, index)
        rejections.update(dict(rejected))
        first = entries.setdefault(entry.key, entry)
        if first is not entry:
            duplicates[entry.name] = first.name
        index += 1
    return Manifest(seed, tuple(entries.values()), duplicates, dict(rejections))


@lru_cache(maxsize=4096)
def _kept(seed: int, index: int) -> tuple[Program, Entry, tuple[tuple[str, int], ...]]:
    """The first draft of an index that is kept, and how many before it were not, by reason."""
    rng, name = np.random.default_rng([seed, index]), f"{PREFIX}{seed}_{index}"
    rejected: Counter[str] = Counter()
    for _ in range(DRAFTS):
        try:
            program, entry = examined(draft(rng), name)
        except Rejected as no:
            rejected[no.reason] += 1
        else:
            return program, entry, tuple(sorted(rejected.items()))
    raise InvalidProgram(f"{name}: none of {DRAFTS} drafts was kept ({dict(rejected)}); choose another index")


def forget() -> None:
    """Forget the programs of this process, so that drawing them again takes time again."""
    _kept.cache_clear()


def examined(candidate: Draft, name: str) -> tuple[Program, Entry]:
    """The draft as a program with its variables, and its entry; raises ``Rejected``."""
    plain = candidate.program(name)
    expressions = _expressions(plain)
    known = tables(expressions, plain)
    inputs = list(plain.inputs())
    runs = run(known, inputs)
    found = _variables(known, runs)
    recipe = listed(candidate.recipe, found)
    names = tuple(f"v{number + 1}" for number in range(len(found)))
    program = replace(candidate, recipe=recipe).program(name, names)
    compiled = compile(program)
    sizes = shape(compiled)
    if sizes.n_layers > LAYERS or sizes.d_model > D_MODEL:
        raise Rejected("too large", f"{sizes.n_layers} layers, {sizes.d_model} coordinates")
    decoder = lower(compiled)
    known, runs = _renamed(known, runs, compiled)
    refuse(agreement(compiled, decoder, known, runs, spread(inputs, ASKED)))
    return program, Entry(
        name=name,
        recipe=recipe.text,
        vocabulary=program.vocabulary,
        length=program.length,
        causal=program.causal,
        variables=program.variables,
        numerical=compiled.output.encoding == "numerical",
        layers=sizes.n_layers,
        heads=sizes.n_heads,
        d_model=sizes.d_model,
        weights=weight_hash(decoder),
    )


def refuse(found: Agreement) -> None:
    """Raise ``Rejected`` unless the network is the program's."""
    if found.disputed is not None:
        raise Rejected("disputed", found.disputed)
    if found.mismatches:
        raise Rejected("network disagrees", f"on {found.mismatches} of {found.inputs} inputs")
    if not found.exact:
        raise Rejected("blended", f"an encoding is off by {found.encoding:.3g}")


def _expressions(program: Program) -> tuple[Expression, ...]:
    """The program's expressions with their value sets."""
    if not any("tokens" in step.arguments for step in program.build.steps):  # type: ignore[attr-defined]
        raise Rejected("no tokens")
    try:
        return read(program)
    except InvalidProgram as refused:
        raise Rejected("refused", str(refused)) from None


def _variables(known: Tables, runs: Runs) -> tuple[str, ...]:
    """The names of the variables that are worth asking about."""
    if not runs.defined.all():
        raise Rejected("undefined", f"on {int((~runs.defined).sum())} of {len(runs.defined)} inputs")
    output, how = known.expressions[-1], answers(known, runs)
    for reason, holds in (
        ("missing answers", how.missing > MISSING),
        ("positional", how.positional),
        ("alone", how.alone),
        ("few answers", how.distinct < OUTPUTS),
    ):
        if holds:
            raise Rejected(reason)
    # a number counts as right within a quarter of the least distance of two averages over up to ``width`` positions
    if output.encoding == "numerical" and gap(output.values) < 0.9 / (known.width * (known.width - 1)):
        raise Rejected("close numbers", f"{gap(output.values):.3g} apart")
    found = variables(known, runs, interchanges(runs))
    if not found:
        raise Rejected("no live variable")
    return found[:VARIABLES]


def _renamed(known: Tables, runs: Runs, compiled: Compiled) -> tuple[Tables, Runs]:
    """The tables and runs under the names of the compiled program, whose expressions stand in the same order."""
    names = dict(zip((one.name for one in known.expressions), compiled.by_name, strict=True))
    functions = {names[name]: table for name, table in known.functions.items()}
    held = {names[name]: values for name, values in runs.values.items()}
    return replace(known, expressions=compiled.expressions, functions=functions), replace(runs, values=held)
