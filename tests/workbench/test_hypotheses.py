"""Hypotheses as files and as values: what is kept byte by byte, edits in one verb, and what is answered about them."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import InvalidHypothesis, InvalidSetting, StoreError, UnknownName
from engines.hypothesis import Group, Hypothesis, InterpNode, Source
from engines.hypothesis_text import read, write
from workbench import catalog, hypothesis_edits, view
from workbench.hypotheses import Document, Hypotheses, comments, last_scrub
from workbench.hypothesizing import REQUESTS, Hypothesizing
from workbench.store import Store

TEXT = """# first of all
format = 1
subject = 'appendix.small_game'   # a game

# what is earned
[[node]]
name = "reward"
path = "reward"

# the model
# looks at this
[[ node ]]
name = 'model'  # inside
parent = "reward"
path = "reward <- model"
feature = ["claimed"]
  [[node.group]]
  path = "reward <- model.guess"
  source = "exact"

[[node]]
name = "setting"
parent = "model"
path = "reward <- model.setting <- setting"
# at the end
"""
CHANGES = {
    "feature": lambda one: hypothesis_edits.set_feature(one, "model", "bit, guess"),
    "rename": lambda one: hypothesis_edits.rename(one, "setting", "s"),
    "delete": lambda one: hypothesis_edits.delete(one, "setting"),
    "add": lambda one: hypothesis_edits.add_child(one, "reward", "reward.bit <- bit")[0],
    "map": lambda one: hypothesis_edits.set_paths(one, "setting", "reward <- model <- setting"),
}


@pytest.fixture(autouse=True)
def cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked cases of the tests."""
    monkeypatch.setattr(catalog, "DEMOS", "tests.workbench.fakes.demos")


def create(folder: Hypotheses, name: str, document: Document) -> None:
    """Save a new hypothesis."""
    folder.vacant(name)
    folder.save(name, document)


@pytest.fixture
def folder(tmp_path: Path) -> Hypotheses:
    """A folder with one hypothesis."""
    folder = Hypotheses(tmp_path / "hypotheses")
    create(folder, "game", Document.read(TEXT))
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_blocks_that_say_what_they_said_stay_as_they_were(name: str) -> None:
    document = Document.read(TEXT)
    changed = document.changed(CHANGES[name](document.hypothesis))
    assert read(changed.text) == changed.hypothesis != document.hypothesis
    assert changed.text.startswith(TEXT[: TEXT.index("[[ node ]]")])
    assert ("name = 'model'  # inside" in changed.text) is (name != "feature")
    assert ("# at the end" in changed.text) is (name not in ("rename", "delete", "map"))
    assert document.comments - changed.comments == {"feature": 1, "add": 0}.get(name, 1)


def test_what_is_not_changed_is_the_same_text_and_other_than_nodes_is_written_afresh() -> None:
    document = Document.read(TEXT)
    assert document.changed(document.hypothesis) is document
    assert (document.comments, document.inner, comments(TEXT)) == (7, 2, 7)
    other = document.changed(replace(document.hypothesis, subject="appendix.wrong"))
    assert other.text == write(other.hypothesis)
    assert comments('a = "#"\nb = """\n# none\n"""\nc = 1 # one\n') == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "tail", ["", "\n[data]\nlength = 4\n", '\n[[rewrite]]\nkind = "duplicate"\nnodes = ["model"]\n']
)
def test_a_changed_text_is_read_as_what_was_meant_wherever_tables_stand(end: str, tail: str) -> None:
    document = Document.read((TEXT + tail).replace("\n", end))
    for change in CHANGES.values():
        changed = document.changed(change(document.hypothesis))
        assert read(changed.text) == changed.hypothesis
        if not tail:
            assert changed.text.count("\n") == changed.text.count(end)


NAMES = st.sampled_from(["a", "b", 'c"d', "e\\f", "[[node]]", "g # h"])


@settings(max_examples=30)
@given(st.lists(NAMES, unique=True), st.lists(NAMES, unique=True))
def test_any_change_is_read_as_what_was_meant(before: list[str], after: list[str]) -> None:
    root = InterpNode("root", ("loss",))

    def tree(names: list[str]) -> Hypothesis:
        return Hypothesis("x", (root, *(InterpNode(name, (f"loss <- {name}",), "root", (name,)) for name in names)))

    document = Document.read("# top\n" + write(tree(before)).replace("[[node]]\nname", "# of\n[[node]]\nname"))
    changed = document.changed(tree(after))
    assert read(changed.text) == changed.hypothesis == tree(after)
    assert changed.changed(tree(before)).hypothesis == tree(before)


