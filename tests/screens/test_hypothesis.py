"""The editor of hypotheses: rules, changes and files under keys; its answers are those of the real process, in this
one."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from textual import events

from engines.errors import WorkbenchError
from tests.conftest import Golden
from tests.screens.hands import ASCII, FULL, SIZES, Hands, Played, opened
from workbench import catalog, screens, scrub_jobs
from workbench.hypotheses import Hypotheses
from workbench.hypothesizing import Hypothesizing
from workbench.scrubs import Scrubs
from workbench.store import Store

CLAIM = """# about two layers
format = 1
subject = "appendix.layers"

# the output
[[node]]
name = "root"
path = "loss"

[[node]]
name = "a"  # the upper
parent = "root"
path = "loss <- top"
feature = "parity"

# below
[[node]]
name = "low"
parent = "a"
path = "loss <- top <- low"
feature = "parity"
"""
ADDRESS = "hypothesis:claim"
pytestmark = pytest.mark.usefixtures("asked")


class Asked(Played):
    """A client whose server is in this process."""

    known: dict[str, Hypothesizing]

    async def request(self, request: str, **params: Any) -> Any:
        """The answer, or the refusal."""
        type(self).asked.append((request, params))
        if self.dies:
            self.become("cold")
            raise WorkbenchError("the model server has ended; ask again, and it is started anew")
        self.become("warm")
        if self.held is not None:
            await self.held.wait()
        name = self.cell.name  # type: ignore[attr-defined]  # a subject
        return self.known.setdefault(name, Hypothesizing(name)).ask(request, params)

    def again(self) -> None:
        """Nothing holds the next server back."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> type[Asked]:
    """The client in this process, and worked cases of our own."""
    kind = type("Fresh", (Asked,), {"asked": [], "known": {}})
    monkeypatch.setattr("workbench.screens.inspecting.Client", kind)
    monkeypatch.setattr(catalog, "DEMOS", "tests.screens.cases")
    monkeypatch.setattr("workbench.screens.hypothesis.LATER", 0.0)
    return kind


@pytest.fixture
def store(own_home: Path) -> Store:
    """A store with one hypothesis beside it."""
    store = Store(own_home / "runs")
    write(store, CLAIM)
    return store


def write(store: Store, text: str, name: str = "claim") -> Path:
    """Write a hypothesis as another program would."""
    file = Hypotheses.of(store).file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


async def type_in(hands: Hands, text: str) -> None:
    """Replace what stands in the prompt, and mean it."""
    await hands.press("ctrl+u")
    hands.app.focused.post_message(events.Paste(text))
    await hands.pilot.pause()
    await hands.press("enter")


@pytest.mark.parametrize("size", SIZES)
def test_each_pane(size: str, store: Store, golden: Golden) -> None:
    async def main() -> None:
        async with opened(store, ADDRESS, SIZES[size], FULL if size == "120x40" else ASCII, node="a") as hands:
            texts = [hands.picture]
            for _ in range(2 if size == "80x24" else 0):
                await hands.press("w")
                texts.append(hands.picture)
            await hands.press(*"w" * (size == "80x24"), "p")
            texts.append(hands.picture)
            await hands.press("escape", "t")
            texts.append(hands.picture)
            golden.check(f"screens/hypothesis_{size}.txt", "\n".join(texts))

    asyncio.run(main())


