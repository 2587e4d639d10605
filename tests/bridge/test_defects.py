"""Tracr's silent defects: each test shows the wrong model without the remedy and the right one with it.

The numbers are those of ``tracr_bridge.compile``.
"""

import numpy as np
import pytest
import torch

from engines import registry
from engines.errors import InvalidProgram, UnverifiedProgram
from tracr_bridge.certificate import verify
from tracr_bridge.compile import compile, reference
from tracr_bridge.lower import decode, encode, lower
from tracr_bridge.program import Program
from tracr_bridge.remedies import Remedies
from tracr_bridge.truth import truth


def output(program, tokens, **remedies):
    """What the network decodes to on one input."""
    compiled = compile(program, remedies=Remedies(**remedies))
    ids, mask = encode(compiled, [tokens])
    return decode(compiled, lower(compiled)(ids), mask)[0]


def checked(program, **remedies):
    """The certificate without Tracr's JAX model."""
    compiled = compile(program, remedies=Remedies(**remedies))
    return verify(compiled, lower(compiled), reference=False)


def program(build, vocabulary, length, **fields):
    return Program("example", "An example.", vocabulary, length, build, fields.pop("variables", ()), **fields)


def test_d1_thresholds_are_steep_enough_for_the_length():
    def build(rasp):
        return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE)).named("length")

    counting = program(build, ("a",), 12)
    assert output(counting, ("a",) * 12, steep=False) == (11,) * 12
    assert output(counting, ("a",) * 12) == (12,) * 12
    with pytest.raises(UnverifiedProgram, match=r"the encoding of length is off by 0\.107"):
        checked(counting, steep=False)
    assert checked(counting).mismatches == 0
    assert checked(program(build, ("a",), 40)).encoding_deviation < 1e-6


def test_d2_attention_is_as_cold_in_wide_heads():
    def build(rasp):
        return rasp.Aggregate(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ), rasp.tokens).named("same")

    wide = program(build, tuple(range(60)), 1)
    with pytest.raises(UnverifiedProgram, match=r"the encoding of same is off by 0\.00"):
        checked(wide, cold=False)
    assert checked(wide).encoding_deviation < 1e-20


def widths(rasp):
    """Two widths in one layer, and an average over the positions that one of them selects."""
    ones = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == 1)).named("ones")
    twos = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == 2)).named("twos")
    without = rasp.Select(ones, rasp.tokens, lambda key, _: key == 0).named("without")
    flag = rasp.numerical(rasp.Map(lambda token: int(token == 1), rasp.tokens)).named("flag")
    share = rasp.numerical(rasp.Aggregate(without, flag, default=0)).named("share")
    number = rasp.numerical(rasp.Map(lambda n: n, twos)).named("number")
    return rasp.numerical(rasp.LinearSequenceMap(share, number, 1, 1)).named("total")


def test_d3_two_widths_of_one_layer_clean_bos_once_each():
    counting = program(widths, (0, 1, 2), 3)
    assert output(counting, (1, 1), apart=False) == pytest.approx((1, 1))  # nothing is selected, so the default is 0
    assert output(counting, (1, 1)) == pytest.approx((0, 0))
    with pytest.raises(UnverifiedProgram):
        checked(counting, apart=False)
    assert checked(counting).mismatches == 0


def test_d4_averages_take_every_fraction():
    def build(rasp):
        flag = rasp.numerical(rasp.Map(lambda token: int(token == "x"), rasp.tokens))
        share = rasp.Aggregate(rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ), flag, default=0)
        return rasp.Map(lambda x: x > 0.6, rasp.numerical(share), simplify=False).named("mostly")

    mostly = program(build, ("x", "y"), 5)
    assert output(mostly, tuple("xxyxx"), fractions=False) == (True, True, False, True, True)
    assert output(mostly, tuple("xxyxx")) == (True, True, True, True, True)
    with pytest.raises(UnverifiedProgram, match="outside the values that its layer tells apart"):
        checked(mostly, fractions=False)


def sorting(rasp):
    smaller = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.LT)).named("smaller")
    return rasp.Aggregate(rasp.Select(smaller, rasp.indices, rasp.Comparison.EQ), smaller).named("moved")


def blending(rasp):
    return rasp.Aggregate(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE), rasp.tokens).named("blend")


def test_d5_blends_are_refused_and_missing_values_masked():
    with pytest.raises(UnverifiedProgram, match=r"undefined on \(0, 1\): blend: moves one value but .* admits"):
        truth(program(blending, (0, 1), 2))
    certificate = checked(program(sorting, (0, 1), 3))
    assert 0 < certificate.masked < certificate.positions
    admitted = program(blending, (0, 1), 2, admits=lambda tokens: len(set(tokens)) == 1)
    assert checked(admitted).inputs == 4


def test_d5_none_is_not_compared():
    def build(rasp):
        behind = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1)
        previous = rasp.Aggregate(behind, rasp.tokens).named("previous")
        return rasp.SelectorWidth(rasp.Select(previous, rasp.tokens, rasp.Comparison.EQ).named("match")).named("hits")

    with pytest.raises(UnverifiedProgram, match="match: compares None"):
        truth(program(build, (0, 1), 2))


def test_d6_padding_is_masked():
    found = truth(registry.load("tracr_bridge.programs", "majority", "PROGRAM", "program"))
    inputs = [(1,), (0, 1, 1, 0, 0), (1, 0), (0, 0, 1, 1, 1, 1)]
    ids, mask = encode(found.compiled, inputs)
    together = found.decoder(ids, mask)
    unmasked = found.decoder(ids)
    for row, tokens in enumerate(inputs):
        alone = found.decoder(encode(found.compiled, [tokens])[0])[0]
        torch.testing.assert_close(together[row, -len(tokens) :], alone[1:])
    assert not torch.equal(unmasked, together)


