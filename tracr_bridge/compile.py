"""Compiling: Tracr's passes with the remedies that make its output exact, and the result as plain records.

The only module that imports Tracr, and JAX for the reference model. ``tracr.compiler`` imports JAX when it is
imported as a package although its passes need none; an empty package registered under that name lets them run without
it.

Tracr's silent defects, and what becomes of them here:

    D1  thresholds of a fixed steepness 100 are too soft from 7 tokens on    steepness from the value sets
    D2  attention divides by sqrt(d_head), which softens it                  the query-key matrix is multiplied by it
    D3  all SelectorWidths share one neuron that cleans the BOS position     one neuron each
    D4  averages of zeros and ones are taken to be 0 or 1/n                  own value sets, with k/n
    D5  None or a blend of values where one value is moved                   outside the semantics: ``Undefined``
    D6  padding is never masked                                              the decoder masks it
    D7  a copied expression keeps its identity                               built fresh; shared identities are refused
    D8  a Map of a Map swallows a named variable                             refused
    D9  True and 1 are one value; of one name, one expression is validated   refused; each is validated
    D10 thresholds write at the BOS position too                             one more cleaning neuron
    D11 a head whose values are wider than its keys cannot be assembled      its key space is widened with zeros
    D12 biases of thresholds are rounded apart in single precision           rounded together beforehand
    D13 a Map from categories to a negative number gives 0                   one more neuron
    D14 a predicate's number scales attention, where RASP takes its truth    refused
"""

import functools
import importlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from engines.errors import InvalidProgram
from tracr_bridge.compiled import Array, Compiled, Coordinate, Feedforward, Head, Layer
from tracr_bridge.expression import Encoding, Expression, Value
from tracr_bridge.inference import FAILURES, exactness, infer
from tracr_bridge.program import BOS, PAD, Program, Tokens
from tracr_bridge.refusals import refusals
from tracr_bridge.remedies import ALL, Remedies, clean, cool, separate, side_by_side, snap, split, widen

UPSTREAM = 100.0
"""Tracr's own steepness of thresholds."""


def compile(program: Program, *, remedies: Remedies = ALL) -> Compiled:
    """Compile ``program``; raises ``InvalidProgram`` with every expression that does not compile and why."""
    tracr = _tracr()
    expression, expressions, values = _checked(program, tracr)
    extracted = tracr.rasp_to_graph.extract_rasp_graph(expression)
    graph = extracted.graph
    if remedies.fractions:
        _annotate(graph, expressions, values, tracr)
    else:
        tracr.basis_inference.infer_bases(graph, extracted.sink, set(program.vocabulary), program.length)
        sets = {one.name: graph.nodes[one.label].get(tracr.nodes.VALUE_SET, ()) for one in expressions}
        values = {name: tuple(sorted(found)) for name, found in sets.items()}
    steep = exactness(expressions, values, program.length) if remedies.steep else UPSTREAM
    bos = tracr.bases.BasisDirection(tracr.rasp.tokens.label, BOS)
    tracr.expr_to_craft_graph.add_craft_components_to_rasp_graph(graph, bos_dir=bos, mlp_exactness=steep)
    _repair(graph, bos, remedies, tracr)
    with side_by_side(tracr):
        craft = tracr.craft_graph_to_model.craft_graph_to_model(graph, extracted.sources)
    spaces = _spaces(program, craft, extracted.sink, tracr)
    if remedies.wide:
        widen(craft, spaces.residual, tracr)
    if remedies.cold:
        cool(craft, tracr)
    return _records(
        program,
        expressions,
        values,
        SimpleNamespace(expression=expression, graph=graph, craft=craft, spaces=spaces, exactness=steep),
    )


def read(program: Program) -> tuple[Expression, ...]:
    """The program's expressions with their value sets, without a network; refuses what ``compile`` refuses."""
    _, expressions, values = _checked(program, _tracr())
    return _typed(expressions, values)


def evaluate(compiled: Compiled, tokens: Tokens) -> dict[str, Any]:
    """Values of every expression by Tracr's own RASP evaluator; raises ``InvalidProgram`` where it fails.

    The evaluator recomputes shared expressions; here each is computed once.
    """
    tracr = _tracr()
    base = tracr.causal_eval.CausalEvaluator if compiled.program.causal else tracr.rasp.DefaultRASPEvaluator
    known: dict[str, Any] = {}

    class Memoised(base):
        def evaluate(self, expr: Any, xs: Any) -> Any:
            if expr.label not in known:
                known[expr.label] = super().evaluate(expr, xs)
            return known[expr.label]

    try:
        Memoised().evaluate(compiled.source.expression, list(tokens))
    except FAILURES as error:
        raise InvalidProgram(
            f"program {compiled.program.name!r}: RASP cannot evaluate {tokens}: {error}; refuse this input in admits"
        ) from None
    return {expression.name: known[expression.label] for expression in compiled.expressions}


