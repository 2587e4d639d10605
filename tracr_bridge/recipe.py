"""Recipes: RASP programs as plain data, so that a program can be drawn, compared, written down and built afresh.

Every function is a rule with constants, such as ``x > 2``, made anew at each build: two builds share no expression and
no function, and a recipe can be pickled and printed.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tracr_bridge.expression import Value
from tracr_bridge.program import Token

Kind = Literal["Map", "SequenceMap", "LinearSequenceMap", "Select", "SelectorWidth", "Aggregate"]
OUTPUT = "out"
"""The name of a recipe's last step."""


@dataclass(frozen=True)
class Rule:
    """A function of a Map, a SequenceMap or a Select: how it is written, and how it is made of its constants."""

    text: str
    make: Callable[..., Callable[..., Value]]


@dataclass(frozen=True)
class Step:
    """One RASP operation: the steps (or ``tokens`` and ``indices``) it works on, and its rule with constants.

    ``rule`` is empty where the operation has none (an Aggregate, a SelectorWidth); a LinearSequenceMap has its two
    factors as constants. ``numerical`` asks for one residual dimension that holds a number.
    """

    name: str
    kind: Kind
    arguments: tuple[str, ...]
    rule: str = ""
    constants: tuple[Token, ...] = ()
    numerical: bool = False

    @property
    def text(self) -> str:
        """The step as RASP is read: ``v1 = Map(x > 2, tokens)``."""
        parts = list(self.arguments)
        if self.kind == "LinearSequenceMap":
            first, second = self.constants
            parts.insert(0, f"{first} * x + {second} * y")
        elif self.rule:
            parts.insert(0, RULES[self.kind][self.rule].text.format(*map(repr, self.constants)))
        made = f"{self.kind}({', '.join(parts)})"
        return f"{self.name} = {f'numerical({made})' if self.numerical else made}"


