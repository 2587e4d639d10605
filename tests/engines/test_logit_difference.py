"""The logit difference of IOI: planted coefficients come back, errors and floors by hand, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import permutations, product

import pytest
import torch

from engines import prompted
from engines.costs import costs
from engines.decoder_model import DecoderModel
from engines.errors import InsufficientData, InvalidSite
from engines.evaluation import Sweep, full, sweep
from engines.events import drain
from engines.interval import Z95
from engines.language import ioi
from engines.logit_difference import RANDOM_SETS, TERMS, fit, half_widths, indistinct, random_sets, report
from engines.natural import coefficients
from engines.networks import Block, Decoder, DecoderShape
from engines.prompting import Example, Row, examples
from engines.site import Site
from engines.squared_error import Error
from tests.engines.test_prompting import words

NAMES = ("Adam", "Carl", "Mary", "Rose")
OFFSETS = (0.5, -0.25, 0.0, 1.0)
"""What the network adds to each name's logit whatever it reads; no swap changes it."""
BIAS, TOKEN, POSITION = 0.75, 0.5, 2.0
HEADS = 3
IN, OUT, FIRST, SECOND, THIRD, CONSTANT, SLOT, TOLD, WIDTH = 0, 4, 8, 9, 10, 11, 12, 13, 14
MENTIONS = {1: FIRST, 3: SECOND, 9: THIRD}
"""Where the names of a prompt stand."""
SURE = 100.0
DUPLICATE, TELLER, MOVER = (Site(layer, "z", "all", 0) for layer in range(3))
DIRECT, CONSTANT_HEAD = (Site(0, "z", "all", head) for head in (1, 2))


def row(names: Sequence[str], thing: str) -> Row:
    a, b, c = names
    prompt = f"When {a} and {b} went to the store, {c} gave a {thing} to"
    return {"prompt": prompt, "metadata": {"subject": c, "indirect_object": b if c == a else a}}


def drawn(thing: str, sets: Sequence[str] = ioi.SETS) -> list[Example]:
    """All twelve pairs of names in every set, so that what names add by themselves is at right angles to all signs."""
    rows = [
        {
            **row((a, b, a), thing),
            "s1_io_flip_counterfactual": row((b, a, a), thing),
            "s2_io_flip_counterfactual": row((a, b, b), thing),
            "s1_ioi_flip_s2_ioi_flip_counterfactual": row((b, a, b), thing),
        }
        for a, b in permutations(NAMES, 2)
    ]
    return examples(ioi.TASK, "test", rows, sets)[0]


@cache
def planted() -> tuple[DecoderModel, prompted.Bound, dict[str, list[Example]]]:
    """A decoder whose difference is BIAS + TOKEN s_tok + POSITION s_pos + what the two names add.

    L0.head0 finds at the third name which mention it repeats, L1.head0 tells the last token, and L2.head0 moves the
    name from the other mention: the position. L0.head1 writes minus the mean of the three names: the token, of which
    one is there twice. L0.head2 does so as well and is not claimed: the constant.
    """
    parts = {"fit": drawn("book"), "test": drawn("map")}
    every = [one for part in parts.values() for one in part]
    bare_names = {"prompt": "\n".join(NAMES), "answer": ""}  # without the space that they have in prompts
    tokenizer = words(ioi.TASK, [*every, Example(bare_names, bare_names, "", "")])
    bound = prompted.bind(ioi.TASK, tokenizer, every)
    vocabulary = len(tokenizer)
    shape = DecoderShape(3, HEADS, WIDTH, 8, 1, vocabulary, vocabulary, 14, causal=True)
    decoder = Decoder(shape)
    spaced, bare = ([bound.encoder.first(f"{form}{name}") for name in NAMES] for form in (" ", ""))
    decoder.W_E.data[:, CONSTANT] = 1.0
    for name, token in enumerate(spaced):
        decoder.W_E.data[token, IN + name] = 1.0
        decoder.W_U.data[OUT + name, token] = 1.0
        decoder.b_U.data[token] = OFFSETS[name]
        decoder.W_U.data[OUT + name, bare[name]] = 2.0
    for place, flag in MENTIONS.items():
        decoder.W_pos.data[place, flag] = 1.0
    first, second, third = (block.attn for block in decoder.blocks if isinstance(block, Block))
    for name in range(4):
        first.W_Q.data[0, IN + name, name] = SURE
        first.W_K.data[0, IN + name, name] = third.W_V.data[0, IN + name, name] = 1.0
        third.W_O.data[0, name, OUT + name] = POSITION
    first.W_Q.data[0, CONSTANT, 4] = SURE
    first.W_K.data[0, [FIRST, SECOND], 4] = 1.0
    first.W_V.data[0, FIRST, 0], first.W_V.data[0, SECOND, 0], first.W_O.data[0, 0, SLOT] = 1.0, -1.0, 1.0
    second.W_Q.data[0, CONSTANT, 0], second.W_K.data[0, THIRD, 0] = SURE, 1.0
    second.W_V.data[0, SLOT, 0] = second.W_O.data[0, 0, TOLD] = 1.0
    third.W_Q.data[0, TOLD, 0], third.W_K.data[0, FIRST, 0], third.W_K.data[0, SECOND, 0] = SURE, -1.0, 1.0
    for head, size in ((1, TOKEN), (2, BIAS)):
        first.W_Q.data[head, CONSTANT, 0] = SURE
        first.W_K.data[head, [FIRST, SECOND, THIRD], 0] = 1.0
        for name in range(4):
            first.W_V.data[head, IN + name, name] = 1.0
            first.W_O.data[head, name, OUT + name] = -3 * size
    return DecoderModel("planted", decoder), bound, parts


