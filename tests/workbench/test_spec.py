"""Specs: equal ones are the same run, their text round-trips, and what is wrong is refused with a hint."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import CorruptRun, InvalidSetting, UnknownName
from tests.workbench.conftest import CELL
from workbench import catalog
from workbench.kind import coerce
from workbench.spec import Cell, Spec, parse_assignments, parse_literal

pytestmark = pytest.mark.usefixtures("fakes")


def test_a_cell_is_its_text() -> None:
    assert str(Cell.parse(CELL)) == CELL
    assert Cell.parse("rasp.toy/compiled/right.wrong").variable == "right.wrong"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rasp.toy/compiled", "is no cell; write task/model/variable"),
        ("rasp.toi/compiled/left", "unknown task 'rasp.toi'. Did you mean 'rasp.toy'?"),
        ("toy/compiled/left", "unknown task 'toy'"),
        ("rasp.toy/compile/left", "unknown model 'compile'. Did you mean 'compiled'?"),
        ("rasp.toy/compiled/lift", "Did you mean 'left'? Known: left, left.wrong, right, right.wrong"),
    ],
)
def test_a_wrong_cell_is_refused(text: str, sentence: str) -> None:
    with pytest.raises((UnknownName, InvalidSetting)) as caught:
        Cell.parse(text)
    assert sentence in str(caught.value)


def test_defaults_are_written_out_so_that_equal_runs_are_equal() -> None:
    plain, spelled = (
        Spec.parse(CELL, "count"),
        Spec.parse(CELL, "count", settings={"pieces": 4, "part": {"rate": 0.25}}),
    )
    assert plain == spelled
    assert plain.id == spelled.id
    assert hash(plain) == hash(spelled)
    assert plain.settings["part"] == {"sizes": (1, 2), "rate": 0.25}  # the default of the part in this method


@given(
    pieces=st.integers(), pause=st.floats(allow_nan=False, allow_infinity=False), word=st.text(), seed=st.integers(0)
)
def test_a_spec_round_trips_through_text_and_json(pieces: int, pause: float, word: str, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "METHODS", "tests.workbench.fakes.methods")
        patch.setattr(catalog, "PROGRAMS", "tests.workbench.fakes.programs")
        given = {"pieces": pieces, "pause": pause, "trouble": word, "part": {"sizes": (pieces, 1)}}
        spec = Spec.parse(CELL, "count", settings=given, seed=seed)
        assert Spec.read(str(spec)) == spec
        assert Spec.from_record(json.loads(spec.canonical)) == spec
        assert Spec.from_record(json.loads(spec.canonical)).id == spec.id


def test_any_difference_is_another_run(spec: Spec) -> None:
    others = [
        Spec.parse("rasp.toy/compiled/right", "count"),
        Spec.parse(CELL, "count", seed=1),
        Spec.parse(CELL, "count", settings={"part": {"rate": 0.5}}),
    ]
    assert len({spec.id, *(other.id for other in others)}) == 4


def test_a_whole_number_is_a_float_where_one_is_wanted() -> None:
    assert Spec.parse(CELL, "count", settings={"pause": 1}) == Spec.parse(CELL, "count", settings={"pause": 1.0})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"piecs": 3},
            "count has no setting 'piecs'. Did you mean 'pieces'? Its settings: pieces (int), pause (float)",
        ),
        ({"pieces": "many"}, "count.pieces is 'many', but it must be int; write for example pieces=3"),
        ({"pieces": True}, "count.pieces is True, but it must be int"),
        ({"pieces": 1.5}, "count.pieces is 1.5, but it must be int"),
        ({"pause": float("nan")}, "count.pause is nan, but it must be float"),
        ({"part": 3}, "count.part is 3, but it holds settings of its own; write part.sizes=[1, 2]"),
        ({"part": {"size": 3}}, "count.part has no setting 'size'. Did you mean 'sizes'?"),
        ({"part": {"sizes": 3}}, "must be tuple[int, ...]; write for example part.sizes=[3]"),
        ({"part": {"sizes": ("a",)}}, "must be tuple[int, ...]"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Spec.parse(CELL, "count", settings=settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 1.0, True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    with pytest.raises(InvalidSetting, match="write a whole number from 0 on"):
        Spec.parse(CELL, "count", seed=seed)  # type: ignore[arg-type]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown method 'cuont'\. Did you mean 'count'"):
        Spec.parse(CELL, "cuont")


def test_assignments_nest_and_read_literals() -> None:
    given = [
        "part.sizes=[1, 2]",
        "part.rate=1e-3",
        "word=plain",
        "text='a b'",
        "flag=true",
        "hex=0x10",
        "none=null",
        "empty=",
    ]
    assert parse_assignments(given) == {
        "part": {"sizes": (1, 2), "rate": 0.001},
        "word": "plain",
        "text": "a b",
        "flag": True,
        "hex": 16,
        "none": None,
        "empty": "",
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["steps"], "sets nothing; write key=value"),
        (["=3"], "sets nothing"),
        (["a..b=3"], "sets nothing"),
        (["a=1", "a=2"], "'a' is set twice"),
        (["a=1", "a.b=2"], "both as a value and as a group"),
    ],
)
def test_a_wrong_assignment_is_refused(given: list[str], sentence: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_assignments(given)
    assert sentence in str(caught.value)


@given(st.text())
def test_any_text_is_a_literal_of_some_kind(text: str) -> None:
    parse_literal(text)


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        (3, "int | None", 3),
        (None, "int | None", None),
        ([1, 2.5], "tuple[int, float]", (1, 2.5)),
        ("b", "Literal['a', 'b']", "b"),
        ([[1], []], "tuple[tuple[int, ...], ...]", ((1,), ())),
    ],
)
def test_kinds_of_settings(value: object, kind: str, kept: object) -> None:
    assert coerce(value, kind, "m.s") == kept


@pytest.mark.parametrize(("value", "kind"), [([1], "tuple[int, int]"), ("c", "Literal['a', 'b']"), ("1", "int | None")])
def test_values_of_another_kind_are_refused(value: object, kind: str) -> None:
    with pytest.raises(InvalidSetting, match="but it must be"):
        coerce(value, kind, "m.s")


@pytest.mark.parametrize("record", [{}, [], {"cell": "a/b", "method": "m", "settings": {}, "seed": 0}, {"cell": 3}])
def test_a_record_that_is_no_spec_is_corrupt(record: object) -> None:
    with pytest.raises(CorruptRun, match="no spec"):
        Spec.from_record(record)


def test_a_stored_spec_is_readable_when_its_method_is_gone() -> None:
    spec = Spec.from_record({"cell": CELL, "method": "gone", "settings": {"a": {"b": [1]}}, "seed": 2})
    assert str(spec) == f"{CELL} gone --set 'a.b=[1]' --seed 2"