def reference(compiled: Compiled, inputs: Sequence[Tokens]) -> list[Float[Array, "pos out"]]:
    """Logits of Tracr's own JAX model for each input, at every position including BOS, which comes first."""
    _tracr()  # lets the assembly be imported without the rest of the compiler
    spaces = compiled.source.spaces
    jax, initializers = importlib.import_module("jax"), importlib.import_module("haiku").initializers
    assemble = importlib.import_module("tracr.compiler.assemble")
    drawn = initializers.VarianceScaling
    # Tracr overwrites the initial weights with the compiled ones; drawing them takes most of the time
    initializers.VarianceScaling = lambda _: jax.numpy.zeros
    try:
        model = assemble.assemble_craft_model(
            craft_model=compiled.source.craft,
            tokens_space=spaces.tokens,
            indices_space=spaces.indices,
            output_space=spaces.outputs,
            categorical_output=False,  # logits instead of their argmax
            causal=compiled.program.causal,
        )
        forward = jax.jit(lambda ids: model.forward(model.params, ids).unembedded_output)
        ids = {value: index for index, value in enumerate(compiled.tokens)}
        rows = [np.array([ids[BOS], *(ids[token] for token in tokens)]) for tokens in inputs]
        logits: dict[int, Float[Array, "pos out"]] = {}
        for length in sorted({len(row) for row in rows}):
            chosen = [index for index, row in enumerate(rows) if len(row) == length]
            found = np.asarray(forward(np.stack([rows[index] for index in chosen])))
            logits |= zip(chosen, found.reshape(len(chosen), length, -1), strict=True)
    finally:
        initializers.VarianceScaling = drawn
    return [logits[index] for index in range(len(rows))]


@functools.cache
def _tracr() -> SimpleNamespace:
    """Tracr's modules, imported on first use and without JAX."""
    if "tracr.compiler" not in sys.modules:
        spec = importlib.util.find_spec("tracr")
        if spec is None or spec.submodule_search_locations is None:
            raise InvalidProgram("RASP programs need Tracr; install the package 'tracr-pypi'")
        package = types.ModuleType("tracr.compiler")
        package.__path__ = [f"{folder}/compiler" for folder in spec.submodule_search_locations]
        sys.modules["tracr.compiler"] = package
    names = {"rasp": "tracr.rasp.rasp", "causal_eval": "tracr.rasp.causal_eval"}
    names |= {name: f"tracr.craft.{name}" for name in ("bases", "transformers", "vectorspace_fns")}
    passes = ("nodes", "rasp_to_graph", "basis_inference", "expr_to_craft_graph", "craft_graph_to_model", "validating")
    names |= {name: f"tracr.compiler.{name}" for name in passes}
    return SimpleNamespace(**{name: importlib.import_module(path) for name, path in names.items()})


def _checked(
    program: Program, tracr: SimpleNamespace
) -> tuple[Any, tuple[Expression, ...], dict[str, tuple[Value, ...]]]:
    """The program's expression, its nodes as records and their value sets; refuses with all reasons at once."""
    tracr.rasp.RASPExpr._ids = itertools.count(1)  # equal programs get equal labels
    expression = program.build(tracr.rasp)
    if not isinstance(expression, tracr.rasp.SOp):
        raise InvalidProgram(f"program {program.name!r}: build gave {expression!r}; return a RASP expression (an SOp)")
    nodes = _ordered(expression)
    expressions = _expressions(nodes, tracr)
    values, unfit = infer(expressions, program.vocabulary, program.length)
    reasons = [*refusals(program, expressions), *_static(nodes, expressions, tracr), *unfit]
    if reasons:
        raise InvalidProgram(f"program {program.name!r} cannot be compiled: " + "; ".join(reasons))
    return expression, expressions, values


def _ordered(expression: Any) -> list[Any]:
    """Every expression below ``expression``, arguments before users."""
    seen: dict[int, Any] = {}

    def visit(node: Any) -> None:
        if id(node) not in seen:
            for child in node.children:
                visit(child)
            seen[id(node)] = node

    visit(expression)
    return list(seen.values())


def _expressions(nodes: Sequence[Any], tracr: SimpleNamespace) -> tuple[Expression, ...]:
    """Tracr's expressions as records; one that cannot be compiled keeps its class name as kind."""
    rasp = tracr.rasp
    names = {id(one): one.label if one.name == rasp.default_name(one) else one.name for one in nodes}
    primitives = {rasp.TokensType: "tokens", rasp.IndicesType: "indices"}
    return tuple(
        Expression(
            name=names[id(node)],
            label=node.label,
            kind=primitives.get(type(node), type(node).__name__),
            encoding=cast(Encoding, rasp.get_encoding(node).value) if isinstance(node, rasp.SOp) else None,
            arguments=tuple(names[id(child)] for child in node.children),
            function=getattr(node, "predicate", None) or getattr(node, "f", None),
            factors=(float(node.fst_fac), float(node.snd_fac)) if isinstance(node, rasp.LinearSequenceMap) else None,
        )
        for node in nodes
    )


def _static(nodes: Sequence[Any], expressions: Sequence[Expression], tracr: SimpleNamespace) -> Iterator[str]:
    """Tracr's own static validation, asked of each expression alone: its walk skips those that share a name (D9)."""
    for node, expression in zip(nodes, expressions, strict=True):
        found = tracr.validating._static_validate_expr(node)
        if found is not None:
            yield f"{expression.name}: {found.reason}"


