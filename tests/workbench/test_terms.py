"""Terms of a language model's run: how they are written, what is refused, and that they are part of a run's name."""

import json

import pytest

from engines.errors import CorruptRun, InvalidSetting
from workbench.spec import Spec
from workbench.terms import DTYPE, GENERATED, PUBLISHED, Terms

SVA, MCQA, CELL = "lm.sva", "mib.mcqa", "lm.sva/smollm2/number"


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DTYPE, raising=False)


def test_default_terms_leave_a_run_its_name() -> None:
    plain = Spec.parse(CELL, "full_swap")
    assert list(plain.record) == ["cell", "method", "settings", "seed"]
    assert plain.canonical == f'{{"cell":"{CELL}","method":"full_swap","seed":0,"settings":{{}}}}'
    for rows in ("", "fit=96", "fit=96, calibration=64,test=128"):
        terms = Terms.asked(SVA, "smollm2", rows=rows, dtype="float32")  # smollm2 runs in float32 anyhow
        assert terms == Terms()
        assert Spec.parse(CELL, "full_swap", terms=terms).id == plain.id
    assert [Terms().count(SVA, part) for part in GENERATED] == [96, 64, 128]
    assert [Terms().count(MCQA, part) for part in PUBLISHED] == [512, 256, None]
    assert Terms.asked(MCQA, "qwen2.5", rows="test=all") == Terms()


@pytest.mark.parametrize(
    ("rows", "dtype", "flags"),
    [
        ("48", "", " --rows fit=48,calibration=48,test=48"),
        ("test=200,fit=96", "", " --rows test=200"),
        ("", "bfloat16", " --dtype bfloat16"),
        ("64", "float16", " --rows fit=64,test=64 --dtype float16"),
    ],
)
def test_other_terms_are_another_run_and_round_trip(rows: str, dtype: str, flags: str) -> None:
    terms = Terms.asked(SVA, "smollm2", rows=rows, dtype=dtype)
    assert terms.flags == flags
    spec = Spec.parse(CELL, "full_swap", terms=terms)
    assert spec.id != Spec.parse(CELL, "full_swap").id
    assert Spec.read(str(spec)) == spec
    trained = Spec.parse(CELL, "das", settings={"sites": ["L0.resid_post@last"], "steps": 7}, terms=terms)
    assert spec.besides == flags.strip()  # lists of runs tell it from one with default terms
    assert trained.besides == " ".join((*trained.changes(), flags.strip()))
    assert "steps=7" in trained.besides
    assert Spec.from_record(json.loads(spec.canonical)) == spec


@pytest.mark.parametrize(
    ("rows", "dtype", "sentence"),
    [
        ("some", "", r"rows 'some': 'some' is no number of rows; a part takes 8 to 1,000,000, since 8 rows of each"),
        ("7", "", "'7' is no number of rows"),
        ("fit=-3", "", "'-3' is no number of rows"),
        ("train=9", "", "'train=9' counts no part; the parts are fit, calibration, test: write --rows 48, or --rows f"),
        ("fit=9,,test=9", "", "'' counts no part"),
        ("fit=9,fit=10", "", "fit is counted twice"),
        ("test=all", "", "the rows of lm.sva are generated, and there is no end of them; give a number"),
        ("", "int8", "dtype 'int8' is not known; models run in float32, bfloat16, float16"),
    ],
)
def test_bad_terms_are_refused(rows: str, dtype: str, sentence: str) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        Terms.asked(SVA, "smollm2", rows=rows, dtype=dtype)


def test_terms_are_for_language_models(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match=r"--rows 48 is for tasks of language models; rasp\.sort is none"):
        Terms.asked("rasp.sort", "compiled", rows="48")
    monkeypatch.setenv(DTYPE, "bfloat16")
    assert Terms.asked("rasp.sort", "compiled") == Terms()
    assert Terms.asked(SVA, "smollm2").dtype == "bfloat16"
    assert Terms.asked(SVA, "smollm2", dtype="float32").dtype == ""
    assert Spec.read(f"{CELL} full_swap --seed 0").terms == Terms()  # a text says all there is to say
    # a model that does not run in float32 anyhow is asked for it by name
    assert Terms.asked(SVA, "gemma2", dtype="float32").dtype == "float32"


@pytest.mark.parametrize("terms", [{"rows": 3}, {"rows": {"fit": "few"}}, {"rows": {"more": 9}}, {"dtype": 3}])
def test_terms_that_are_none_are_a_corrupt_run(terms: dict[str, object]) -> None:
    with pytest.raises(CorruptRun, match="no spec: its"):
        Spec.from_record({**Spec.parse(CELL, "full_swap").record, **terms})
