"""Circuits: the graph of a decoder is the decoder, run plainly and with any term at any port replaced."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from engines.answer import Choice, Number
from engines.circuit import BEHAVIOURS, aligned, circuit
from engines.decoder_model import DecoderModel
from engines.errors import InvalidModel, UnknownName
from engines.graph import Graph, Plain
from engines.model import Ask, Batch
from engines.networks import Block, Decoder, DecoderShape
from engines.site import Port
from tests.families import randomise
from tests.known import conjunction_decoder

SHAPE = DecoderShape(
    n_layers=3, n_heads=3, d_model=10, d_head=4, d_mlp=12, d_vocab=7, d_vocab_out=6, n_ctx=5,
    causal=True, activation="gelu", layer_norm=True,
)  # fmt: skip
ANSWER = Choice(("a", "b", "c"), (4, 0, 2), sharpness=2.0)
POSITIONS = (1, 4)
ROWS = 9
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def random_decoder(shape: DecoderShape = SHAPE) -> Decoder:
    """Random weights, biases and norms; one head and one MLP write nothing, but the MLP has a bias."""
    decoder = Decoder(shape)
    randomise(decoder)
    decoder.double()
    assert isinstance(decoder.blocks[1], Block)
    decoder.blocks[1].attn.W_O.data[2] = 0.0
    decoder.blocks[1].mlp.W_out.data.zero_()
    return decoder


def tokens(seed: int = 0) -> Tensor:
    return torch.randint(SHAPE.d_vocab, (ROWS, SHAPE.n_ctx), generator=torch.Generator().manual_seed(seed))


def labels() -> Tensor:
    return torch.tensor([[row % 3, (row + 1) % 3] for row in range(ROWS)])


def columns(seed: int = 0) -> dict[str, Tensor]:
    return {"tokens": tokens(seed), "label": labels()}


def spread(graph: Graph, at: tuple[str, str], total: Tensor) -> Tensor:
    """Outputs when one port of one node holds ``total`` instead of its sum, and everything behind follows."""
    values: dict[str, Tensor] = {name: column for name, column in columns().items()}
    for node in graph.nodes.values():
        if node.column is None and node.name != "loss":
            sums = {port: sum(values[writer] for writer in writers) for port, writers in node.ports.items()}
            if node.name == at[0]:
                sums[at[1]] = total
            values[node.name] = node.compute(*sums.values())
    return values["out"]


def patched(decoder: Decoder, edits: dict) -> Tensor:
    mask = torch.ones_like(tokens(), dtype=torch.bool)
    ask = Ask(torch.tensor(POSITIONS).expand(ROWS, -1), torch.tensor(ANSWER.columns))
    outputs = DecoderModel("random", decoder).forward(Batch(tokens(), mask), edits=edits, ask=ask).outputs
    assert outputs is not None
    return outputs


def residual(decoder: Decoder, port: Port) -> Tensor:
    mask = torch.ones_like(tokens(), dtype=torch.bool)
    return DecoderModel("random", decoder).forward(Batch(tokens(), mask), reads=[port]).reads[port]


@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_the_graph_is_the_decoder(causal: bool, layer_norm: bool) -> None:
    decoder = random_decoder(replace(SHAPE, causal=causal, layer_norm=layer_norm))
    plain = Plain(circuit(decoder, ANSWER, POSITIONS), columns())
    outputs = decoder(tokens())[:, list(POSITIONS)][..., list(ANSWER.columns)]
    assert_close(plain.value("out"), outputs, **EXACT)
    assert_close(plain.value("loss"), ANSWER.loss(outputs, labels()), **EXACT)


def test_every_term_is_an_edge_and_what_writes_nothing_is_none() -> None:
    graph = circuit(random_decoder(), ANSWER, POSITIONS)
    assert [name for name in graph.nodes if name.startswith("L1")] == ["L1.head0", "L1.head1"]
    before = ("embed", "L0.head0", "L0.head1", "L0.head2", "L0.mlp")
    assert graph.nodes["L1.head1"].ports == {"q": before, "k": before, "v": before}
    assert graph.nodes["L0.mlp"].ports == {"in": before[:-1]}
    assert graph.nodes["out"].ports["in"][-4:] == ("L2.head0", "L2.head1", "L2.head2", "L2.mlp")
    assert graph.labels == ("label",)
    assert {node.kind for node in graph.nodes.values()} == {"input", "embed", "head", "mlp", "out", "behaviour"}


@pytest.mark.parametrize("port", ["q", "k", "v"])
def test_a_term_replaced_at_a_heads_port_is_an_edit_behind_the_norm(port: str) -> None:
    """The graph's port holds the sum before layer norm; the decoder's hook point stands after it."""
    decoder = random_decoder()
    graph, others = circuit(decoder, ANSWER, POSITIONS), Plain(circuit(decoder, ANSWER, POSITIONS), columns(seed=1))
    mine = Plain(graph, columns())
    terms = graph.nodes["L2.head1"].ports[port]
    total = mine.sum(terms) - mine.value("L0.head2") + others.value("L0.head2")
    moved = residual(decoder, Port(2, "resid_pre")) - mine.value("L0.head2") + others.value("L0.head2")
    assert isinstance(decoder.blocks[2], Block)
    normed = decoder.blocks[2].ln1(moved)

    def edit(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :, 1] = normed
        return x

    found = spread(graph, ("L2.head1", port), total)
    assert_close(found, patched(decoder, {Port(2, f"{port}_in"): edit}), **EXACT)
    assert float((found - mine.value("out")).abs().max()) > 1e-6


def test_a_term_replaced_at_an_mlps_port_is_an_edit_of_its_neurons() -> None:
    decoder = random_decoder()
    graph, others = circuit(decoder, ANSWER, POSITIONS), Plain(circuit(decoder, ANSWER, POSITIONS), columns(seed=1))
    mine, block = Plain(graph, columns()), decoder.blocks[2]
    assert isinstance(block, Block)
    change = others.value("L1.head0") - mine.value("L1.head0")
    total = mine.sum(graph.nodes["L2.mlp"].ports["in"]) + change
    pre = block.ln2(residual(decoder, Port(2, "resid_mid")) + change) @ block.mlp.W_in + block.mlp.b_in
    found = spread(graph, ("L2.mlp", "in"), total)
    assert_close(found, patched(decoder, {Port(2, "mlp.pre"): lambda _: pre}), **EXACT)
    assert float((found - mine.value("out")).abs().max()) > 1e-6


def test_a_term_replaced_at_the_output_changes_the_last_residual() -> None:
    decoder = random_decoder()
    graph, others = circuit(decoder, ANSWER, POSITIONS), Plain(circuit(decoder, ANSWER, POSITIONS), columns(seed=1))
    mine = Plain(graph, columns())
    change = others.value("embed") - mine.value("embed")
    total = mine.sum(graph.nodes["out"].ports["in"]) + change
    found = spread(graph, ("out", "in"), total)
    assert_close(found, patched(decoder, {Port(2, "resid_post"): lambda x: x + change}), **EXACT)


def test_a_graph_keeps_the_weights_that_it_was_made_with() -> None:
    decoder = random_decoder()
    graph, before = circuit(decoder, ANSWER, POSITIONS), decoder(tokens())
    decoder.W_U.data += 1.0
    outputs = before[:, list(POSITIONS)][..., list(ANSWER.columns)]
    assert_close(Plain(graph, columns()).value("out"), outputs, **EXACT)
    again = circuit(decoder, ANSWER, POSITIONS)
    assert graph.digest() != again.digest()
    assert again.digest() == circuit(decoder, ANSWER, POSITIONS).digest() != circuit(decoder, ANSWER, (0,)).digest()


def test_behaviours() -> None:
    outputs = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]])
    given = torch.tensor([[0, 0], [-100, 2]])
    assert BEHAVIOURS["errors"](ANSWER, outputs, given).tolist() == [0.5, 0.0]
    assert_close(BEHAVIOURS["loss"](ANSWER, outputs, given), ANSWER.loss(outputs, given))
    number = Number(0, 0.25)
    numbers = torch.tensor([[1.0, 3.0], [2.0, float("nan")]], dtype=torch.float64)
    close = torch.tensor([[[1.0], [1.0]], [[2.2], [7.0]]], dtype=torch.float64)
    assert_close(BEHAVIOURS["loss"](number, close, numbers), torch.tensor([2.0, 0.04], dtype=torch.float64))
    assert BEHAVIOURS["errors"](number, close, numbers).tolist() == [0.5, 0.0]
    crisp = conjunction_decoder()
    data = {"tokens": torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), "label": torch.tensor([[0], [0], [0], [0]])}
    graph = circuit(crisp, Choice((0, 1), (0, 1)), (-1,), behaviour="errors")
    assert Plain(graph, data).value("loss").tolist() == [0.0, 0.0, 0.0, 1.0]


def test_refusals() -> None:
    decoder = random_decoder()
    with pytest.raises(UnknownName, match="unknown behaviour 'lost'"):
        circuit(decoder, ANSWER, POSITIONS, behaviour="lost")
    with pytest.raises(InvalidModel, match="asked at no position"):
        circuit(decoder, ANSWER, ())
    with pytest.raises(InvalidModel, match=r"2 inputs of the lengths \[2, 3\].*choose one length"):
        aligned([[1, 2], [1, 2, 3]])
    with pytest.raises(InvalidModel, match="column 4 is asked of inputs of 3 tokens; ask for 0 to 2"):
        Plain(circuit(decoder, ANSWER, POSITIONS), {"tokens": tokens()[:, :3]}).value("out")
    with pytest.raises(InvalidModel, match="an input has 6 tokens; this network takes 5"):
        Plain(circuit(decoder, ANSWER, POSITIONS), {"tokens": torch.zeros(2, 6, dtype=torch.int64)}).value("out")
    assert aligned([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
