"""Programs are verified, and what is wrong is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines import registry
from engines.errors import UnverifiedProgram
from tracr_bridge.certificate import Certificate, identity, verify, weight_hash
from tracr_bridge.compile import evaluate
from tracr_bridge.lower import lower


@pytest.mark.parametrize("program", registry.names("tracr_bridge.programs")[::4])
def test_a_program_is_verified(program, truth_of):
    """Some of them: the exam's test holds the certificates of all, from processes without type checks."""
    known = truth_of(program)
    certificate = verify(known.compiled, known.decoder)
    assert certificate.verified
    assert certificate.exhaustive
    assert certificate.inputs == known.program.count()
    assert certificate.encoding_deviation <= 1e-6
    assert certificate.reference is not None
    assert certificate.reference.deviation <= 1e-5
    assert Certificate.from_record(json.loads(json.dumps(certificate.to_record()))) == certificate


def test_without_the_reference_nothing_is_verified(truth_of):
    reverse = truth_of("reverse")
    certificate = verify(reverse.compiled, reverse.decoder, reference=False)
    assert certificate.to_record()["reference"] is None
    assert not certificate.verified
    assert Certificate.from_record(certificate.to_record()) == certificate


def test_many_inputs_are_sampled_and_said_so(truth_of):
    reverse = truth_of("reverse")
    certificate = verify(reverse.compiled, reverse.decoder, reference=False, seed=3, limit=50)
    assert (certificate.exhaustive, certificate.inputs, certificate.seed) == (False, 50, 3)


def changed(truth, name, entry, value):
    decoder = lower(truth.compiled)
    dict(decoder.named_parameters())[name][entry] += value
    return decoder


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("blocks.2.attn.W_O", "the network gives"),
        ("blocks.0.mlp.W_out", "the encoding of length is off by 0.01"),
        ("blocks.2.attn.W_Q", "the network gives|is off by"),
    ],
)
def test_a_changed_weight_is_found(truth_of, weights, message):
    reverse = truth_of("reverse")
    weight = dict(reverse.decoder.named_parameters())[weights]
    entry = tuple(weight.nonzero()[0].tolist())
    broken = changed(reverse, weights, entry, 0.01 if "mlp" in weights else -2 * float(weight[entry]))
    with pytest.raises(UnverifiedProgram, match=message):
        verify(reverse.compiled, broken, reference=False)
    assert weight_hash(broken) != weight_hash(reverse.decoder)


def test_the_reference_looks_at_bos_and_missing_values_too(truth_of):
    reverse = truth_of("reverse")
    bos = reverse.compiled.tokens.index("BOS")
    output = reverse.variables["reversed"].dims[0]
    broken = changed(reverse, "W_E", (bos, output), 0.5)
    with pytest.raises(UnverifiedProgram):
        verify(reverse.compiled, broken)


def test_a_program_that_means_something_else_is_found(truth_of):
    reverse = truth_of("reverse")
    table = {"a": "b", "b": "a", "c": "c"}
    wrong = tuple(
        replace(one, kind="Map", arguments=("tokens",), function=table.get) if one.name == "reversed" else one
        for one in reverse.compiled.expressions
    )
    with pytest.raises(UnverifiedProgram, match=r"the causal model says reversed is .* Tracr's evaluator"):
        verify(replace(reverse.compiled, expressions=wrong), reverse.decoder, reference=False)


def test_the_hash_is_of_the_weights(truth_of):
    reverse = truth_of("reverse")
    assert weight_hash(lower(reverse.compiled)) == weight_hash(reverse.decoder)
    assert weight_hash(lower(reverse.compiled, torch.float64)) != weight_hash(reverse.decoder)


def test_a_certificate_is_kept_under_all_that_it_depends_on(truth_of):
    compiled, decoder = truth_of("reverse").compiled, truth_of("reverse").decoder
    restricted = replace(compiled, program=replace(compiled.program, admits=lambda tokens: len(tokens) > 1))
    renamed = replace(compiled, residual=(replace(compiled.residual[0], value=9), *compiled.residual[1:]))
    keys = {identity(one, decoder) for one in (compiled, restricted, renamed)}
    assert len(keys) == 3
    assert identity(compiled, lower(compiled)) == identity(compiled, decoder)


def test_the_evaluator_agrees_on_a_sample(known):
    rng = np.random.default_rng(0)
    for _ in range(5):
        tokens = known.program.sample(rng)
        run, other = known.causal.run({"tokens": tokens}), evaluate(known.compiled, tokens)
        assert set(run) == set(other)