def test_edits_and_what_they_refuse() -> None:
    game = read(TEXT)
    grouped = hypothesis_edits.set_groups(game, "model", "reward <- model.guess; reward <- model.setting by zero")
    assert grouped.node("model").groups == (
        Group(("reward <- model.guess", "reward <- model.setting"), Source("zero")),
    )
    assert hypothesis_edits.set_groups(game, "model", hypothesis_edits.groups_text(grouped.node("model"))) == grouped
    assert hypothesis_edits.set_groups(game, "model", " ").node("model").groups == ()
    moved = hypothesis_edits.set_paths(game, "model", "reward.answer <- model")
    assert moved.node("setting").paths == ("reward.answer <- model.setting <- setting",)
    assert moved.node("model").groups[0].paths == ("reward.answer <- model.guess",)
    assert hypothesis_edits.set_draw(game, "setting", "").node("setting").draw == Source("agree")
    assert hypothesis_edits.set_other(game, "model", "mean_by:bit").node("model").other == Source("mean_by", "bit")
    assert hypothesis_edits.set_via(game, "model", "mlp head").node("model").via == ("mlp", "head")
    twice, name = hypothesis_edits.add_child(game, "model", "reward <- model.guess <- setting")
    assert (name, [one.name for one in twice.nodes][-1]) == ("setting.2", "setting.2")
    assert [one.name for one in hypothesis_edits.bare(game).nodes] == ["reward"]
    assert [one.name for one in hypothesis_edits.delete(game, "model").nodes] == ["reward"]
    for refused, sentence in (
        (lambda: hypothesis_edits.set_groups(game, "model", "reward"), "is no group; write PATH by SOURCE"),
        (lambda: hypothesis_edits.set_other(game, "model", "some"), "'some' is no source; write one of resample"),
        (lambda: hypothesis_edits.set_draw(game, "model", "fixed:1"), "such a draw keeps no feature"),
        (lambda: hypothesis_edits.set_paths(game, "model", ";"), "no path is given"),
        (lambda: hypothesis_edits.rename(game, "model", "setting"), "there is a node 'setting' already"),
        (lambda: hypothesis_edits.rename(game, "model", " "), "must have a name"),
        (lambda: hypothesis_edits.delete(game, "reward"), "is the root, which stands for the output"),
        (lambda: hypothesis_edits.add_child(game, "none", "reward"), "the tree has no node 'none'"),
    ):
        with pytest.raises(InvalidHypothesis, match=sentence):
            refused()


def test_a_folder_of_hypotheses(folder: Hypotheses) -> None:
    assert folder.content("game").decode() == TEXT
    folder.copy("game", "twin")
    (folder.root / "bad.toml").write_bytes(b"\xff")
    (folder.root / "no name.toml").write_text(TEXT)
    changed = folder.read("game").changed(CHANGES["delete"](folder.read("game").hypothesis))
    folder.keep("game", changed)
    bad, game, twin = folder.listing()
    assert (bad.name, bad.is_draft) == ("bad", False)
    assert "is no UTF-8 text" in bad.trouble
    assert (game.subject, game.nodes, game.is_draft, game.trouble) == ("appendix.small_game", 3, True, "")
    assert (twin.nodes, twin.is_draft) == (3, False)
    assert folder.read_draft("game") == changed
    folder.save("game", changed)
    assert (folder.read("game").text, folder.read_draft("game")) == (changed.text, None)
    places = [folder.delete("twin"), folder.copy("game", "twin") or folder.delete("twin")]
    assert len({place.read_bytes() for place in places}) == len(set(places)) == 2
    assert folder.names == ("bad", "game")
    for refused, sentence in (
        (lambda: folder.copy("game", "game"), "there is a hypothesis 'game' already"),
        (lambda: folder.read("gone"), "there is no hypothesis 'gone' in .*; there are: bad, game"),
        (lambda: folder.file("../game"), "'../game' is no name of a hypothesis"),
        (lambda: folder.truth_command("game", "rasp.sort"), "already"),
    ):
        with pytest.raises(StoreError, match=sentence):
            refused()
    assert folder.truth_command("new", "rasp.sort")[1:] == [
        *("-m", "workbench", "hypothesis", "from-truth", "rasp.sort", "-o"),
        str(folder.root / "new.toml"),
    ]


def test_an_unwritable_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        create(Hypotheses(tmp_path / "file" / "in it"), "game", Document.read(TEXT))