def noise() -> torch.Tensor:
    """What the names alone add to the difference, over all pairs of names."""
    return torch.tensor([OFFSETS[one] - OFFSETS[two] for one, two in permutations(range(4), 2)], dtype=torch.float64)


@pytest.mark.parametrize(
    ("heads", "token", "position"),
    [
        ((TELLER, DIRECT), TOKEN, POSITION),
        ((TELLER,), 0.0, POSITION),
        ((DUPLICATE,), 0.0, POSITION),
        ((DIRECT,), TOKEN, 0.0),
        ((MOVER,), POSITION, 0.0),  # it holds the name itself
    ],
)
def test_planted_coefficients_come_back_for_whatever_heads_are_swapped(
    heads: tuple[Site, ...], token: float, position: float
) -> None:
    model, bound, parts = planted()
    train = parts["fit"], prompted.pairs_of(bound, parts["fit"])
    _, found = drain(fit(model, bound, train, full(model, heads)))
    rest = BIAS + TOKEN + POSITION - token - position  # what no swap changes is constant
    for form, size in (("spaced", 1.0), ("bare", 2.0)):
        linear = found[form]
        given = [linear.bias, linear.token_coeff, linear.position_coeff]
        assert given == pytest.approx([size * rest, size * token, size * position], abs=1e-5)
        assert linear.n == 36 + 12  # a base is left as it is once, in however many sets it is
        for name, value in zip(TERMS, given, strict=True):
            low, high = linear.intervals[name]
            assert low <= value <= high
            # what the two spaced names add is the same in all rows of a base, so that it only blurs the bias
            assert (high - low > 0.1) == (form == "spaced" and name == "bias")
    assert found["spaced"].residual == pytest.approx(float(noise().square().mean()), abs=1e-5)
    assert found["bare"].residual == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("variable", ["output_position", "output_token"])
def test_errors_of_the_claim_of_nothing_and_of_everything_by_hand(variable: str) -> None:
    model, bound, parts = planted()
    own, other = (TELLER, POSITION), (DIRECT, TOKEN)
    flips, others = ("s1_io_flip", "s2_io_flip"), ("s2_io_flip", "s1_ioi_flip_s2_ioi_flip")
    if variable == "output_token":
        own, other, flips, others = other, own, others, flips
    found = report(model, bound, parts, variable, full(model, (TELLER, DIRECT)))
    spread = {"spaced": float(noise().square().mean()), "bare": 0.0}
    for form, size in (("spaced", 1.0), ("bare", 2.0)):
        assert found.floor[form].value == pytest.approx(spread[form], abs=1e-5)
        for name in ioi.SETS:
            missed = (2 * size * own[1]) ** 2 if name in flips else 0.0  # nothing was interchanged
            too_much = (2 * size * other[1]) ** 2 if name in others else 0.0  # the other variable was, too
            assert found.no_op[form].sets[name].value == pytest.approx(spread[form] + missed, abs=1e-4)
            assert found.full_swap[form].sets[name].value == pytest.approx(spread[form] + too_much, abs=1e-4)
        assert found.no_op[form].mean.value == pytest.approx(spread[form] + 2 / 3 * (2 * size * own[1]) ** 2, abs=1e-4)
        assert found.no_op[form].sets["s1_io_flip"].n == 12
    assert found.method == found.full_swap
    assert found.heads == ("L1.head0.z@all", "L0.head1.z@all")
    right = report(model, bound, parts, variable, full(model, own[:1]))
    assert right.method["spaced"].mean.value == pytest.approx(spread["spaced"], abs=1e-4)  # nothing is left to win
    assert right.method["bare"].mean.value == pytest.approx(0.0, abs=1e-4)


