"""A site and its text are one: parse(str(site)) == site, and wrong text says what to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import InvalidSite
from engines.site import HEAD, MLP, RESIDUAL, Site

SPANS = st.none() | st.tuples(st.integers(0, 40), st.integers(1, 40)).map(lambda pair: (pair[0], pair[0] + pair[1]))
POSITIONS = st.sampled_from(["last", "all", "t0", "t12", "target", "correct_symbol"])
LAYERS = st.integers(0, 99)
SITES = st.one_of(
    st.builds(Site, LAYERS, st.sampled_from(RESIDUAL + MLP), POSITIONS, st.none(), SPANS),
    st.builds(Site, LAYERS, st.sampled_from(HEAD), POSITIONS, st.integers(0, 31), SPANS),
    st.builds(Site, st.none(), st.just("embed"), POSITIONS, st.none(), SPANS),
)


@given(SITES)
def test_round_trip(site: Site) -> None:
    assert Site.parse(str(site)) == site


@given(SITES, SITES)
def test_order_and_text_tell_the_same_sites_apart(one: Site, other: Site) -> None:
    assert (one.order() == other.order()) == (one == other) == (str(one) == str(other))


@pytest.mark.parametrize(
    "text",
    [
        "L12.resid_post@last",
        "L9.head11.z@all",
        "L3.mlp.neuron17@last",
        "L0.state@t2",
        "L1.resid_post[4:10]@target",
        "embed@last",
    ],
)
def test_the_documented_forms(text: str) -> None:
    assert str(Site.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("L3@x", "is no site; write for example"),
        ("L3.resid_pots@last", "unknown component 'resid_pots'; known: resid_pre"),
        ("resid_post@last", "only 'embed' has no layer"),
        ("L1.z@last", "need a head"),
        ("L1.resid_post[5:5]@last", "is empty or negative"),
        ("L1.mlp.neuron3[0:1]@last", "a neuron has no span"),
        ("L1.resid_post.post@last", "is no site"),
        ("L1.resid_post", "is no site"),
    ],
)
def test_wrong_text_says_what_to_write(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSite, match=sentence.replace("[", r"\[")):
        Site.parse(text)