NODE = '[[node]]\nname = "b"\nparent = "root"\npath = "%s"\n'
LOW = CLAIM[CLAIM.index("# below") :]
RULES = {
    "tree": (CLAIM.replace('parent = "a"\n', ""), "the tree has 2 roots (root, low); exactly one node has no parent"),
    "rewrites": (
        CLAIM.replace("# the output", '[[rewrite]]\nkind = "duplicate"\nnodes = ["nowhere"]\n'),
        "unknown node of two layers 'nowhere'",
    ),
    "output": (
        CLAIM[: CLAIM.index('[[node]]\nname = "a"')].replace('"loss"', '"top"'),
        "the root 'root' stands for 'top'; it must stand for the output",
    ),
    "paths": (CLAIM + NODE % "loss <- low", "node 'b': path 'loss <- low' breaks off: loss does not read low"),
    "below": (
        CLAIM.replace("loss <- top <- low", "loss <- mid"),
        "node 'low' (loss <- mid) is not below its parent 'a'",
    ),
    "once": (CLAIM + NODE % "loss <- top", "both claim what loss.out reads from top"),
    "inputs": (
        CLAIM.replace("layers", "lacking") + NODE % "loss <- z",
        "node 'b' stands for 'z', which reads the column 'z'; the data 'pairs' have x, y",
    ),
    "draws": (
        CLAIM.replace('path = "loss <- top"\nfeature = "parity"', 'path = "loss <- top"\nfeature = "partiy"'),
        "a: unknown feature of pairs 'partiy'. Did you mean 'parity'?",
    ),
    "functional": (
        CLAIM.replace('path = "loss <- top"\nfeature = "parity"', 'path = "loss <- top"\nfeature = "both"'),
        "a: both is no function of parity, which is equal on data",
    ),
    "vacuity": (
        CLAIM.replace('feature = "parity"', 'feature = "both"'),
        "a, low: 6 classes of 1, P(self) 1; what swaps",
    ),
}


def test_every_rule_that_is_broken_is_told(store: Store) -> None:
    from engines.admissibility import RULES as KNOWN

    assert set(RULES) == set(KNOWN)

    async def main() -> None:
        async with opened(store, ADDRESS, (120, 50)) as hands:
            place = hands.app.place
            for name, (text, sentence) in RULES.items():
                write(store, text)
                place.load()
                await hands.settle()
                words = " ".join(" ".join(place.checks.lines).split())
                assert sentence in words, (name, words)
                if name == "tree":
                    assert "!! claim.toml: the tree has" in words
                    assert "repair it in another editor, then R" in hands.text
                    assert 'name = "low"' in hands.text
                    continue
                assert f"!! {KNOWN[name]} " in words, (name, words)
                admissible = name in ("functional", "vacuity")
                assert ("none before every rule is kept" in words) is not admissible
                assert ("-- " in words) is (not admissible)
                before = list(KNOWN)[1 : list(KNOWN).index(name)]
                assert all(f"ok {KNOWN[one]}" in words for one in before)

    asyncio.run(main())


def test_a_change_is_kept_as_a_draft_undone_and_saved(store: Store) -> None:
    folder = Hypotheses.of(store)

    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            place = hands.app.place
            assert "inside nodes: a node that changes loses those in it" in hands.text
            await hands.press("j", "enter")
            assert "features (commas between; none: any datum) of a" in hands.text
            assert "2 classes" in hands.text
            await hands.press("ctrl+u", *"bo", "down")
            assert ":both_" in hands.text
            await hands.press("enter")
            assert "phi = both" in hands.text
            assert "draft, not saved: s" in hands.text
            assert "comments in what changed are gone: 1" in hands.text
            assert "no function of parity" in hands.text
            assert folder.content("claim").decode() == CLAIM
            draft = folder.read_draft("claim")
            assert draft is not None
            assert draft.text == CLAIM.replace('"a"  # the upper', '"a"').replace(
                'top"\nfeature = "parity"', 'top"\nfeature = "both"'
            )
            await hands.press("u")
            assert "phi = both" not in hands.text
            assert folder.read_draft("claim") is None
            await hands.press("u")
            assert "nothing to undo" in hands.text
            await hands.press("U", "s")
            assert folder.content("claim").decode() == draft.text
            assert not folder.draft("claim").exists()
            await hands.press("U")
            assert "nothing to do again" in hands.text
            await hands.press("u")
            assert place.is_draft
        async with opened(store, ADDRESS) as hands:
            assert "phi = both" not in hands.text
            await hands.press("u")
            assert "phi = both" in hands.text

    asyncio.run(main())