def test_random_heads_are_held_against_the_claims_linear_model() -> None:
    """As many heads as are claimed; the sets are pooled, each pair's errors over the sets first."""
    model, bound, parts = planted()
    sites = [Site(layer, "z", "all", head) for layer, head in product(range(3), range(HEADS))]
    claim = full(model, (TELLER, DIRECT))
    drawn = random_sets(sites, claim, 0)
    assert drawn == random_sets(sites, claim, 0) != random_sets(sites, claim, 1)
    assert len(set(drawn)) == RANDOM_SETS
    assert all(len(set(one)) == 2 and set(one) != {TELLER, DIRECT} for one in drawn)
    idle, moving = (Site(1, "z", "all", 2), Site(2, "z", "all", 2)), (TELLER, Site(1, "z", "all", 1))
    found = report(model, bound, parts, "output_position", claim, drawn=(idle, moving))
    assert found.random_heads is not None
    assert found.drawn == (("L1.head2.z@all", "L2.head2.z@all"), ("L1.head0.z@all", "L1.head1.z@all"))
    assert report(model, bound, parts, "output_position", claim).random_heads is None
    missed = (2 * 2 * POSITION) ** 2  # names without a space have twice the logits
    for name, error in found.random_heads["bare"].sets.items():
        wrong = 0.0 if name == "s1_ioi_flip_s2_ioi_flip" else missed / 2  # one set does nothing, the other is right
        assert error.value == pytest.approx(wrong, abs=1e-3)
        assert (error.n, error.low <= error.value <= error.high) == (12, True)
    assert found.random_heads["bare"].mean.value == pytest.approx(missed / 3, abs=1e-3)


def test_where_few_other_sets_are_all_of_them_are_taken() -> None:
    model = planted()[0]
    three = [Site(0, "z", "all", head) for head in range(HEADS)]
    assert random_sets(three, full(model, three[:1]), 0) == ((three[1],), (three[2],))
    assert random_sets(three, full(model, three), 0) == ()


def test_a_claim_that_is_no_head_is_named() -> None:
    model, bound, parts = planted()
    for claim in ((Site(1, "resid_post", "last"),), (TELLER, Site(1, "resid_post", "last"))):
        with pytest.raises(InvalidSite, match=r"L1\.resid_post@last: the benchmark scores IOI on heads; claim sites"):
            report(model, bound, parts, "output_token", full(model, claim))


@pytest.mark.parametrize("name", ioi.SETS)
def test_rows_of_one_set_do_not_tell_token_from_position(name: str) -> None:
    model, bound, parts = planted()
    some = [one for one in parts["fit"] if one.family == name]
    with pytest.raises(InsufficientData, match="12 training pairs do not flip token and position apart; give rows of"):
        drain(fit(model, bound, (some, prompted.pairs_of(bound, some)), full(model, (TELLER,))))


def test_coefficients_have_intervals_that_count_a_base_once() -> None:
    """A constant's is that of a mean; a slope's, by hand, is that of the bases' own slopes."""
    rest, bases = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    constant = torch.ones(4, 1, dtype=torch.float64)
    for of in (bases, torch.arange(4)):
        error = Error.of(rest, of)
        assert half_widths(constant, rest, of).tolist() == pytest.approx([error.high - error.value])
    slope = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    # bases sum to -2 and -2: (4 + 4) x 2 / 1 over 4^2
    assert half_widths(slope, rest, bases).tolist() == pytest.approx([Z95])
    with pytest.raises(InsufficientData, match="two distinct bases at least; these 4 rows have 1"):
        half_widths(constant, rest, torch.zeros(4, dtype=torch.int64))


def test_names_that_begin_alike_are_counted() -> None:
    model, bound, parts = planted()
    found = report(model, bound, parts, "output_token", full(model, (TELLER, DIRECT)))
    assert found.alike == {form: {"fit": 0, "test": 0} for form in ("bare", "spaced")}
    one, *others = parts["test"]
    alike = replace(one, base={**one.base, "output_token": one.base["name_c"]})
    assert indistinct(bound, [alike, *others], " ") == 1