def _annotate(
    graph: Any, expressions: Sequence[Expression], values: Mapping[str, tuple[Value, ...]], tracr: SimpleNamespace
) -> None:
    """Write value sets and bases into the graph, as Tracr's pass ``infer_bases`` does."""
    space = tracr.bases.VectorSpaceWithBasis
    for expression in expressions:
        if not expression.selector:
            found, label = values[expression.name], expression.label
            made = (
                space.from_values(label, found) if expression.encoding == "categorical" else space.from_names([label])
            )
            graph.nodes[label].update({tracr.nodes.VALUE_SET: set(found), tracr.nodes.OUTPUT_BASIS: made.basis})


def _repair(graph: Any, bos: Any, remedies: Remedies, tracr: SimpleNamespace) -> None:
    """Apply the remedies that change single blocks."""
    if remedies.sign:
        split(graph, tracr)
    if remedies.snap:
        snap(graph, tracr)
    if remedies.apart:
        separate(graph, tracr)
    if remedies.clean:
        clean(graph, bos, tracr)


def _spaces(program: Program, craft: Any, sink: Any, tracr: SimpleNamespace) -> SimpleNamespace:
    """The vector spaces of tokens, positions, output and the whole residual stream, as Tracr's assembly makes them."""
    space = tracr.bases.VectorSpaceWithBasis
    tokens = space.from_values(tracr.rasp.tokens.label, (*program.vocabulary, BOS, PAD))
    indices = space.from_values(tracr.rasp.indices.label, range(program.length))
    outputs = space(sink[tracr.nodes.OUTPUT_BASIS])
    residual = tracr.bases.join_vector_spaces(craft.residual_space, tokens, indices, outputs)
    return SimpleNamespace(tokens=tokens, indices=indices, outputs=outputs, residual=residual)


def _records(
    program: Program,
    expressions: Sequence[Expression],
    values: Mapping[str, tuple[Value, ...]],
    source: SimpleNamespace,
) -> Compiled:
    """Everything that Tracr made, as plain records."""
    spaces, tracr = source.spaces, _tracr()
    typed = _typed(expressions, values)
    categorical = typed[-1].encoding == "categorical"
    return Compiled(
        program=program,
        expressions=typed,
        residual=tuple(_coordinate(direction, typed, source, tracr) for direction in spaces.residual.basis),
        layers=_layers(source.craft, spaces.residual, tracr),
        tokens=tuple(direction.value for direction in spaces.tokens.basis),
        outputs=tuple(direction.value for direction in spaces.outputs.basis) if categorical else None,
        exactness=source.exactness,
        source=source,
    )


def _typed(expressions: Sequence[Expression], values: Mapping[str, tuple[Value, ...]]) -> tuple[Expression, ...]:
    """The expressions with their value sets."""
    return tuple(one if one.selector else replace(one, values=values[one.name]) for one in expressions)


def _coordinate(direction: Any, expressions: Sequence[Expression], source: SimpleNamespace, tracr: Any) -> Coordinate:
    """Whose dimension of the residual stream this is."""
    for expression in expressions:
        if direction.name == expression.label:
            special = expression.kind == "tokens" and direction.value in (BOS, PAD)
            return Coordinate(expression.name, "special" if special else "value", direction.value, direction)
        if expression.kind == "SelectorWidth":
            block = source.graph.nodes[expression.label][tracr.nodes.MODEL_BLOCK]
            if direction in block.blocks[0].w_ov.output_space:
                return Coordinate(expression.name, "width", None, direction)
    if direction == tracr.bases.BasisDirection("one"):
        return Coordinate(None, "one", None, direction)
    assert direction in source.spaces.indices, direction
    return Coordinate(None, "unread", direction.value, direction)


def _layers(craft: Any, residual: Any, tracr: SimpleNamespace) -> tuple[Layer, ...]:
    """Craft's blocks as layers: attention and MLPs alternate, and a block takes the next free place of its kind."""

    def places(space: Any) -> tuple[int, ...]:
        return tuple(residual.index_by_direction[direction] for direction in space.basis)

    layers: list[Layer] = []
    for block in craft.blocks:
        if isinstance(block, tracr.transformers.MLP):
            first, second = block.fst, block.snd
            mlp = Feedforward(places(first.input_space), first.matrix, places(second.output_space), second.matrix)
            if layers and layers[-1].mlp is None:
                layers[-1] = replace(layers[-1], mlp=mlp)
            else:
                layers.append(Layer(mlp=mlp))
        else:
            heads = tuple(_head(head, places) for head in block.as_multi().heads())
            layers.append(Layer(heads=heads))
    return tuple(layers)


def _head(head: Any, places: Callable[[Any], tuple[int, ...]]) -> Head:
    qk, ov = head.w_qk, head.w_ov
    return Head(
        query=places(qk.left_space),
        key=places(qk.right_space),
        qk=qk.matrix,
        value=places(ov.input_space),
        output=places(ov.output_space),
        ov=ov.matrix,
    )
