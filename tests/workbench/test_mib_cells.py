"""All 26 cells of the benchmark end to end: rows from a folder, a run, its scores, and the files of a submission.

Networks are tiny and random, and the tables that know their sizes are told so. Random networks can do no task, so that
the filter would leave no row: it is replaced by one that keeps all rows, and nothing else is replaced. What a network
that can do its task scores is tested in ``tests/engines/test_prompting.py``.
"""

import functools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from torch import nn
from transformers import PreTrainedConfig, PreTrainedTokenizerFast

from engines import registry, sieve, submission_names, zoo, zoo_table
from engines.errors import InsufficientData, InvalidModel, InvalidRows, InvalidSetting, WorkbenchError
from engines.events import Notice, drain
from engines.language import ioi, mcqa, ravel
from engines.prompted import Bound, Encoder
from engines.prompting import SUFFIX, Example, Prompted, Row
from engines.sieve import Kept
from engines.submission_names import FOLDERS, Folder
from engines.zoo_table import TABLE
from tests.families import HUGGING
from workbench import rows
from workbench.cli import main
from workbench.comparison import compare
from workbench.session import Session
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.terms import Terms

FAMILY = {"gpt2": "gpt2", "qwen2.5": "qwen2", "gemma2": "gemma2", "llama3.1": "llama"}
"""The tiny network of each of the benchmark's, as ``tests.families`` makes it."""
CITY_SIZES = {"train": 20, "validation": 16, "test": 20}
"""More rows of cities, a third of which ask for each attribute."""
SIZES = {"train": 12, "validation": 10, "test": 12}
CITIES = tuple(
    {
        "entity": f"City{place}",
        "Country": f"Land{place % 5}",
        "Continent": f"Part{place % 3}",
        "Language": f"Tongue{place % 7}",
    }
    for place in range(20)
)
QUESTIONS = {
    "Which gas do plants take in?": ("oxygen", "helium", "neon", "argon"),
    "What pulls things to the ground?": ("gravity", "light", "sound", "heat"),
    "Which of these is a metal?": ("iron", "wood", "wool", "glass"),
}
ABLE = sieve.able
"""The filter itself."""
WORD = re.compile(r" ?\w+|\n|[^\w]")
CONTEXT = 96


def task_of(name: str) -> Prompted:
    return registry.load("engines.language", name, "TASK", "task")


def question(rng: np.random.Generator) -> Row:
    """A row of ARC with its counterfactuals; the first choice listed above is the right one."""
    asked = list(QUESTIONS)[int(rng.integers(len(QUESTIONS)))]
    letters = rng.permutation(list(mcqa.LETTERS))[:8].tolist()
    order, moved = (rng.permutation(4).tolist() for _ in range(2))
    while moved.index(0) == order.index(0):
        moved = rng.permutation(4).tolist()

    def row(order: list[int], labels: list[str]) -> dict[str, Any]:
        texts = [QUESTIONS[asked][place] for place in order]
        lines = "\n".join(f"{label}. {text}" for label, text in zip(labels, texts, strict=True))
        return {
            "question": asked,
            "prompt": f"Question: {asked}\n{lines}\nAnswer:",
            "choices": {"label": labels, "text": texts},
            "answerKey": order.index(0),
        }

    return {
        **row(order, letters[:4]),
        f"answerPosition{SUFFIX}": row(moved, letters[:4]),
        f"randomLetter{SUFFIX}": row(order, letters[4:]),
        f"answerPosition_randomLetter{SUFFIX}": row(moved, letters[4:]),
    }


def write_questions(home: Path) -> None:
    home.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in SIZES.items():
        (home / f"{split}.jsonl").write_text("".join(f"{json.dumps(question(rng))}\n" for _ in range(n)))