@dataclass(frozen=True)
class Recipe:
    """Steps in an order in which they can be computed; the last is the output. Called with RASP, it builds them."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """All steps, one after the other."""
        return "; ".join(step.text for step in self.steps)

    def __call__(self, rasp: Any) -> Any:
        """The output as a fresh RASP expression in which every step has its name."""
        made: dict[str, Any] = {"tokens": rasp.tokens, "indices": rasp.indices}
        for step in self.steps:
            arguments = [made[name] for name in step.arguments]
            expression = _build(rasp, step, arguments)
            made[step.name] = (rasp.numerical(expression) if step.numerical else expression).named(step.name)
        return made[self.steps[-1].name]


def pruned(recipe: Recipe) -> Recipe:
    """The steps that the output needs, in the order of a walk from it: equal programs get equal recipes but for names.

    Raises ``ValueError`` for a recipe without steps.
    """
    if not recipe.steps:
        raise ValueError("a recipe without steps computes nothing; give at least one step")
    known = {step.name: step for step in recipe.steps}
    found: dict[str, Step] = {}

    def visit(name: str) -> None:
        if name in known and name not in found:
            for argument in known[name].arguments:
                visit(argument)
            found[name] = known[name]

    visit(recipe.steps[-1].name)
    return Recipe(tuple(found.values()))


def renamed(recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """The recipe with steps called otherwise."""
    return Recipe(
        tuple(
            replace(
                step,
                name=names.get(step.name, step.name),
                arguments=tuple(names.get(name, name) for name in step.arguments),
            )
            for step in recipe.steps
        )
    )


def listed(recipe: Recipe, variables: tuple[str, ...]) -> Recipe:
    """The recipe with its variables called v1, v2, ..., its selectors s1, ..., and other steps u1, ... in order."""
    counts = {"v": 0, "s": 0, "u": 0}
    names: dict[str, str] = {recipe.steps[-1].name: OUTPUT}
    for step in recipe.steps[:-1]:
        letter = "s" if step.kind == "Select" else "v" if step.name in variables else "u"
        counts[letter] += 1
        names[step.name] = f"{letter}{counts[letter]}"
    return renamed(recipe, names)


def _build(rasp: Any, step: Step, arguments: list[Any]) -> Any:
    match step.kind:
        case "Map":
            # without simplify=False a Map of a Map swallows the inner one
            return rasp.Map(_made(step), *arguments, simplify=False)
        case "SequenceMap":
            return rasp.SequenceMap(_made(step), *arguments)
        case "LinearSequenceMap":
            return rasp.LinearSequenceMap(*arguments, *step.constants)
        case "Select":
            return rasp.Select(*arguments, getattr(rasp.Comparison, step.rule, None) or _made(step))
        case "SelectorWidth":
            return rasp.SelectorWidth(*arguments)
        case "Aggregate" if step.numerical:
            return rasp.Aggregate(*arguments, default=0)
        case "Aggregate":
            return rasp.Aggregate(*arguments)


def _made(step: Step) -> Callable[..., Value]:
    return RULES[step.kind][step.rule].make(*step.constants)


def _exchanged(first: Token, second: Token) -> Callable[[Value], Value]:
    return lambda x: {first: second, second: first}.get(x, x)


MAPS: Mapping[str, Rule] = {
    "is": Rule("x == {0}", lambda c: lambda x: x == c),
    "above": Rule("x > {0}", lambda c: lambda x: x > c),
    "shifted": Rule("(x + {0}) % {1}", lambda c, m: lambda x: (x + c) % m),
    "capped": Rule("min(int(x), {0})", lambda c: lambda x: min(int(x), c)),
    "mirrored": Rule("{0} - x", lambda c: lambda x: c - x),
    "exchanged": Rule("{{{0}: {1}, {1}: {0}}}.get(x, x)", _exchanged),
    "flag_is": Rule("int(x == {0})", lambda c: lambda x: int(x == c)),
    "flag_above": Rule("int(x > {0})", lambda c: lambda x: int(x > c)),
    "number": Rule("int(x)", lambda: lambda x: int(x)),
    "compared": Rule(
        "'low' if x < {0} else 'high' if x > {1} else 'middle'",
        lambda low, high: lambda x: "low" if x < low else "high" if x > high else "middle",
    ),
}
SEQUENCE_MAPS: Mapping[str, Rule] = {
    "sum": Rule("(x + y) % {0}", lambda m: lambda x, y: (x + y) % m),
    "difference": Rule("x - y", lambda: lambda x, y: x - y),
    "greater": Rule("max(int(x), int(y))", lambda: lambda x, y: max(int(x), int(y))),
    "lesser": Rule("min(int(x), int(y))", lambda: lambda x, y: min(int(x), int(y))),
    "pair": Rule("{0} * x + y", lambda m: lambda x, y: m * x + y),
    "same": Rule("x == y", lambda: lambda x, y: x == y),
    "less": Rule("x < y", lambda: lambda x, y: x < y),
    "both": Rule("bool(x and y)", lambda: lambda x, y: bool(x and y)),
    "either": Rule("bool(x or y)", lambda: lambda x, y: bool(x or y)),
    "pick": Rule("x if y else {0}", lambda c: lambda x, y: x if y else c),
}
SELECTS: Mapping[str, Rule] = {
    "EQ": Rule("key == query", lambda: operator.eq),
    "LT": Rule("key < query", lambda: operator.lt),
    "LEQ": Rule("key <= query", lambda: operator.le),
    "GT": Rule("key > query", lambda: operator.gt),
    "GEQ": Rule("key >= query", lambda: operator.ge),
    "TRUE": Rule("True", lambda: lambda _key, _query: True),
    "is": Rule("key == {0}", lambda c: lambda key, _: key == c),
    "off": Rule("key == query + {0}", lambda d: lambda key, query: key == query + d),
}
RULES: Mapping[str, Mapping[str, Rule]] = {"Map": MAPS, "SequenceMap": SEQUENCE_MAPS, "Select": SELECTS}
"""Every rule by the kind of step that it serves."""