def test_an_interval_counts_a_base_once() -> None:
    """Deviations -3, -1, 1, 3 from 4: bases sum to -4 and 4, so that the variance is 32 x 2 / 1 and the error 8 / 4."""
    errors = torch.tensor([1.0, 3.0, 5.0, 7.0], dtype=torch.float64)
    found = Error.of(errors, torch.tensor([0, 0, 1, 1]))
    assert (found.value, found.n) == (4.0, 4)
    assert (found.low, found.high) == pytest.approx((4 - 2 * Z95, 4 + 2 * Z95))
    apart = Error.of(errors, torch.arange(4))
    assert apart.high - 4 == pytest.approx(Z95 * (20 * 4 / 3) ** 0.5 / 4)
    twice = Error.of(errors.repeat(2), torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4))
    assert (twice.value, twice.low, twice.n) == (apart.value, pytest.approx(apart.low), 8)  # the same bases in two sets
    # sets 1, 3, 5 and 7 have the means 3 and 7, whose mean is 5: bases move it by (-2 + 0) / 6, 0 and (2 + 0) / 6
    sets = Error.of(errors, torch.tensor([0, 1, 2, 0]), torch.tensor([0, 0, 0, 1]))
    assert (sets.value, sets.high - 5) == (5.0, pytest.approx(Z95 * (2 / 9 * 3 / 2) ** 0.5 / 1))
    with pytest.raises(InsufficientData, match="two distinct bases at least; these 4 pairs have 1"):
        Error.of(errors, torch.zeros(4, dtype=torch.int64))


# The effect-error signature


def heads_swept(sets: Sequence[str] = ioi.SETS) -> Sweep:
    model, bound, _ = planted()
    sites = [Site(layer, "z", "all", head) for layer, head in product(range(3), range(HEADS))]
    pairs = prompted.pairs_of(bound, drawn("book", sets))
    return drain(sweep(model, pairs, full(model, sites), {}))[1]


def test_effects_have_the_sizes_of_the_linear_model_and_errors_are_from_the_best_head() -> None:
    found = heads_swept()
    sizes = {name: dict(zip(found.sites, values.tolist(), strict=True)) for name, values in coefficients(found).items()}
    for site, token, position in (
        (DUPLICATE, 0, POSITION),
        (TELLER, 0, POSITION),
        (MOVER, POSITION, 0),
        (DIRECT, TOKEN, 0),
        (CONSTANT_HEAD, BIAS, 0),
        (Site(1, "z", "all", 2), 0, 0),
    ):
        assert sizes["output_token"][site] == pytest.approx(token, abs=1e-4), site
        assert sizes["output_position"][site] == pytest.approx(position, abs=1e-4), site
    table = costs(found, ("output_position", "output_token"), "effect_error")
    rows = zip(table.variables, table.cost.tolist(), strict=True)
    by_site = {name: dict(zip(found.sites, values, strict=True)) for name, values in rows}
    nothing = 2 / 3 * (2 * POSITION) ** 2
    for variable, sites in (("output_position", (DUPLICATE, TELLER)), ("output_token", (MOVER,))):
        for site, cost in by_site[variable].items():
            if site in sites:
                assert cost == pytest.approx(0.0, abs=1e-4)
            else:
                assert cost > 0.3 * nothing, site
    # a head that moves the token misses the position once, and does once what it should not
    assert by_site["output_position"][MOVER] == pytest.approx((4 * POSITION**2 + 0 + 4 * POSITION**2) / 3, abs=1e-3)
    assert by_site["output_position"][Site(1, "z", "all", 2)] == pytest.approx(nothing, abs=1e-3)


def test_effects_of_variables_that_change_together_have_no_sizes() -> None:
    with pytest.raises(InsufficientData, match=r"do not change .* apart from each other, .* give rows of all sets"):
        costs(heads_swept(("s2_io_flip",)), ("output_position",), "effect_error")


def test_heads_of_which_none_moves_the_answer_give_a_variable_no_size() -> None:
    found = heads_swept()
    idle = found.sites.index(Site(1, "z", "all", 2))
    some = replace(found, parts=found.parts[idle : idle + 1], outputs=found.outputs[idle : idle + 1])
    with pytest.raises(InsufficientData, match="no site's own effects move the answer as 'output_position' does on 36"):
        costs(some, ("output_position", "output_token"), "effect_error")