def vocabulary(data: Path) -> list[str]:
    """Every word of the rows with and without a space before it, names and sums that may be answers, and marks."""
    texts = [
        row["prompt"]
        for file in sorted(data.glob("*/*.jsonl"))
        for line in file.read_text().splitlines()
        for row in (json.loads(line), *(one for one in json.loads(line).values() if isinstance(one, dict)))
        if "prompt" in row
    ]
    found = {word.strip(" ") for text in texts for word in WORD.findall(text)}
    found |= {value for city in CITIES for value in city.values()} | set(ioi.NAMES) | set(mcqa.LETTERS)
    found |= {str(number) for number in range(200)}
    words = sorted(word for word in found if word)
    return ["[U]", " ", *words, *(f" {word}" for word in words if word[0].isalnum())]


def save(name: str, words: list[str], folder: Path) -> None:
    """A tiny network of the architecture that a model of the table has, with a tokenizer of whole words."""
    config, kind = HUGGING[FAMILY[name]]
    sizes = {"vocab_size": len(words), "max_position_embeddings": CONTEXT, "n_positions": CONTEXT, "sliding_window": 32}
    known = {key: value for key, value in sizes.items() if hasattr(config, key)}
    torch.manual_seed(0)
    network: nn.Module = kind(type(config)(**{**config.to_dict(), **known}))
    network.save_pretrained(folder)  # pyright: ignore[reportCallIssue]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD.pattern), behavior="isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[U]", pad_token="[U]").save_pretrained(folder)


def tiny_row(name: str) -> zoo_table.Row:
    row = next(one for one in TABLE if one.name == name)
    config: PreTrainedConfig = HUGGING[FAMILY[name]][0]
    heads = config.num_attention_heads
    sizes = replace(
        row.sizes,
        layers=config.num_hidden_layers,
        heads=heads,
        width=config.hidden_size,
        d_head=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )
    return replace(row, sizes=sizes)