def test_d7_a_copied_identity_is_refused():
    def build(rasp):
        raw = rasp.Map(lambda token: int(token == "a"), rasp.tokens)
        assert raw.label
        return rasp.SequenceMap(lambda x, y: x + y, raw, raw.annotated(note="copy"))

    with pytest.raises(InvalidProgram, match="2 different expressions share the identity 'map_1'"):
        compile(program(build, ("a", "b"), 2))


def test_d7_an_expression_that_outlives_its_compilation_is_refused():
    kept = []

    def build(rasp):
        kept.append(kept[0] if kept else rasp.Map(lambda token: token == "a", rasp.tokens).named("is_a"))
        return rasp.SequenceMap(lambda x, y: x and y == "b", kept[0], rasp.tokens).named("is_a")

    with pytest.raises(InvalidProgram, match="2 expressions are called 'is_a'"):
        compile(program(build, ("a", "b"), 2))


def test_d7_equal_programs_get_equal_labels():
    example = registry.load("tracr_bridge.programs", "reverse", "PROGRAM", "program")
    first, second = compile(example), compile(example)
    assert [one.label for one in first.expressions] == [one.label for one in second.expressions]
    assert first.source.expression is not second.source.expression


@pytest.mark.parametrize("simplify", [True, False])
def test_d8_a_swallowed_variable_is_refused(simplify):
    def build(rasp):
        inner = rasp.Map(lambda token: token == "a", rasp.tokens).named("inner")
        return rasp.Map(lambda flag: not flag, inner, simplify=simplify).named("outer")

    example = program(build, ("a", "b"), 2, variables=("inner",))
    if simplify:
        with pytest.raises(
            InvalidProgram, match=r"variable 'inner' is not in the compiled program; known: .*simplify=False"
        ):
            compile(example)
    else:
        assert "inner" in compile(example).by_name


def test_d9_true_beside_one_is_refused():
    def build(rasp):
        return rasp.Map(lambda token: True if token == "a" else 1, rasp.tokens).named("flag")

    with pytest.raises(InvalidProgram, match="flag: takes both True and 1, which are equal"):
        compile(program(build, ("a", "b"), 2))


def test_d9_every_expression_of_one_name_is_validated():
    def build(rasp):
        number = rasp.numerical(rasp.Map(lambda token: int(token == "a"), rasp.tokens)).named("number")
        fine = rasp.Aggregate(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ), rasp.tokens)
        wrong = rasp.Aggregate(rasp.Select(number, rasp.tokens, rasp.Comparison.EQ), rasp.tokens)
        return rasp.SequenceMap(lambda x, y: x == y, fine, wrong).named("answer")

    with pytest.raises(InvalidProgram, match="Select keys must be categorical"):
        compile(program(build, ("a", "b"), 2))


def test_d10_thresholds_leave_bos_clean():
    def build(rasp):
        flag = rasp.numerical(rasp.Map(lambda token: int(token == "x"), rasp.tokens)).named("flag")
        before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ)
        share = rasp.numerical(rasp.Aggregate(before, flag, default=0)).named("share")
        low = rasp.numerical(rasp.Map(lambda x: int(x < 0.5), share, simplify=False)).named("low")
        behind = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1)
        return rasp.numerical(rasp.Aggregate(behind, low, default=0)).named("was_low")

    example = program(build, ("x", "y"), 3)
    assert output(example, tuple("xyy"), clean=False) == pytest.approx(
        (1, 0, 0)
    )  # nothing is before the first position
    assert output(example, tuple("xyy")) == pytest.approx((0, 0, 0))
    with pytest.raises(UnverifiedProgram):
        checked(example, clean=False)
    assert checked(example).mismatches == 0


def moving(rasp):
    """Moves more values than its head has keys."""
    place = rasp.SequenceMap(lambda token, index: 10 * token + index, rasp.tokens, rasp.indices).named("place")
    behind = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1)
    return rasp.Aggregate(behind, place).named("moved")


def test_d11_values_may_be_wider_than_keys():
    example = program(moving, (0, 1, 2, 3), 3)
    with pytest.raises(ValueError, match="could not broadcast"):
        reference(compile(example, remedies=Remedies(wide=False)), [(0, 1)])
    compiled = compile(example)
    theirs = reference(compiled, [(0, 1)])[0]
    ours = lower(compiled)(encode(compiled, [(0, 1)])[0])[0]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)
    assert checked(example).mismatches == 0


def test_d12_biases_round_together():
    example = registry.load("tracr_bridge.programs", "shuffle_dyck2", "PROGRAM", "program")
    with pytest.raises(UnverifiedProgram, match="is off by 1"):
        checked(example, snap=False)
    assert checked(example).encoding_deviation < 1e-7


def test_d14_a_predicate_is_true_or_false():
    def build(rasp):
        return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key).named("held")).named("n")

    with pytest.raises(InvalidProgram, match=r"held: its predicate gives 0 for key 0 and query 0; write bool"):
        compile(program(build, (0, 1, 2), 2))


def test_d13_negative_numbers_pass_the_relu():
    def build(rasp):
        return rasp.numerical(rasp.Map(lambda token: -2 if token == "a" else 3, rasp.tokens)).named("number")

    example = program(build, ("a", "b"), 2)
    assert output(example, ("a", "b"), sign=False) == (0.0, 3.0)
    assert output(example, ("a", "b")) == (-2.0, 3.0)
    assert checked(example).mismatches == 0
