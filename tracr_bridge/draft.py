"""Drafts: candidates for random programs, drawn step by step so that most of them compile.

Each step is drawn among the operations that suit what is there: text, whole numbers, truth values, and numbers that
stand in one residual dimension. What a step may hold is tracked, so that constants are chosen among values that occur.
Nothing is promised of a draft: ``tracr_bridge.generate`` keeps those that are worth asking about.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from tracr_bridge.expression import Value
from tracr_bridge.inference import settle
from tracr_bridge.program import Program, Token
from tracr_bridge.recipe import OUTPUT, RULES, Recipe, Step, pruned, renamed

Sort: TypeAlias = Literal["text", "int", "bool", "number"]
SIZES = ((2, 5), (3, 4), (3, 5), (4, 4))
"""How many tokens the vocabulary has and how long inputs are: 62 to 363 inputs."""
STEPS = (3, 9)
"""Fewest and most operations that are drawn; those that the output does not need are dropped."""
VALUES = 24
"""More values than this make a wide layer and tell nothing new."""
FRESH = 8.0
"""How much likelier a step works on one that no other has worked on yet."""
GATHERINGS = 3
"""Last steps that are tried in order to bring loose ends together."""
COMPARED = 0.1
"""How much likelier a selector or a number is made of a step that may be None: where it is, the draft is undefined."""
CAUSAL = 0.3
"""Share of drafts in which a position sees itself and earlier ones only."""
OFFSETS = (-2, -1, 1, 2)
Option = TypeVar("Option")


@dataclass(frozen=True)
class Draft:
    """A recipe and the inputs that it is for: up to ``length`` tokens of ``vocabulary``."""

    recipe: Recipe
    vocabulary: tuple[Token, ...]
    length: int
    causal: bool

    def program(self, name: str, variables: tuple[str, ...] = ()) -> Program:
        """The draft as a program that asks for ``variables``."""
        return Program(name, self.recipe.text, self.vocabulary, self.length, self.recipe, variables, self.causal)


@dataclass
class _Term:
    """A step that later ones may work on, the values that it may hold, and how many already do.

    ``open``: it may be None, for it moves a value from a position that need not be there.
    """

    name: str
    sort: Sort
    values: tuple[Value, ...]
    users: int = 0
    open: bool = False


@dataclass
class _Desk:
    """What has been drawn so far."""

    rng: np.random.Generator
    length: int
    terms: list[_Term]
    steps: list[Step]

    def among(self, options: Sequence[Option]) -> Option:
        """One of ``options``."""
        return options[int(float(self.rng.random()) * len(options))]  # several times faster than integers()

    def weighed(self, options: Sequence[Option], weights: Sequence[float]) -> Option:
        """One of ``options``, each as likely as its weight says."""
        left = float(self.rng.random()) * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]  # rounding may leave a trace

    def term(self, *sorts: Sort, besides: _Term | None = None, open: float = 1.0) -> _Term | None:
        """A term of one of these sorts, rather one without users, and if ``open`` is low not an open one."""
        fit = [term for term in self.terms if term.sort in sorts and term is not besides]
        if not fit:
            return None
        return self.weighed(fit, [(FRESH if term.users == 0 else 1.0) * (open if term.open else 1.0) for term in fit])

    def add(self, step: Step, sort: Sort, values: Sequence[Value]) -> bool:
        """Take the step up unless it has too few values to tell anything or too many."""
        distinct = sorted(set(values))
        if not 2 <= len(distinct) <= VALUES:
            return False
        moves = step.kind == "Aggregate" and not step.numerical
        opened = moves or any(term.open for term in self.terms if term.name in step.arguments)
        for term in self.terms:
            term.users += term.name in step.arguments
        self.steps.append(step)
        self.terms.append(_Term(step.name, sort, tuple(distinct), open=opened))
        return True

    @property
    def next(self) -> str:
        """A name for the next step."""
        return f"a{len(self.steps)}"


def draft(rng: np.random.Generator) -> Draft:
    """One candidate; equal generators give equal candidates."""
    size, length = SIZES[int(rng.integers(len(SIZES)))]
    vocabulary: tuple[Token, ...] = tuple(range(size)) if rng.random() < 0.5 else tuple("abcd"[:size])
    sort: Sort = "int" if isinstance(vocabulary[0], int) else "text"
    terms = [_Term("tokens", sort, vocabulary), _Term("indices", "int", tuple(range(length)), users=1)]
    desk = _Desk(rng, length, terms, [])
    ways, weights = tuple(WAYS), tuple(WAYS.values())
    wanted = int(rng.integers(STEPS[0], STEPS[1] + 1))
    while sum(step.kind != "Select" for step in desk.steps) < wanted:
        desk.weighed(ways, weights)(desk)
    _gather(desk)
    last = desk.steps[-1].name
    recipe = renamed(pruned(Recipe(tuple(desk.steps))), {last: OUTPUT})
    return Draft(recipe, vocabulary, length, bool(rng.random() < CAUSAL))


def _gather(desk: _Desk) -> None:
    """Combine what nothing works on yet, so that the output needs most of what was drawn."""
    for _ in range(GATHERINGS):
        if sum(term.users == 0 for term in desk.terms) > 1:
            desk.among((_sequence_map, _sequence_map, _linear, _move, _width))(desk)


def _map(desk: _Desk) -> bool:
    """A function of one categorical term."""
    term = desk.term("text", "int", "bool")
    assert term is not None
    rules: dict[str, tuple[Sort, tuple[Token, ...]]] = {"is": ("bool", (desk.among(term.values),))}
    if len(term.values) > 2:
        rules["above"] = ("bool", (desk.among(term.values[1:-1]),))
    if term.sort != "bool":
        first = int(desk.rng.integers(len(term.values) - 1))
        rules["exchanged"] = (term.sort, (term.values[first], term.values[first + 1]))
    if term.sort == "int":
        rules["shifted"] = ("int", (int(desk.rng.integers(3)), int(desk.rng.integers(2, 4))))
        rules["capped"] = ("int", (desk.among(term.values[1:]),))
        rules["mirrored"] = ("int", (max(term.values),))
    return _mapped(desk, term, rules)


def _flag(desk: _Desk) -> bool:
    """A categorical term as a number."""
    term = desk.term("text", "int", "bool", open=COMPARED)
    assert term is not None
    rules: dict[str, tuple[Sort, tuple[Token, ...]]] = {"flag_is": ("number", (desk.among(term.values),))}
    if len(term.values) > 2:
        rules["flag_above"] = ("number", (desk.among(term.values[1:-1]),))
    if term.sort in ("int", "bool"):
        rules["number"] = ("number", ())
    return _mapped(desk, term, rules)


def _threshold(desk: _Desk) -> bool:
    """Whether a number is large, as a category or as a number again."""
    term = desk.term("number")
    if term is None:
        return False
    # bounds stand midway between values: rounding, which RASP leaves open, may decide a comparison with a value itself
    bounds = [settle((low + high) / 2) for low, high in itertools.pairwise(term.values)]
    bound = (desk.among(bounds),)
    rules: dict[str, tuple[Sort, tuple[Token, ...]]] = {"above": ("bool", bound), "flag_above": ("number", bound)}
    if len(bounds) > 1:
        place = desk.among(range(len(bounds) - 1))
        rules["compared"] = ("text", (bounds[place], bounds[place + 1]))
    return _mapped(desk, term, rules)


def _mapped(desk: _Desk, term: _Term, rules: Mapping[str, tuple[Sort, tuple[Token, ...]]]) -> bool:
    rule = desk.among(tuple(rules))
    sort, constants = rules[rule]
    function = RULES["Map"][rule].make(*constants)
    step = Step(desk.next, "Map", (term.name,), rule, constants, numerical=sort == "number")
    return desk.add(step, sort, [function(value) for value in term.values])


def _sequence_map(desk: _Desk) -> bool:
    """A function of two categorical terms at each position."""
    first = desk.term("text", "int", "bool")
    second = desk.term("text", "int", "bool", besides=first)
    assert first is not None
    assert second is not None
    rules: dict[str, tuple[Sort, tuple[Token, ...]]] = {}
    texts = [term.sort for term in (first, second)].count("text")
    if texts != 1:
        rules |= {"same": ("bool", ()), "less": ("bool", ())}
    if texts == 0:
        rules |= {"sum": ("int", (int(desk.rng.integers(2, 4)),)), "difference": ("int", ())}
        rules |= {"greater": ("int", ()), "lesser": ("int", ()), "pair": ("int", (max(map(int, second.values)) + 1,))}
    if first.sort == second.sort == "bool":
        rules |= {"both": ("bool", ()), "either": ("bool", ())}
    if second.sort == "bool" and first.sort != "bool":
        rules["pick"] = (first.sort, ("-" if first.sort == "text" else desk.among(first.values),))
    if not rules:
        return False
    rule = desk.among(tuple(rules))
    sort, constants = rules[rule]
    function = RULES["SequenceMap"][rule].make(*constants)
    step = Step(desk.next, "SequenceMap", (first.name, second.name), rule, constants)
    return desk.add(step, sort, [function(x, y) for x, y in itertools.product(first.values, second.values)])


def _linear(desk: _Desk) -> bool:
    """The sum or the difference of two numbers."""
    first = desk.term("number")
    second = desk.term("number", besides=first)
    if first is None or second is None or len(first.values) * len(second.values) > VALUES**2:
        return False
    factor = desk.among((1, -1))
    values = [settle(x + factor * y) for x, y in itertools.product(first.values, second.values)]
    return desk.add(
        Step(desk.next, "LinearSequenceMap", (first.name, second.name), "", (1, factor), True), "number", values
    )


def _selector(desk: _Desk) -> Step:
    """Which positions see which, by a comparison of two terms or by a value of the keys."""
    keys = desk.term("text", "int", "bool", open=COMPARED)
    queries = desk.term("text", "int", "bool", open=COMPARED)
    assert keys is not None
    assert queries is not None
    rule, constants = desk.among(("EQ", "EQ", "LT", "LEQ", "GT", "GEQ", "TRUE", "is")), ()
    if rule == "is" or [term.sort for term in (keys, queries)].count("text") == 1:
        rule, constants = "is", (desk.among(keys.values),)
    return Step(desk.next, "Select", (keys.name, queries.name), rule, constants)


def _pointer(desk: _Desk) -> Step:
    """A selector that mostly sees one position: where a whole number points, or some steps aside."""
    pointers = [term for term in desk.terms if term.sort == "int" and term.name != "indices" and not term.open]
    if pointers and desk.rng.random() < 0.6:
        return Step(desk.next, "Select", ("indices", desk.among(pointers).name), "EQ")
    return Step(desk.next, "Select", ("indices", "indices"), "off", (desk.among(OFFSETS),))


def _selected(desk: _Desk, selector: Step, take: Callable[[str], tuple[Step, Sort, Sequence[Value]]]) -> bool:
    """Take up a selector, unless there is an equal one, and the step that uses it."""
    twins = [
        step.name
        for step in desk.steps
        if step.kind == "Select"
        and (step.arguments, step.rule, step.constants) == (selector.arguments, selector.rule, selector.constants)
    ]
    if not twins:
        desk.steps.append(selector)
    for term in desk.terms:
        term.users += term.name in selector.arguments
    return desk.add(*take(twins[0] if twins else selector.name))


def _width(desk: _Desk) -> bool:
    """How many positions are seen."""
    numerical = bool(desk.rng.random() < 0.15)
    counts = tuple(range(desk.length + 1))
    sort: Sort = "number" if numerical else "int"
    return _selected(
        desk,
        _selector(desk),
        lambda name: (Step(desk.next, "SelectorWidth", (name,), numerical=numerical), sort, counts),
    )


def _move(desk: _Desk) -> bool:
    """The value at the one position that is seen."""
    moved = desk.term("text", "int", "bool")
    assert moved is not None
    return _selected(
        desk, _pointer(desk), lambda name: (Step(desk.next, "Aggregate", (name, moved.name)), moved.sort, moved.values)
    )


def _mean(desk: _Desk) -> bool:
    """The share of ones among the positions that are seen."""
    flags = [term for term in desk.terms if term.sort == "number" and set(term.values) <= {0, 1}]
    if not flags and _flag(desk):
        flags = [term for term in desk.terms if term.sort == "number" and set(term.values) <= {0, 1}]
    if not flags:
        return False
    flag = desk.among(flags)
    shares = sorted({k / n for n in range(1, desk.length + 1) for k in range(n + 1)})
    return _selected(
        desk,
        _selector(desk),
        lambda name: (Step(desk.next, "Aggregate", (name, flag.name), numerical=True), "number", shares),
    )


WAYS: Mapping[Callable[[_Desk], bool], float] = {
    _map: 1.5,
    _flag: 0.6,
    _threshold: 1.2,
    _sequence_map: 2.5,
    _linear: 0.6,
    _width: 2.0,
    _move: 2.0,
    _mean: 1.2,
}
"""The ways to add a step, and how often each is tried."""