def every_row(
    _model: object, _bound: Bound, examples: list[Example], _counting: object, _new_tokens: int
) -> tuple[list[Example], dict[str, Kept]]:
    """The filter of networks that can do everything."""
    families = [one.family for one in examples]
    return list(examples), {name: Kept(families.count(name), families.count(name)) for name in dict.fromkeys(families)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Rows as the benchmark's folders and tiny networks under the table's names, each loaded once."""
    home = tmp_path_factory.mktemp("bench")
    rows_, models = home / "data", home / "models"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ravel, "cities", lambda: CITIES)
        for name in ("ioi", "mcqa", "arithmetic", "ravel"):
            rows.write(task_of(name), 0, CITY_SIZES if name == "ravel" else SIZES, rows_ / task_of(name).mib)
        write_questions(rows_ / "ARC_easy")
        words = vocabulary(rows_)
        for name in FAMILY:
            save(name, words, models / name)
        tiny = {name: tiny_row(name) for name in FAMILY}
        patch.setattr(zoo_table, "TABLE", tuple(tiny.get(row.name, row) for row in TABLE))
        for row in tiny.values():
            patch.setitem(submission_names.NETWORKS, row.architecture, row)  # pyright: ignore[reportArgumentType]
        patch.setenv("CAUSAL_WORKBENCH_MODELS", str(models))
        patch.setenv(rows.FOLDER, str(rows_))
        patch.setattr(zoo, "load", functools.cache(zoo.load))
        patch.setattr(sieve, "able", every_row)
        yield home


def cell_of(folder: Folder, protocol: str = "") -> str:
    return f"mib.{folder.task}{protocol}/{folder.model.name}/{folder.variable}"


def settings(folder: Folder) -> dict[str, Any]:
    site = "L1.head1.z@all" if folder.heads else "L1.resid_post@last"
    return {"sites": [site], "sizes": [1], "steps": 2, "batch": 8}


def ran(store: Store, spec: Spec) -> Run:
    return drain(Session(store).run(spec))[1]


def done(store: Store, cell: str, method: str, **given: Any) -> tuple[Run, list[Any]]:
    spec = Spec.parse(cell, method, settings=given)
    steps = Session(store).run(spec)
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_cell_runs_scores_and_is_submitted(name: str, bench: Path, store: Store, tmp_path: Path) -> None:
    folder = FOLDERS[name]
    trained, events = done(store, cell_of(folder), "das", **settings(folder))
    runs = [trained]
    if folder.variable == folder.format.variables[0]:  # once a task and network: what is swapped has no variable
        runs.append(done(store, cell_of(folder), "full_swap")[0])
    for run in runs:
        result = run.result()
        facts = result["prompts"]
        assert facts["protocol"] == "paper"
        assert {split: one["source"].startswith(str(bench)) for split, one in facts["rows"].items()} == dict.fromkeys(
            SIZES, True
        )
        if folder.heads:
            scored = result["ioi"]
            assert set(scored["method"]["bare"]["sets"]) == set(facts["sets"])
            controls = [scored[name] for name in ("no_op", "full_swap", "random_heads", "floor")]
            assert [set(one) for one in controls] == [{"bare", "spaced"}] * 4
            random = scored["random_heads"]["bare"]["sets"]
            assert {set_: one["n"] > 0 for set_, one in random.items()} == dict.fromkeys(facts["sets"], True)
            assert {len(one) for one in scored["drawn"]} == {len(scored["heads"])}
        else:
            scored = result["mib"]
            for unit in (scored["no_op"], scored["random_site"], *(claim["method"] for claim in scored["claims"])):
                assert {set_: one["n"] > 0 for set_, one in unit["sets"].items()} == dict.fromkeys(facts["sets"], True)
            pointer = {"answerPosition": 0.0, "randomLetter": 1.0, "answerPosition_randomLetter": 0.0}
            assert set(scored["expected"]) == set(facts["sets"])
            assert scored["variable"] != "answer_pointer" or scored["expected"] == pointer
            held = {claim["site"].partition(".")[0] for claim in scored["claims"]}
            assert (scored["average"] is None) == (len(held) < 2)
        assert scored["protocol"] == "paper"
    stages = [event.name for event in events if hasattr(event, "total")]
    assert ("errors of the logit difference" if folder.heads else "scores under protocol paper") in stages
    for run in runs:
        out = tmp_path / run.id
        assert main(["submit", run.id, "--out", str(out)]) == 0
        assert main(["verify", str(out)]) == 0
        assert (out / name).is_dir()


def test_the_official_protocol_counts_other_sets_and_is_never_compared_with_the_papers(
    bench: Path, store: Store
) -> None:
    """RAVEL has one set more there, its rows are not thinned, and both say which protocol it was."""
    paper, told = done(store, "mib.ravel/llama3.1/Country", "full_swap")
    official, _ = done(store, "mib.ravel:official/llama3.1/Country", "full_swap")
    one, other = paper.result(), official.result()
    assert set(other["prompts"]["sets"]) - set(one["prompts"]["sets"]) == {"prompt_template"}
    assert [result["mib"]["protocol"] for result in (one, other)] == ["paper", "official"]
    assert other["prompts"]["thinned"] == {"fit": {}, "calibration": {}, "test": {}}
    assert one["prompts"]["thinned"]["test"]
    assert any("thinned, each kind to half" in event.text for event in told if isinstance(event, Notice))
    found = compare(paper, official)
    assert (found.value, found.n, found.found) == (None, None, None)
    assert re.fullmatch(
        r"scores of two protocols count different things and are never compared \(full_swap \w+ under paper and "
        r"full_swap \w+ under official\)",
        found.why,
    )
    assert bench.is_dir()


def change_rows(bench: Path, home: Path, task: str, **columns: Any) -> None:
    """A copy of a task's rows in which the last test row has other columns (None: it has them not)."""
    for file in (bench / "data" / task).glob("*.jsonl"):
        (home / task).mkdir(parents=True, exist_ok=True)
        every = [json.loads(line) for line in file.read_text().splitlines()]
        if file.stem == "test":
            every[-1] |= columns
            every[-1] = {name: value for name, value in every[-1].items() if value is not None}
        (home / task / file.name).write_text("".join(f"{json.dumps(row)}\n" for row in every))


@pytest.mark.parametrize(
    "wrong",
    [
        ("4_answer_MCQA", "mib.mcqa/qwen2.5/answer", {"answerKey": "B"}, "test row 11: 'answerKey' is 'B'; it must be"),
        (
            "4_answer_MCQA",
            "mib.mcqa/qwen2.5/answer",
            {"choices": None},
            "test row 11 has no column 'choices'; it has: ",
        ),
        (
            "4_answer_MCQA",
            "mib.mcqa/qwen2.5/answer",
            {"prompt": "Which colour?"},
            "test row 11: no line of the prompt begins with '",
        ),
        ("ARC_easy", "mib.arc/gemma2/answer", {"prompt": "Why?"}, "test row 11: no line of the prompt begins with '"),
        ("ravel_task", "mib.ravel/gemma2/Country", {"entity": "Rome"}, "test row 19: the prompt "),
        (
            "arithmetic",
            "mib.arithmetic/gemma2/ones_carry",
            {"operand1": 3.5},
            "test row 11: 'operand1' is 3.5; it must",
        ),
        (
            "ioi_task",
            "mib.ioi/gpt2/output_token",
            {"s2_io_flip_counterfactual": {"prompt": 1}},
            "test row 11, s2_io_flip_counterfactual: 'prompt' is 1; it must be text",
        ),
    ],
)
def test_wrong_rows_end_a_run_with_one_sentence(
    wrong: tuple[str, str, dict[str, Any], str],
    bench: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task, cell, columns, said = wrong
    change_rows(bench, tmp_path / "data", task, **columns)
    monkeypatch.setenv(rows.FOLDER, str(tmp_path / "data"))
    assert main(["run", cell, "full_swap"]) == 1
    complaints = [line for line in capsys.readouterr().err.splitlines() if said in line]
    assert len(complaints) == 1


def test_rows_that_are_nowhere_and_files_that_are_none(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setenv(rows.FOLDER, str(tmp_path))
    with pytest.raises(
        InsufficientData, match=r"are neither in .*4_answer_MCQA \(train.jsonl or train.parquet\) nor to"
    ):
        done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
    home = tmp_path / "4_answer_MCQA"
    home.mkdir()
    file = home / "train.jsonl"
    for content, said in (
        (b"{", "line 1 is no JSON"),
        (b"3", "line 1 is no record"),
        (b"\n", "holds no row"),
        (b"[" * 100_000, r"line 1 is no JSON \(maximum recursion depth"),
        (b'\n{"prompt": "S\xe3o Paulo"}', "line 2 is no text in UTF-8; save the file as UTF-8"),
    ):
        file.write_bytes(content)
        with pytest.raises(WorkbenchError, match=said):
            done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidRows, match=r"train\.jsonl cannot be read \(Is a directory\)"):
        rows.read(file)
    (home / "own.jsonl").write_text('{"prompt": "one\u2028line\u0085\x0b"}\r\n', newline="")
    with pytest.raises(InvalidRows, match=r"line 1 is no JSON .Invalid control character"):
        rows.read(home / "own.jsonl")
    (home / "own.jsonl").write_text('{"prompt": "one\u2028line\u0085"}\r\n{"prompt": "São"}', newline="")
    assert rows.read(home / "own.jsonl") == [{"prompt": "one\u2028line\u0085"}, {"prompt": "São"}]
    assert bench.is_dir()


def test_rows_of_another_task_are_counted_and_when_all_are_it_is_said(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """A few questions of ARC have other than four choices; a set of which no pair is left is none to be passed over."""
    change_rows(bench, tmp_path, "ARC_easy", choices={"label": ["A", "B", "C"], "text": ["x", "y", "z"]})
    monkeypatch.setenv(rows.FOLDER, str(tmp_path))
    run, _ = done(store, "mib.arc/gemma2/answer", "full_swap")
    told = run.result()["prompts"]
    assert told["outside"] == {"train": {}, "validation": {}, "test": {"3 choices, not 4": 1}}
    change_rows(bench, tmp_path, "arithmetic")
    for file in (tmp_path / "arithmetic").glob("*.jsonl"):
        file.write_text(file.read_text().replace('"num_digit": 2', '"num_digit": 3'))
    with pytest.raises(
        InsufficientData, match=r"none of 12 rows is of arithmetic .12 because num_digit is 3, not 2.; g"
    ):
        done(store, "mib.arithmetic/gemma2/ones_carry", "full_swap")
    monkeypatch.setattr(sieve, "able", ABLE)
    monkeypatch.setattr(sieve, "unsplit", lambda _, found: ([], len(found)))
    with pytest.raises(InsufficientData, match=r"fit rows .* \(answerPosition 0 of 0, randomLetter 0 of 0, answerPosi"):
        done(store, "mib.arc/gemma2/answer_pointer", "full_swap")


def test_a_network_that_cannot_do_a_task_and_labels_that_collide(
    bench: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """With the filter in place the random network keeps no row; answers that begin alike are told apart by nobody."""
    monkeypatch.setattr(sieve, "able", ABLE)
    with pytest.raises(InsufficientData, match=r"the network does too few fit rows right on both sides \(answerPosi"):
        done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
    monkeypatch.setattr(sieve, "able", every_row)
    first = Encoder.first
    alike: dict[str, str] = {f" {letter}": " A" for letter in "BCDEFGHIJKL"}
    monkeypatch.setattr(Encoder, "first", lambda self, answer: first(self, alike.get(str(answer), str(answer))))
    run, events = done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
    (group,) = run.result()["prompts"]["collisions"]
    assert group == sorted((" A", *alike))
    assert any("the same token are not told apart, 1 groups" in one.text for one in events if isinstance(one, Notice))
    monkeypatch.setattr(Encoder, "first", lambda _self, _answer: 5)
    with pytest.raises(InvalidModel, match="this tokenizer splits the labels: take another model for this task"):
        done(store, "mib.mcqa/qwen2.5/answer_pointer", "full_swap")
    assert bench.is_dir()


def test_rows_and_numbers_are_those_that_are_asked_for(bench: Path, store: Store) -> None:
    cell = "mib.mcqa/qwen2.5/answer"
    terms = Terms.asked("mib.mcqa", "qwen2.5", rows="fit=9,test=10", dtype="bfloat16")
    run = ran(store, Spec.parse(cell, "full_swap", terms=terms))
    told = run.result()["prompts"]
    assert [told["rows"][split]["n"] for split in SIZES] == [9, SIZES["validation"], 10]
    assert (told["dtype"], told["device"]) == ("bfloat16", "cpu")
    assert run.result()["spec"]["rows"] == {"fit": 9, "test": 10}
    rows = Terms.asked("mib.mcqa", "qwen2.5", rows="fit=9,test=10")
    other = ran(store, Spec.parse(cell, "full_swap", terms=rows))
    assert other.result()["prompts"]["dtype"] == "float32"
    assert compare(run, other).why == (
        "their networks computed in other types of number (bfloat16 and the model's own type)"
    )
    with pytest.raises(
        InsufficientData, match=r"has 12 train rows and --rows asks for 50 of fit; ask for fewer, or fo"
    ):
        ran(store, Spec.parse(cell, "full_swap", terms=Terms({"fit": 50})))
    assert bench.is_dir()


def test_a_folder_without_weights_is_refused(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    shutil.copytree(bench / "models" / "qwen2.5", tmp_path / "qwen2.5")
    (tmp_path / "qwen2.5" / "model.safetensors").unlink()
    monkeypatch.setenv("CAUSAL_WORKBENCH_MODELS", str(tmp_path))
    monkeypatch.setattr(zoo, "load", zoo.load.__wrapped__)  # pyright: ignore[reportFunctionMemberAccess]
    with pytest.raises(InvalidModel, match=r"qwen2.5 has no weights \(model.safetensors, or its parts with an index\)"):
        done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
    monkeypatch.setenv("CAUSAL_WORKBENCH_DEVICE", "tpu")
    with pytest.raises(InvalidSetting, match="device 'tpu' is not known; write cpu, cuda, or cuda:1"):
        done(store, "mib.mcqa/qwen2.5/answer", "full_swap")
