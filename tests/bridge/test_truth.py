"""The truth about compiled programs: known circuits, laws of the causal model, and subspaces."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from engines.errors import InvalidProgram, UnknownName
from engines.site import Port, Site
from tracr_bridge.truth import basis, encoding
from tracr_bridge.wiring import Reader, Structural, Writer


def test_the_circuit_of_reverse(truth_of):
    """The circuit as one reads it off the program: count at 0, subtract at 1, move at 2."""
    found = truth_of("reverse")
    assert list(found.variables) == [
        "indices", "tokens", "everywhere", "length", "opposite", "mirror", "reversed",
    ]  # fmt: skip
    length, opposite = found.variable("length"), found.variable("opposite")
    moved, mirror = found.variable("reversed"), found.variable("mirror")
    assert length.writers == (Writer(0, "head", 0), Writer(0, "mlp", None, tuple(range(12)), (0, 11)))
    assert length.readers == (Reader(1, "mlp", None, tuple(range(30))),)
    assert length.ready == Port(0, "resid_post")
    assert len(length.dims) == len(length.values) == 6
    assert len(length.widths) == 1
    assert length.reachable == (1, 2, 3, 4, 5)
    assert opposite.writers == (Writer(1, "mlp", None, tuple(range(30))),)
    assert opposite.readers == (Reader(2, "q", 0),)
    assert (len(opposite.values), opposite.reachable) == (10, (0, 1, 2, 3, 4))
    assert mirror.writers == (Writer(2, "head", 0),)
    assert (mirror.dims, mirror.ready) == ((), None)
    assert moved.writers == (Writer(2, "head", 0),)
    assert moved.ready == Port(2, "resid_mid")
    assert moved.readers == (Reader(None, "unembed"),)
    assert Reader(2, "v", 0) in found.variable("tokens").readers
    assert found.variable("tokens").ready == Port(0, "resid_pre")
    assert {length.positional, opposite.positional, mirror.positional} == {True}
    assert not moved.positional


def test_constants_are_read_apart(truth_of):
    found = truth_of("reverse")
    assert Structural("BOS", Reader(2, "k", 0)) in found.structural
    assert Structural("one", Reader(2, "q", 0)) in found.structural
    fraction = truth_of("frac_prevs").variable("marked")
    assert fraction.readers == (Reader(1, "v", 0),)  # BOS is listed as an input of the values, but has no weight


def neurons(matrix):
    return tuple(torch.nonzero(matrix.any(0)).flatten().tolist())


def test_wiring_is_what_the_weights_say(known):
    """The same truth from the other side: the decoder's weights instead of the compiler's matrices."""
    decoder = known.decoder
    for variable in known.variables.values():
        dims, written = list(variable.dims), [*variable.dims, *variable.widths]
        if not dims:
            continue
        readers, writers = set(), set()
        if decoder.W_E[:, written].any() or decoder.W_pos[:, written].any():
            writers.add(("embed", None, None, ()))
        for layer, block in enumerate(decoder.blocks):
            for head in range(decoder.shape.n_heads):
                qk = block.attn.W_Q[head] @ block.attn.W_K[head].T
                ov = block.attn.W_V[head] @ block.attn.W_O[head]
                parts = {"q": qk[dims], "k": qk.T[dims], "v": ov[dims]}
                readers |= {(part, layer, head, ()) for part, rows in parts.items() if rows.any()}
                writers |= {("head", layer, head, ())} if ov[:, written].any() else set()
            if block.mlp.W_in[dims].any():
                readers.add(("mlp", layer, None, neurons(block.mlp.W_in[dims])))
            if block.mlp.W_out[:, written].any():
                writers.add(("mlp", layer, None, neurons(block.mlp.W_out[:, written].T)))
        readers |= {("unembed", None, None, ())} if decoder.W_U[dims].any() else set()
        assert {(one.part, one.layer, one.head, one.neurons) for one in variable.readers} == readers
        assert {(one.part, one.layer, one.head, one.neurons) for one in variable.writers} == writers


def test_every_variable_has_a_place(known):
    for variable in known.variables.values():
        assert set(variable.reachable) <= {*variable.values, None}
        assert variable.writers
        if variable.encoding is None:
            assert {writer.part for writer in variable.writers} == {"head"}
            with pytest.raises(InvalidProgram, match="is a selector"):
                variable.site("last")
            continue
        site = variable.site("last")
        assert Site.parse(str(site)) == site
        assert site.span == (variable.dims[0], variable.dims[-1] + 1)
        assert len(variable.dims) == (1 if variable.encoding == "numerical" else len(variable.values))
        for reader in variable.readers:
            assert reader.layer is None or reader.layer >= (variable.ready.layer or 0)


def test_blocks_partition_the_residual_stream(known):
    places = Counter(itertools.chain.from_iterable(range(start, stop) for _, start, stop in known.blocks))
    auxiliary = {at for variable in known.variables.values() for at in variable.widths}
    auxiliary |= {at for at, one in enumerate(known.compiled.residual) if one.role in ("one", "unread")}
    assert set(places.values()) == {1}
    assert set(places) | auxiliary == set(range(known.decoder.shape.d_model))
    assert not set(places) & auxiliary
    assert len(known.labels) == known.decoder.shape.d_model
    assert {name for name, _, _ in known.blocks} == {one.name for one in known.variables.values() if one.dims}


def test_embeddings_write_one_hots(known):
    roles = [one.role for one in known.compiled.residual]
    assert roles.count("one") <= 1
    constant = [float(role == "one") for role in roles]
    weights = known.decoder.W_E - torch.tensor(constant)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))
    assert not (weights.T @ weights - torch.diag((weights != 0).any(0).float())).any()
    assert known.decoder.W_pos.sum(1).tolist() == [0.0] + [1.0] * known.program.length


def test_a_basis_spans_the_differences_of_reachable_encodings(known):
    for variable in known.variables.values():
        if variable.encoding is None:
            with pytest.raises(InvalidProgram, match="without a subspace"):
                basis(variable)
            continue
        spanned = basis(variable, torch.float64)
        rank = min(1, len(variable.reachable) - 1) if variable.encoding == "numerical" else len(variable.reachable) - 1
        assert spanned.shape == (known.decoder.shape.d_model, rank)
        torch.testing.assert_close(spanned.T @ spanned, torch.eye(rank, dtype=torch.float64))
        first = encoding(variable, variable.reachable[0])
        for value in variable.reachable:
            difference = encoding(variable, value) - first
            torch.testing.assert_close(spanned @ (spanned.T @ difference), difference)


def test_interchanging_what_is_there_changes_nothing(known):
    rng = np.random.default_rng(0)
    for _ in range(5):
        base = known.causal.sample(rng)
        run = known.causal.run(base)
        for name in known.causal.variables:
            assert known.causal.interchange(base, {name: base}) == run


def test_the_causal_model_enumerates_the_programs_inputs(known):
    inputs = [setting["tokens"] for setting in known.causal.enumerate()]
    assert len(inputs) == known.program.count()
    assert known.causal.output == known.compiled.output.name


def test_an_unknown_variable_is_answered_with_the_known_ones(truth_of):
    with pytest.raises(UnknownName, match="unknown variable 'opposit'"):
        truth_of("reverse").variable("opposit")
