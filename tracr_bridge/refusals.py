"""Refusals: why a program's expressions cannot be compiled, all reasons at once.

Covers what the compiler does silently (D7, D8 and D9 of ``tracr_bridge.compile``) or fails on without a name.
"""

import keyword
from collections import Counter
from collections.abc import Iterator, Sequence

from tracr_bridge.expression import KINDS, Expression
from tracr_bridge.program import Program


def refusals(program: Program, expressions: Sequence[Expression]) -> list[str]:
    """Every reason against the graph of expressions and its names; empty when there is none."""
    return [*_shape(expressions), *_names(program, expressions)]


def _shape(expressions: Sequence[Expression]) -> Iterator[str]:
    """What is wrong with the graph of expressions itself."""
    for expression in expressions:
        if expression.kind not in KINDS:
            yield (
                f"{expression.name}: a {expression.kind} does not compile; use {', '.join(KINDS)} "
                "(two selectors become one when their keys and their queries are paired by a SequenceMap)"
            )
        if expression.kind == "LinearSequenceMap" and len(expression.parents) == 1:
            yield f"{expression.name}: adds an expression to itself; write a Map"
    if not any(expression.kind == "tokens" for expression in expressions):
        yield "it does not read rasp.tokens; a network needs an input"
    if expressions[-1].kind in ("tokens", "indices"):
        yield "it computes nothing; return an expression of the tokens"


def _names(program: Program, expressions: Sequence[Expression]) -> Iterator[str]:
    """What is wrong with the names (D7, D8, D9)."""
    for label, count in Counter(expression.label for expression in expressions).items():
        if count > 1:
            yield (
                f"{count} different expressions share the identity {label!r}: one was copied (by named or numerical) "
                "after its label was read, or renames a primitive; build all of it inside build, and name it at once"
            )
    for name, count in Counter(expression.name for expression in expressions).items():
        if count > 1:
            yield f"{count} expressions are called {name!r}; give each its own name"
        if not name.isidentifier() or keyword.iskeyword(name):
            yield f"the name {name!r} is no Python identifier; write for example 'opp_idx'"
    known = {expression.name for expression in expressions if not expression.selector}
    for variable in program.variables:
        if variable not in known:
            yield (
                f"variable {variable!r} is not in the compiled program; known: {', '.join(sorted(known))}. A Map of "
                "a Map swallows the inner one: write rasp.Map(function, inner, simplify=False)"
            )