def test_what_is_saved_unchanged_is_equal_byte_for_byte(store: Store) -> None:
    odd = CLAIM.replace("\n", "\r\n").replace('feature = "parity"', "feature   = [ 'parity' ] # one")

    async def main() -> None:
        write(store, odd)
        async with opened(store, ADDRESS) as hands:
            await hands.press("j", "n")
            await type_in(hands, "upper")
            await hands.press("u", "s")
            assert Hypotheses.of(store).content("claim").decode() == odd

    asyncio.run(main())


def test_every_field_is_edited_and_nonsense_is_refused(store: Store) -> None:
    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            place = hands.app.place

            def node(name: str) -> Any:
                return place.document.hypothesis.node(name)

            await hands.press("enter")
            assert "claims nothing; its datum is the reference" in hands.text
            await hands.press("j", "o")
            assert "the node's own datum: no claim here" in hands.text
            assert "mean_by:parity" in hands.text
            await type_in(hands, "exact")
            assert str(node("a").other) == "exact"
            await hands.press("o")
            await type_in(hands, "exactly")
            assert "not changed: 'exactly' is no source; write one of" in hands.text
            assert ":exactly_" in hands.text  # what was typed stays to be corrected
            await hands.press("escape", "d")
            await type_in(hands, "disagree")
            assert "draw disagree" in hands.text
            await hands.press("O")
            await type_in(hands, "loss <- top.in <- mid by together:x")
            assert len(node("a").groups) == 1
            await hands.press("V")
            await type_in(hands, "mlp")
            assert node("a").via == ("mlp",)
            await hands.press("n")
            await type_in(hands, "low")
            assert "there is a node 'low' already" in hands.text
            assert ":low_" in hands.text
            await type_in(hands, "upper")
            assert node("low").parent == "upper"
            await hands.press("p")
            await type_in(hands, "loss.out <- top")
            assert node("low").paths == ("loss.out <- top <- low",)
            assert node("upper").groups[0].paths == ("loss.out <- top.in <- mid",)
            await hands.press("a")
            await type_in(hands, "loss.out <- top <- ")
            assert "has an empty step" in hands.text
            assert ":loss.out <- top <- _" in hands.text
            await type_in(hands, "loss.out <- top <- mid <- x")
            assert place.outline.node.name == "x"
            await hands.press("k", "k", "D")
            assert [one.name for one in place.document.hypothesis.nodes] == ["root"]
            await hands.press("D")
            assert "is the root, which stands for the output" in hands.text
            await hands.press("enter", "escape")
            assert "claims nothing" in hands.text

    asyncio.run(main())


def test_a_file_that_somebody_else_changed_is_not_written_over_at_once(store: Store) -> None:
    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            await hands.press("j", "n")
            await type_in(hands, "upper")
            write(store, CLAIM + "# mine\n")
            await hands.press("s")
            assert "changed by somebody else" in hands.text
            assert Hypotheses.of(store).content("claim").decode().endswith("# mine\n")
            await hands.press("s")
            assert "saved" in hands.text
            assert "upper" in Hypotheses.of(store).content("claim").decode()

    asyncio.run(main())


def test_a_bad_file_is_read_again_once_it_is_repaired(store: Store, asked: type[Asked]) -> None:
    async def main() -> None:
        write(store, "format = 2")
        async with opened(store, ADDRESS) as hands:
            assert "this version reads format 1" in hands.text
            for key in ("p", "a", "s", "D", "n", "u", "t", "r", "enter"):
                await hands.press(key)
            assert asked.asked == []
            write(store, CLAIM)
            await hands.press("R")
            assert "phi = parity" in hands.text
        async with opened(store, "hypothesis:nowhere") as hands:
            assert "there is no hypothesis 'nowhere'" in hands.text
            assert "there are: claim" in hands.text

    asyncio.run(main())


def test_a_dead_server_is_a_sentence_and_editing_goes_on(store: Store, asked: type[Asked]) -> None:
    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            asked.dies = True
            await hands.press("j", "n")
            await type_in(hands, "upper")
            assert "the model server has ended" in hands.text
            assert "upper" in hands.text
            assert "engine cold" in hands.text
            await hands.press("r")
            assert hands.app.place.pending is None
            assert "plan  the model server has ended" in " ".join(hands.app.place.checks.lines)
            asked.dies = False
            await hands.press("j")
            assert "ok  every path goes on from its parent's" in hands.text

    asyncio.run(main())