def test_what_is_asked_about_a_hypothesis() -> None:
    asked, text = Hypothesizing("appendix.small_game"), write(read(TEXT))
    subject = asked.ask("subject", {"toml": text})
    assert (subject["n"], subject["output"], subject["labels"]) == (8, "reward", ["bit", "setting"])
    assert {one["name"]: one["classes"] for one in subject["features"]} == {
        "guess": 2, "bit": 2, "setting": 2, "claimed": 2, "output": 3, "right": 2, "datum": 8,
    }  # fmt: skip
    assert [one["ports"] for one in subject["nodes"] if one["name"] == "model"] == [
        {"guess": ["guess"], "setting": ["setting"]}
    ]
    checked = asked.ask("check", {"toml": text, "row": 9, "seed": 2})
    assert checked["admissible"]
    assert checked["nodes"][0]["after"]["row"] == 1  # rows begin anew after the last
    model = checked["nodes"][1]
    assert model["vacuity"]["classes"] == 2
    ((name, before, after),) = model["values"]
    assert (name, before) == ("claimed", after)
    plan = asked.ask("plan", {"toml": text})
    assert (plan["plan"], plan["samples"], plan["copies"]) == ({"exact": True, "seed": 0}, None, checked["copies"])
    assert plan["rows"] > 0
    drawn = asked.ask("draw", {"toml": text})["lines"]
    assert (drawn[0], drawn[1]) == ("reference 0: guess=0 bit=0 setting=EASY", "reward")
    rewritten = text + '\n[[rewrite]]\nkind = "merge"\nnodes = ["nowhere", "model"]\nname = "x"\n'
    told = asked.ask("subject", {"toml": rewritten})
    assert "unknown node" in told["trouble"]
    assert told["nodes"] == subject["nodes"]


def test_too_many_runs_to_enumerate_are_planned_as_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.hypothesizing.QUICK", 3)
    plan = Hypothesizing("appendix.small_game").ask("plan", {"toml": write(read(TEXT))})
    assert (plan["plan"], plan["rows"]) == ({"samples": 4000, "seed": 0}, None)
    assert "exact enumeration needs" in plan["why"]
    assert 0 < plan["error"] < 0.2
    assert plan["seconds"] > 0


@pytest.mark.parametrize(
    ("request_", "given", "kind", "sentence"),
    [
        ("chek", {}, UnknownName, "unknown request 'chek'"),
        ("check", {}, InvalidSetting, "check needs 'toml'; check takes: toml, row, seed"),
        ("check", {"toml": 3}, InvalidSetting, "toml is 3; write text"),
        ("check", {"toml": TEXT, "row": "x"}, InvalidSetting, "row is 'x'; write a number"),
        ("plan", {"toml": TEXT, "row": 1}, InvalidSetting, "plan has no parameter 'row'"),
        ("plan", {"toml": TEXT.replace("small_game", "wrong")}, InvalidSetting, "is about appendix.wrong"),
        ("plan", {"toml": TEXT.replace('["claimed"]', '"x"')}, UnknownName, "unknown feature"),
        ("check", {"toml": "x"}, InvalidHypothesis, "is no TOML"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    request_: str, given: dict[str, object], kind: type[Exception], sentence: str
) -> None:
    assert set(REQUESTS) == {"subject", "check", "plan", "draw"}
    with pytest.raises(kind, match=sentence):
        Hypothesizing("appendix.small_game").ask(request_, given)


def test_views_tell_of_drafts_and_of_what_cannot_be_read(own_home: Path) -> None:
    store = Store(own_home / "runs")
    folder = Hypotheses.of(store)
    create(folder, "game", Document.read(TEXT))
    folder.keep("game", folder.read("game").changed(CHANGES["feature"](read(TEXT))))
    (folder.root / "bad.toml").write_text("format = 2")
    shown = view.build("hypothesis:game", store, {})
    assert "agree on bit, guess" in shown.text
    assert "!!  what is drawn" not in shown.text
    assert "plan: " in shown.text
    assert shown.notes == ("these are changes that were not saved; --set draft=false shows what is saved",)
    assert shown.record["plan"]["copies"] == shown.record["copies"]
    saved = view.build("hypothesis:game", store, {"draft": "false", "row": "3"})
    assert "agree on claimed" in saved.text
    assert "reference 3" in saved.text
    listed = view.build("hypotheses", store, {})
    assert [one["hypothesis"] for one in listed.record] == ["bad", "game"]
    assert "this version reads format 1" in listed.notes[0]
    assert "cannot be read" in listed.text
    assert last_scrub(store, read(TEXT)) is None
