"""Remedies: repairs of Tracr's blocks, each on its craft objects, before weights are made of them.

Functions get ``tracr``, the compiler's modules, from ``tracr_bridge.compile``, the only importer of Tracr. They
change the blocks in place, as Tracr's own passes do, on a graph that was built for one compilation.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Remedies:
    """Which of Tracr's silent defects are repaired: all, except where a test shows what happens without.

    ``steep`` D1, ``cold`` D2, ``apart`` D3, ``fractions`` D4, ``clean`` D10, ``wide`` D11, ``snap`` D12, ``sign``
    D13; the numbers are those of ``tracr_bridge.compile``.
    """

    steep: bool = True
    cold: bool = True
    apart: bool = True
    fractions: bool = True
    clean: bool = True
    wide: bool = True
    snap: bool = True
    sign: bool = True


ALL = Remedies()
MANTISSA = 23
"""Bits that single precision holds of any number, with one to spare."""


def separate(graph: Any, tracr: SimpleNamespace) -> None:
    """Give each SelectorWidth its own neuron for cleaning the BOS position (D3).

    They share a name, so two in one layer become one neuron that subtracts from the position twice.
    """
    for label, block in _blocks(graph, tracr):
        if isinstance(block, tracr.transformers.SeriesWithResiduals):
            mlp = block.blocks[1]
            renamed = [
                tracr.bases.BasisDirection(f"{one.name}{label}_") if one.name == "_hidden_clean_bos_" else one
                for one in mlp.fst.output_space.basis
            ]
            hidden = tracr.bases.VectorSpaceWithBasis(renamed)
            order = [renamed.index(one) for one in hidden.basis]
            linear = tracr.vectorspace_fns.Linear
            first = linear(mlp.fst.input_space, hidden, mlp.fst.matrix[:, order])
            second = linear(hidden, mlp.snd.output_space, mlp.snd.matrix[order])
            block.blocks[1] = tracr.transformers.MLP(first, second)


def snap(graph: Any, tracr: SimpleNamespace) -> None:
    """Round the biases of thresholds to a power of two that single precision holds exactly at their size (D12).

    A threshold is the difference of two neurons whose biases differ by 1; rounded apart, they differ by 1.000001.
    """
    one = tracr.bases.BasisDirection("one")
    for _, block in _blocks(graph, tracr):
        mlp = block.blocks[1] if isinstance(block, tracr.transformers.SeriesWithResiduals) else block
        if isinstance(mlp, tracr.transformers.MLP) and one in mlp.fst.input_space:
            row = mlp.fst.input_space.index_by_direction[one]
            _, exponent = math.frexp(float(np.abs(mlp.fst.matrix[row]).max()))
            grain = 2.0 ** (MANTISSA - exponent)
            mlp.fst.matrix[row] = np.round(mlp.fst.matrix[row] * grain) / grain


def split(graph: Any, tracr: SimpleNamespace) -> None:
    """Give negative numbers a neuron of their own (D13).

    A Map from categories to a number passes the number itself through the ReLU, which turns every negative one to 0.
    """
    for label, block in _blocks(graph, tracr):
        plain = isinstance(block, tracr.transformers.MLP) and block.fst.output_space == block.snd.output_space
        if plain and (block.fst.matrix < 0).any():
            names = [f"_hidden_{label}_{part}_" for part in ("negative", "positive")]
            hidden = tracr.bases.VectorSpaceWithBasis.from_names(names)
            first = tracr.vectorspace_fns.Linear(
                block.fst.input_space, hidden, np.concatenate([-block.fst.matrix, block.fst.matrix], 1)
            )
            second = tracr.vectorspace_fns.Linear(hidden, block.snd.output_space, np.array([[-1.0], [1.0]]))
            graph.nodes[label][tracr.nodes.MODEL_BLOCK] = tracr.transformers.MLP(first, second)


def clean(graph: Any, bos: Any, tracr: SimpleNamespace) -> None:
    """Subtract at the BOS position what thresholds write there (D10).

    A layer that tells numbers apart takes the constant 1 for its bias, which the BOS position has too: it writes f(0)
    there. Attention that falls back to BOS would then read f(0) for its default 0, and a key f(0) would beat the
    fallback.
    """
    spaces, linear = tracr.bases.VectorSpaceWithBasis, tracr.vectorspace_fns.Linear
    one = tracr.bases.BasisDirection("one")
    for label, block in _blocks(graph, tracr):
        if not isinstance(block, tracr.transformers.MLP) or one not in block.fst.input_space:
            continue
        bias = block.fst.matrix[block.fst.input_space.index_by_direction[one]]
        written = np.maximum(bias, 0) @ block.snd.matrix
        if written.any():
            hidden = spaces([tracr.bases.BasisDirection(f"_hidden_clean_bos_{label}_")])
            first = linear(spaces([bos]), hidden, np.ones((1, 1)))
            second = linear(hidden, block.snd.output_space, -written[None])
            cleaning = tracr.transformers.MLP(first, second)
            graph.nodes[label][tracr.nodes.MODEL_BLOCK] = tracr.transformers.MLP.combine_in_parallel([block, cleaning])


def widen(craft: Any, residual: Any, tracr: SimpleNamespace) -> None:
    """Widen a head's key space with zeros until its values fit into a head (D11).

    Tracr sizes heads by queries and keys alone and fails on values that are wider. The added keys have no weight.
    """
    heads = attention(craft, tracr)
    size = max((max(head.w_qk.matrix.shape) for head in heads), default=1)
    need = max((head.w_ov.output_space.num_dims for head in heads), default=1)
    if need > size:
        head = max(heads, key=lambda head: head.w_qk.right_space.num_dims)
        space = head.w_qk.right_space
        spare = [direction for direction in residual.basis if direction not in space][: need - space.num_dims]
        wide = tracr.bases.VectorSpaceWithBasis([*space.basis, *spare])
        matrix = np.zeros((head.w_qk.left_space.num_dims, wide.num_dims))
        matrix[:, [wide.index_by_direction[direction] for direction in space.basis]] = head.w_qk.matrix
        head.w_qk = tracr.vectorspace_fns.ScalarBilinear(head.w_qk.left_space, wide, matrix)


def cool(craft: Any, tracr: SimpleNamespace) -> None:
    """Multiply each head's query-key matrix by sqrt(d_head), by which attention divides (D2).

    Else e^(-50 / sqrt(d_head)) of the attention leaks to BOS: 0.7% at d_head 101; afterwards e^-50.
    """
    heads = attention(craft, tracr)
    factor = math.sqrt(max((max(head.w_qk.matrix.shape) for head in heads), default=1))
    for head in heads:
        head.w_qk.matrix = head.w_qk.matrix * factor


@contextmanager
def side_by_side(tracr: SimpleNamespace) -> Iterator[None]:
    """Let Tracr place the matrices of parallel MLPs as blocks: the same matrices to the bit, in a fraction of the time.

    It takes them apart into single directions and puts these together again.
    """
    linear, upstream = tracr.vectorspace_fns.Linear, tracr.vectorspace_fns.Linear.__dict__["combine_in_parallel"]

    def placed(functions: Sequence[Any]) -> Any:
        joined = [
            tracr.bases.join_vector_spaces(*spaces)
            for spaces in zip(*((one.input_space, one.output_space) for one in functions), strict=True)
        ]
        matrix = np.zeros([space.num_dims for space in joined])
        for one in functions:
            rows, columns = (
                [space.index_by_direction[direction] for direction in own.basis]
                for space, own in zip(joined, (one.input_space, one.output_space), strict=True)
            )
            matrix[np.ix_(rows, columns)] += one.matrix
        return linear(*joined, matrix)

    linear.combine_in_parallel = staticmethod(placed)
    try:
        yield
    finally:
        linear.combine_in_parallel = upstream


def attention(craft: Any, tracr: SimpleNamespace) -> list[Any]:
    """Every attention head of a craft model, block by block."""
    blocks = [block for block in craft.blocks if not isinstance(block, tracr.transformers.MLP)]
    return [head for block in blocks for head in block.as_multi().heads()]


def _blocks(graph: Any, tracr: SimpleNamespace) -> list[tuple[str, Any]]:
    return [(label, node.get(tracr.nodes.MODEL_BLOCK)) for label, node in graph.nodes.items()]
