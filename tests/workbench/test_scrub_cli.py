"""The commands of causal scrubbing word by word: reports, lists and mistakes; stored and new results are one."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from engines.hypothesis_text import read
from tests.conftest import Golden
from tests.workbench.test_cli import transcript
from workbench import catalog, provenance, scrub_text
from workbench.cli import main
from workbench.scrubs import Scrubs, checksum
from workbench.store import Store

HELP = ["scrub", "hypothesis check", "hypothesis draw", "hypothesis from-truth", "hypothesis join", "adversary", "demo"]
GAME = """format = 1
subject = "appendix.small_game"

[[node]]
name = "reward"
path = "reward"

[[node]]
name = "model"
parent = "reward"
path = "reward <- model"
feature = "claimed"
"""
PATCHED = GAME.replace(
    'feature = "claimed"', 'draw = "fixed:1"\n\n[[node.group]]\npath = "reward <- model.guess"\nsource = "resample"'
)
INCONSISTENT = (
    GAME
    + """
[[node]]
name = "setting"
parent = "model"
path = "reward <- model.setting <- setting"
feature = "setting"
"""
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal of 80 columns, in a folder with hypotheses; the same code version always."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(provenance, "source", lambda: "0123456789abcdef")
    monkeypatch.setattr(catalog, "PROGRAMS", "tests.workbench.fakes.programs")
    monkeypatch.setattr(catalog, "DEMOS", "tests.workbench.fakes.demos")
    monkeypatch.chdir(tmp_path)
    for name, text in {"game": GAME, "patched": PATCHED, "inconsistent": INCONSISTENT}.items():
        Path(f"{name}.toml").write_text(text)


@pytest.fixture
def scrubs(own_home: Path) -> Scrubs:
    """The folder of scrubs that commands use when no store is named."""
    return Scrubs(own_home / "scrubs")


def record(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints with ``--json``."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_help(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    golden.check("scrub_help.txt", transcript([f"{command} --help" for command in HELP], capsys, own_home))


def test_a_claim_from_file_to_report(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    commands = [
        "ls scrubs",
        "hypothesis from-truth appendix.small_game",
        "hypothesis check game.toml",
        "hypothesis draw game.toml --datum 1",
        "scrub game.toml --slice setting --slice bit",
        "scrub game.toml --slice setting --slice bit",
        "scrub game.toml --slice setting --slice bit --no-ablations --samples 400 --seed 3",
        "scrub patched.toml --exact",
        "hypothesis check inconsistent.toml",
        "scrub inconsistent.toml --no-ablations",
        "ls scrubs",
    ]
    words = transcript(commands, capsys, own_home)
    golden.check("scrub_report.txt", words)
    assert all(len(line) <= scrub_text.WIDTH or line.startswith("$") for line in words.splitlines())


def test_every_line_of_the_demos_fits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "DEMOS", "engines.appendix")
    for command in ("ls demos", "demo scrub-easy-hard", "demo scrub-polysemantic"):
        assert main(command.split()) == 0
        long = [line for line in capsys.readouterr().out.splitlines() if len(line) > scrub_text.WIDTH]
        assert not long


MISTAKES = {
    "scrub nowhere.toml": 2,
    "scrub": 2,
    "scrub broken.toml": 2,
    "scrub latin.toml": 2,
    "scrub game.toml --exact --samples 5": 2,
    "scrub game.toml --samples 1": 2,
    "scrub game.toml --slice settin": 2,
    "scrub game.toml --exact --budget 3": 1,
    "scrub stranger.toml": 2,
    "scrub program.toml": 2,
    "scrub options.toml": 2,
    "scrub typed.toml": 2,
    "scrub rung.toml": 2,
    "hypothesis check clash.toml": 2,
    "hypothesis draw game.toml --datum 8": 2,
    "hypothesis from-truth rasp.toi": 2,
    "hypothesis from-truth appendix.small": 2,
    "hypothesis from-truth appendix.small_game --wrong": 2,
    "hypothesis from-truth appendix.small_game -o nowhere/a.toml": 2,
    "hypothesis from-truth appendix.small_game -o .": 2,
    "hypothesis join game.toml program.toml": 2,
    "adversary game.toml --features setting,bitt": 2,
    "demo scrub-small-gome": 2,
    "show ffff": 3,
}


def test_mistakes(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    for name, (old, new) in {
        "broken": ("parent =", "parent"),
        "stranger": ("appendix.small_game", "appendix.small_gome"),
        "program": ("appendix.small_game", "rasp.toi"),
        "options": ('game"\n', 'game"\n[data]\nlength = 3\n'),
        "typed": ('appendix.small_game"\n', 'rasp.toy"\n[data]\nlength = "3"\n'),
        "rung": ("appendix.small_game", "rasp.toy/rotatd"),
        "clash": ('feature = "claimed"\n', '\n[[node]]\nname = "again"\nparent = "reward"\npath = "reward <- model"\n'),
    }.items():
        assert old in GAME
        Path(f"{name}.toml").write_text(GAME.replace(old, new))
    Path("latin.toml").write_bytes("subject = 'é'".encode("latin-1"))
    for command, code in MISTAKES.items():
        assert main(command.split()) == code, command
        capsys.readouterr()
    shown = [command for command in MISTAKES if not any(word in command for word in ("--budget", "join"))]
    words = transcript(shown, capsys, own_home)
    told = ("! building", "! plain run", "! enumeration", "! baselines")
    golden.check("scrub_mistakes.txt", "".join(f"{line}\n" for line in words.splitlines() if not line.startswith(told)))


def test_a_record_is_complete(capsys: pytest.CaptureFixture[str], scrubs: Scrubs) -> None:
    found = record(capsys, "scrub", "game.toml", "--slice", "setting")
    assert set(found) == {
        "format", "id", "subject", "behaviour", "plan", "exact", "samples", "seed", "total", "slices", "distances",
        "ablations", "constant", "entropy", "nodes", "inconsistencies", "warnings", "evaluations", "hashes",
        "histogram", "hypothesis", "versions", "source", "values", "checksum", "examples",
    }  # fmt: skip
    assert found["total"]["recovered"]["exact"] == "30/11"
    assert {name: found["total"][name]["exact"] for name in ("original", "randomised", "constant", "scrubbed")} == {
        "original": "1/4",
        "randomised": "-9/8",
        "constant": "0",
        "scrubbed": "21/8",
    }
    assert [one["losses"]["scrubbed"]["exact"] for one in found["slices"]] == ["1/4", "5"]
    assert set(found["total"]["scrubbed"]) == {"value", "exact", "error", "low", "high"}
    changed = [(one["row"], one["change"]) for one in found["slices"][1]["examples"]["most"]]
    assert changed == [(1, 5.0), (3, 5.0), (5, 5.0), (7, 5.0)]
    assert found["examples"]["n"] == 8
    assert found["examples"]["most"][4] == {"row": 0, "shown": "guess=0 bit=0 setting=EASY", "change": -1.0}
    assert found["entropy"] == {"bits": 5.0, "copies": 2, "datum": 3.0, "withheld": 1.0}
    assert set(found["nodes"][0]) >= {"node", "classes", "mean_size", "singletons", "itself"}
    assert set(found["ablations"]) == {"zero", "mean", "resample"}
    assert found["plan"]["slices"] == ["setting"]
    assert set(found["hashes"]) == {"hypothesis", "graph", "data"}
    assert "torch" in found["versions"]
    folder = scrubs.root / found["id"]
    assert {file.name for file in folder.iterdir()} == {"hypothesis.toml", "values.safetensors", "result.json"}
    assert read((folder / "hypothesis.toml").read_text()).digest() == found["hashes"]["hypothesis"]
    values = load_file(folder / "values.safetensors")
    assert values["references"].tolist() == list(range(8))
    assert np.histogram(values["changes"], bins=21)[0].tolist() == found["histogram"]["counts"]
    assert float(values["changes"].mean()) == pytest.approx(float(Fraction(21, 8) - Fraction(1, 4)))


def test_a_stored_scrub_is_shown_byte_by_byte_and_not_run_again(
    capsys: pytest.CaptureFixture[str], scrubs: Scrubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(*arguments: str) -> tuple[str, str]:
        assert main(list(arguments)) == 0
        return capsys.readouterr()

    asked = ("scrub", "game.toml", "--samples", "200", "--seed", "4")
    first, _ = out(*asked)
    (name,) = scrubs.ids
    written = (scrubs.root / name / "result.json").read_bytes()
    assert out("show", name[:5])[0] == first
    again, told = out(*asked, "--again")
    assert again == first
    assert "finished before" not in told
    assert (scrubs.root / name / "result.json").read_bytes() == written
    assert json.loads(out("show", name, "--json")[0]) == json.loads(written)
    monkeypatch.setattr("workbench.scrubbing.scrub", None)
    stored, told = out(*asked)
    assert stored == first
    assert "finished before; --again computes it afresh" in told
    for other in (("--seed", "5"), ("--samples", "201"), ("--slice", "bit")):
        with pytest.raises(TypeError, match="not callable"):  # it would be run
            main([*asked, *other])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[:-30], "is no JSON"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "has format 9, this version reads 1"),
        (lambda _: "[]", "has format None"),
        (lambda text: text.replace('"seed": 0', '"seed": 1', 1), "is not as it was written: its checksum is another"),
    ],
)
def test_a_damaged_result_is_named(
    damage: Any, sentence: str, capsys: pytest.CaptureFixture[str], scrubs: Scrubs
) -> None:
    assert main(["scrub", "game.toml"]) == 0
    whole = capsys.readouterr().out
    (name,) = scrubs.ids
    file = scrubs.root / name / "result.json"
    file.write_text(damage(file.read_text()))
    assert main(["ls", "scrubs"]) == 0
    told = f"1 scrubs cannot be read and are not listed: {name}; see 'workbench show ID'\n"
    assert capsys.readouterr().err == told
    for command in (["show", name], ["scrub", "game.toml"]):
        assert main(command) == 3
        told = capsys.readouterr().err
        assert f"workbench: {file} {sentence}" in told
        assert told.endswith("scrub its hypothesis.toml with --again\n")
    assert main(["scrub", "game.toml", "--again"]) == 0
    assert capsys.readouterr().out == whole
    found = scrubs.record(name)
    assert found is not None
    assert found["checksum"] == checksum(found)


def test_a_store_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["scrub", "game.toml", "--store", str(tmp_path / "mine" / "runs")]) == 0
    assert len(Scrubs(Store(tmp_path / "mine" / "runs").scrubs).ids) == 1
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert main(["scrub", "game.toml", "--store", str(tmp_path / "file" / "runs")]) == 3
    assert "cannot write" in capsys.readouterr().err


def test_undefined_is_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scrub", "game.toml"]) == 0
    found = Scrubs(Store.default().scrubs)
    (name,) = found.ids
    stored = found.record(name)
    assert stored is not None
    stored["total"] |= {"recovered": None, "against_constant": None}
    assert re.search(
        r"^recovered +undefined  -\nagainst the constant +undefined  -$", scrub_text.report(stored), re.MULTILINE
    )
    capsys.readouterr()


def test_what_is_not_finite_or_negative_is_said() -> None:
    estimate = {"value": -0.5, "exact": None, "error": 0.1, "low": -0.7, "high": "inf"}
    losses = dict.fromkeys(
        ("original", "randomised", "constant", "scrubbed", "recovered", "against_constant"), estimate
    )
    total = {"n": 1, "share": 1.0, **losses}
    found = {
        "id": "x", "subject": "s", "exact": False, "samples": 2, "seed": 0, "evaluations": 3, "source": "0" * 16,
        "behaviour": {"output": "loss", "reward": False}, "total": total, "constant": "c", "distances": {},
        "slices": [{"feature": "a" * 90, "value": "b", "losses": total}], "entropy": None, "nodes": [],
        "ablations": {"zero": "'a' is no number", "resample": {**estimate, "high": -0.3}}, "inconsistencies": [],
        "warnings": ["\x1b[31m"], "hashes": {"hypothesis": "0" * 64},
        "histogram": {"counts": [3], "edges": [-1e-12, 0.0]},
    }  # fmt: skip
    words = scrub_text.report(found)
    for part in (
        "[-70.0 %, inf]",
        "unknown",
        "less original: none by more than 1e-12",
        "zero: 'a' is no number",
        "nothing is drawn",
        "warning: recovered is negative (-50.0 %): the scrubbed outputs are worse",
        "to see what the swaps let through: workbench adversary HYPOTHESIS",
        "warning: \\x1b[31m",
    ):
        assert part in words
    assert "\x1b" not in words
    assert max(map(len, words.splitlines())) <= scrub_text.WIDTH


def test_check_and_draw_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    checked = record(capsys, "hypothesis", "check", "inconsistent.toml")
    assert set(checked) == {"subject", "admissible", "n", "copies", "nodes", "inconsistencies", "hashes"}
    (found,) = checked["inconsistencies"]
    assert set(found) == {"node", "feature", "inputs", "first", "second"}
    assert set(found["first"]) == {"row", "shown"}
    root, model = record(capsys, "hypothesis", "draw", "game.toml", "--seed", "2")
    assert set(root) == {"name", "parent", "steps", "feature", "draw", "via", "vacuity", "before", "after", "rest"}
    assert (root["before"], model["before"]["row"], model["vacuity"]["itself"]) == (None, 0, 0.25)


def test_the_truth_of_a_program_is_written_and_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "PROGRAMS", "tracr_bridge.programs")
    assert main(["hypothesis", "from-truth", "rasp.reverse/rotated", "-o", "true.toml"]) == 0
    assert "wrote true.toml: 10 nodes; try it: workbench scrub true.toml" in capsys.readouterr().err
    assert main(["hypothesis", "from-truth", "rasp.reverse", "-o", "true.toml"]) == 2
    assert "true.toml is there and holds something else" in capsys.readouterr().err
    checked = record(capsys, "hypothesis", "check", "true.toml")
    assert (checked["subject"], checked["inconsistencies"]) == ("rasp.reverse/rotated", [])
    false = record(capsys, "hypothesis", "from-truth", "rasp.reverse", "--wrong", "-o", "false.toml")
    assert set(false) == {"subject", "digest", "nodes", "toml", "file"}
    assert Path("false.toml").read_text() == false["toml"]
    assert read(false["toml"]).data == (("length", 5), ("limit", 1000), ("seed", 0))
    assert '~"' in false["toml"]


def test_demos(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    golden.check(
        "scrub_demos.txt", transcript(["ls demos", "demo scrub-small-game", "demo scrub-wrong"], capsys, own_home)
    )
    listed = record(capsys, "demo")
    assert listed == record(capsys, "ls", "demos")
    assert all(set(one) == {"name", "file", "title", "summary"} for one in listed)
    found = record(capsys, "demo", "scrub-small-game")
    assert set(found) == {"name", "title", "summary", "story", "agrees", "rows"}
    assert found["agrees"] is True
    assert set(found["rows"][0]) == {"label", "quantity", "measured", "expected", "agrees"}
    assert main(["demo", "scrub-wrong", "--json"]) == 1


def test_adversary(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    commands = [
        "adversary game.toml --slice setting",
        "adversary game.toml --features right --eps 0.1",
        "adversary game.toml --injective --top 2 --samples 2000",
    ]
    golden.check("scrub_adversary.txt", transcript(commands, capsys, own_home))
    found = record(capsys, "adversary", "game.toml", "--slice", "setting", "--features", "setting,right")
    assert set(found) >= {"verdict", "comprehensive", "critical", "ranked", "scrubbed", "features", "nodes", "samples"}
    assert set(found["ranked"][0]) == {"feature", "nodes", "bits", "changes", "strongest", "per_bit"}
    assert [one["feature"] for one in found["ranked"]] == ["setting", "right"]


def test_join(capsys: pytest.CaptureFixture[str]) -> None:
    Path("setting.toml").write_text(GAME.replace('"claimed"', '"setting"'))
    found = record(capsys, "hypothesis", "join", "game.toml", "setting.toml", "-o", "both.toml")
    assert Path("both.toml").read_text() == found["toml"]
    assert record(capsys, "scrub", "both.toml")["total"]["recovered"]["exact"] == "1"