def test_a_subject_that_is_none_is_a_sentence(store: Store) -> None:
    async def main() -> None:
        write(store, CLAIM.replace("appendix.layers", "appendix.layer"))
        async with opened(store, ADDRESS) as hands:
            assert "unknown subject 'appendix.layer'" in " ".join(hands.app.place.checks.lines)
            await hands.press("r")
            assert "no scrub yet: unknown subject" in hands.text

    asyncio.run(main())


def test_a_scrub_and_an_adversary_tell_their_cost_and_start_on_enter(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[tuple[str, Mapping[str, Any], dict[str, Any]]] = []

    def start(_: Store, text: str, plan: Mapping[str, Any], **how: Any) -> str:
        scrub_jobs.ask(text, plan, **how)
        started.append((text, plan, how))
        raise WorkbenchError("no worker here")

    monkeypatch.setattr("workbench.screens.hypothesis.scrub_jobs.start", start)

    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            await hands.press("r")
            assert "scrub: 4 copies of the input, exact, " in hands.text
            assert "enter starts it" in hands.text
            await hands.press("r", "enter")
            assert started == []
            assert "claims nothing" in hands.text
            await hands.press("r", "j", "enter", "escape")
            assert started == []
            for other in ("J", "tab", "z", "question_mark"):  # whatever it does, or nothing
                await hands.press("r")
                assert "enter starts it" in hands.text
                await hands.press(other)
                if other == "question_mark":
                    await hands.press("minus")
                assert "enter starts it" not in hands.text
                await hands.press("enter", "escape")
                assert started == []
            await hands.press("r", "enter")
            assert "no worker here" in hands.text
            await hands.press("A", "enter")
            assert [(plan, how["search"]) for _, plan, how in started] == [
                ({"exact": True, "seed": 0}, None),
                ({"exact": True, "seed": 0, "ablations": False}, {}),
            ]
            assert {text for text, _, _ in started} == {CLAIM}
            await hands.press("n")
            await type_in(hands, "root2")
            write(store, CLAIM)
            await hands.press("k", "p")
            await type_in(hands, "top")
            await hands.press("r")
            assert "no scrub: a rule is broken" in hands.text

    asyncio.run(main())


def test_the_last_scrub_of_exactly_this_is_told(store: Store, asked: type[Asked]) -> None:
    from engines.events import drain
    from engines.hypothesis_text import read
    from engines.scrub import Plan
    from workbench.scrubbing import run

    _, (record, _) = drain(run(read(CLAIM), Plan(slices=("parity",)), Scrubs(store.scrubs)))

    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            assert f"last  {record['id']}  recovered" in hands.text
            assert "worst of 2 slices parity=" in hands.text
            await hands.press("J")
            assert asked.asked[-1][0] == "check"
            assert asked.asked[-1][1]["row"] == 1
            await hands.press("j", "n")
            await type_in(hands, "upper")
            assert "no scrub of exactly this hypothesis yet" in hands.text
            await hands.press("l")
            assert "r runs one" in hands.text
        (store.scrubs / record["id"] / "result.json").write_text("{")
        Hypotheses.of(store).forget("claim")
        async with opened(store, "hypotheses") as hands:
            assert "  cannot be read  " in hands.text
            assert "the last scrub of claim cannot be read: " in hands.text
            assert "is no JSON" in " ".join(hands.app.place.sentences)

    asyncio.run(main())


def test_the_list_makes_copies_and_throws_away(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Hypotheses.of(store)

    def command(_: Hypotheses, name: str, subject: str) -> list[str]:
        file = folder.vacant(name)
        bad = "import sys; sys.exit('workbench: unknown subject')"
        return [sys.executable, "-c", f"open({str(file)!r}, 'w').write({CLAIM!r})" if subject != "rasp.bad" else bad]

    monkeypatch.setattr(Hypotheses, "truth_command", command)

    async def main() -> None:
        write(store, "nonsense", "broken")
        async with opened(store, "hypotheses") as hands:
            assert "appendix.layers" in hands.text
            assert "broken.toml is no TOML" in hands.text
            await hands.press("j", "C")
            await type_in(hands, "claim")
            assert "there is a hypothesis 'claim' already" in hands.text
            assert ":claim_" in hands.text
            await type_in(hands, "twin")
            assert folder.content("twin") == folder.content("claim")
            assert hands.app.place.entry.name == "twin"
            await hands.press("D")
            assert "D again moves twin into the trash" in hands.text
            await hands.press("k", "j", "D", "D")
            assert folder.names == ("broken", "claim")
            assert len(list((folder.root / "trash").glob("twin-*.toml"))) == 1
            await hands.press("a")
            await type_in(hands, "new")
            assert "'new' is no subject; write a subject such as rasp.sort/compiled" in hands.text
            assert ":new_" in hands.text
            await type_in(hands, "one two rasp.sort")
            assert "'one two rasp.sort' are 3 words; write a subject" in hands.text
            await type_in(hands, "new rasp.bad")
            await hands.shows("unknown subject")
            assert ":new rasp.bad_" in hands.text
            await type_in(hands, "claim rasp.sort")
            assert "there is a hypothesis 'claim' already" in " ".join(hands.text.split())
            await type_in(hands, "appendix.layers")
            await hands.shows("hypothesis:appendix.layers-1")
            await hands.press("minus", "A", *"bare app", "down")
            assert "bare appendix.lacking" in hands.text
            await hands.press("enter")
            await hands.shows("hypothesis:bare")
            assert [one.name for one in folder.read("bare").hypothesis.nodes] == ["root"]
            await hands.press("minus")
            assert hands.app.place.entry.name == "bare"
            await hands.press("enter", "4")
            assert hands.app.place.address == "hypotheses"

    asyncio.run(main())


def test_the_list_of_a_cells_program_offers_its_subject(store: Store) -> None:
    async def main() -> None:
        view = {"subject": "rasp.sort/rotated"}
        async with opened(store, "hypotheses", SIZES["80x24"], **view) as hands:
            assert "no hypotheses about rasp.sort/rotated" in hands.text
            await hands.press("a")
            assert ":sort-rotated-1 rasp.sort/rotated_" in hands.text
            await hands.press("escape")
            assert hands.app.place.view() == {**view, "filter": "rasp.sort/rotated"}
        async with opened(store, "hypotheses", SIZES["80x24"], subject="appendix.layers", filter="") as hands:
            assert "claim  about appendix.layers  3 nodes" in hands.text
            assert "draft" in hands.text

    asyncio.run(main())


def test_any_size_and_a_stale_view(store: Store) -> None:
    async def main() -> None:
        for size in ((60, 15), (200, 60)):
            async with opened(store, ADDRESS, size, node=3, row=-4) as hands:
                await hands.press("w", "w", "w", "j", "enter", "escape", "t")
                lines = hands.text.splitlines()
                assert len(lines) == size[1]
                assert max(map(len, lines)) <= size[0]
                assert "? help" in lines[-1]

    asyncio.run(main())


def test_both_addresses_have_places_and_views() -> None:
    for address in ("hypotheses", ADDRESS):
        assert screens.find(address).ABOUT
        assert callable(screens.view(address))


def test_a_drawing_that_is_refused_says_why_and_the_rules_come_back_as_wide_as_they_were(store: Store) -> None:
    write(store, CLAIM.replace("loss <- top <- low", "loss <- mid <- lowest"))

    async def main() -> None:
        async with opened(store, ADDRESS) as hands:
            before = hands.app.place.checks.lines
            await hands.press("t")
            assert "tree of copies: none; t: back" in hands.text
            assert "asked for" not in hands.text
            assert "is no node of" in " ".join(hands.app.place.drawn.lines)
            await hands.press("t")
            assert hands.app.place.checks.lines == before

    asyncio.run(main())
