"""Broken and hostile submissions: each is named with its file and refused, and nothing in it ever runs.

Every case starts from one good cell of IOI, whose files are small, and spoils one thing. What runs, when loaded or
imported, makes a file in the present folder: no case may leave one.
"""

import io
import json
import os
import pickle
import re
import shutil
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import InvalidSubmission
from engines.submission_format import BASE, ORIGINAL, pack
from engines.submission_names import SUFFIXES
from engines.submission_pickle import follow
from workbench.cli import main
from workbench.submission_check import MANIFEST, README, verify
from workbench.submission_files import SMALL

CELL = "ioi_task_GPT2LMHeadModel_output_token"
UNIT = "AttentionHead(Layer-9,Head-6,Token-all)"
CANARY = "canary"
PARAMETERS = {"bias": 0.3, "token_coeff": 0.6, "position_coeff": 2.2}
WIDTH, RANK = 64, 3


class Runs:
    """Makes the canary when it is unpickled by whoever calls what a pickle names."""

    def __reduce__(self) -> Any:
        return os.mkdir, (CANARY,)


def good(root: Path) -> None:
    columns = torch.linalg.qr(torch.randn(WIDTH, RANK, generator=torch.Generator().manual_seed(0)).double())[0]
    (root / CELL).mkdir(parents=True)
    for suffix, content in zip(SUFFIXES, pack(columns, WIDTH), strict=True):
        (root / CELL / f"{UNIT}{suffix}").write_bytes(content)
    (root / "ioi_linear_params.json").write_text(json.dumps({"GPT2LMHeadModel": PARAMETERS}))


def at(root: Path, suffix: str = "_featurizer", unit: str = UNIT) -> Path:
    return root / CELL / f"{unit}{suffix}"


def edited(change: Callable[[dict[str, Any]], Any], suffix: str = "") -> Callable[[Path], Any]:
    """Change what a featurizer's file, or both files, hold."""

    def spoil(root: Path) -> None:
        for each in [suffix] if suffix else SUFFIXES[:2]:
            record = torch.load(at(root, each), weights_only=True)
            change(record)
            torch.save(record, at(root, each))

    return spoil


def config(record: dict[str, Any]) -> dict[str, Any]:
    return record["model_info"]["additional_config"]


def zipped(members: Mapping[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def members(root: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(at(root)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_pickle(content: bytes) -> Callable[[Path], Any]:
    return lambda root: at(root).write_bytes(zipped({**members(root), "archive/data.pkl": content}))


def with_member(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda root: at(root).write_bytes(zipped({**members(root), name: content}))


def to_state(name: str, change: Callable[[torch.Tensor], torch.Tensor], suffix: str = "") -> Callable[[Path], Any]:
    def both(record: dict[str, Any]) -> None:
        record["state_dict"][name] = change(record["state_dict"][name])

    return edited(both, suffix)


def entry(row: int, column: int, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor[row, column] = value
        return tensor

    return change


def sparse(root: Path) -> None:
    with at(root).open("r+b") as file:
        file.truncate(1 << 40)


def lying(root: Path) -> None:
    """A directory that says it has millions of entries."""
    content = bytearray(at(root).read_bytes())
    struct.pack_into("<QQ", content, len(content) - 98 + 24, 1 << 22, 1 << 22)
    at(root).write_bytes(content)


def moved(name: str) -> Callable[[Path], Any]:
    """The site under another name."""

    def spoil(root: Path) -> None:
        for suffix in SUFFIXES:
            at(root, suffix).rename(at(root, suffix, name))

    return spoil


def twice(root: Path) -> None:
    shutil.copy(at(root), at(root, unit="AttentionHead(Layer:9,Head-6,Token-all)"))


def beside(name: str, content: str | bytes) -> Callable[[Path], Any]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda root: (root / name).write_bytes(data)


def linear(content: str | bytes) -> Callable[[Path], Any]:
    return beside("ioi_linear_params.json", content)


def linked(root: Path) -> None:
    at(root).rename(root.parent / "elsewhere")
    at(root).symlink_to(root.parent / "elsewhere")


def hard_linked(root: Path) -> None:
    (root.parent / "twin").hardlink_to(at(root))


def residual(root: Path) -> None:
    for suffix in SUFFIXES:
        shutil.copy(at(root, suffix), root / CELL / f"ResidualStream(Layer-9,Token-last){suffix}")


OLD = {"_use_new_zipfile_serialization": False}
POSITIONS = (
    "def get_token_positions(pipeline, causal_model):\n    return [TokenPosition(lambda x: [0], id='last_token')]\n"
)
RUNNING = f"import os\nos.mkdir({CANARY!r})\n"
CLASSES = "class A(Featurizer): pass\nclass B(torch.nn.Module): pass\nclass C(torch.nn.Module): pass\n"
BILLION = b"\x80\x02]q\x00" + b"".join(b"(h%ch%ctq%c" % (n, n, n + 1) for n in range(60)) + b"."

CASES: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    # what would run
    "pickle that calls": (
        with_pickle(pickle.dumps(Runs(), 2)),
        "_featurizer",
        r"call 'posix\.mkdir'; nothing was exec",
    ),
    "pickle of protocol 4": (with_pickle(pickle.dumps(Runs(), 4)), "_featurizer", r"call 'posix\.mkdir'"),
    "pickle that calls inside": (
        with_pickle(pickle.dumps({"model_info": {"n_features": Runs()}, "state_dict": {}}, 2)),
        "_featurizer",
        r"call 'posix\.mkdir'",
    ),
    "bare pickle": (lambda root: at(root).write_bytes(pickle.dumps(Runs())), "_featurizer", "an old pickle without"),
    "old torch": (lambda root: torch.save(Runs(), at(root), **OLD), "_featurizer", "an old pickle without a zip"),
    "inst": (with_pickle(b"(S'canary'\nios\nmkdir\n."), "_featurizer", "the instruction STRING"),
    "inst without text": (with_pickle(b"(ios\nmkdir\n."), "_featurizer", "the instruction INST"),
    "extension": (with_pickle(b"\x80\x02\x82\x01."), "_featurizer", "the instruction EXT1"),
    "code": (beside("featurizer.py", RUNNING + POSITIONS), "featurizer.py", "no file defines a subclass of Featurizer"),
    "indices that are code": (
        lambda root: at(root, "_indices").write_text(f"__import__('os').mkdir('{CANARY}')\n"),
        "_indices",
        "neither null nor a list of numbers",
    ),
    # pickles and zips
    "pickle of many steps": (with_pickle(b"\x80\x02" + b"N" * 20_000 + b"."), "_featurizer", "more than 10000 steps"),
    "pickle that breaks off": (with_pickle(b"\x80\x02}q\x00(X\x05"), "_featurizer", "breaks off or contradicts"),
    "pickle of shared tuples": (with_pickle(BILLION), "_featurizer", "leaves 61 values|it holds a tuple"),
    "pickle of a name that is no text": (
        with_pickle(b"\x80\x02)" + b"q\x01h\x01\x86" * 60 + b"X\x01\x00\x00\x00a\x93."),
        "_featurizer",
        "contradicts itself .*names a thing by what is no text",
    ),
    "pickle of a name that is a deep nest": (
        with_pickle(b"\x80\x02)" + b"\x85" * 9000 + b"X\x01\x00\x00\x00a\x93."),
        "_featurizer",
        "names a thing by what is no text",
    ),
    "numbers of no type": (
        lambda root: with_pickle(
            members(root)["archive/data.pkl"].replace(b"ctorch\nFloatStorage", b"ccollections\nOrderedDict")
        )(root),
        "_featurizer",
        "refers to bytes of what is no type of number",
    ),
    "pickle under a tuple": (with_pickle(b"\x80\x02}NN\x86Ns."), "_featurizer", "under a key that is no text"),
    "pickle of one list": (with_pickle(b"\x80\x02]."), "_featurizer", "it holds a list"),
    "large pickle": (
        with_pickle(b"\x80\x02X" + struct.pack("<I", 1 << 17) + b"x" * (1 << 17) + b"."),
        "_fe",
        "65536 are",
    ),
    "packed zip": (
        lambda root: at(root).write_bytes(zipped(members(root), zipfile.ZIP_DEFLATED)),
        "_featurizer",
        "is packed or encrypted",
    ),
    "zip bomb": (
        lambda root: at(root).write_bytes(
            zipped({**members(root), "archive/data/9": bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
        ),
        "_featurizer",
        "is packed or encrypted",
    ),
    "zip that climbs": (with_member("../../canary", b"x"), "_featurizer", "which torch never writes"),
    "zip of two folders": (with_member("other/data/9", b"x"), "_featurizer", "is none of torch: 2 folders"),
    "zip that lies": (lying, "_featurizer", "4194304 members"),
    "hidden bytes": (with_member("archive/data/9", b"x" * 99), "_featurizer", r"no tensor .* uses \(data/9\)"),
    "cut short": (lambda root: at(root).write_bytes(at(root).read_bytes()[:-9]), "_featurizer", "no file of torch"),
    "empty": (lambda root: at(root).write_bytes(b""), "_featurizer", "no file of torch"),
    "a sparse terabyte": (sparse, "_featurizer", "1099511627776 bytes, and at most 1097728 are allowed for vectors of"),
    "bytes changed": (
        lambda root: at(root).write_bytes(at(root).read_bytes().replace(b"\x00\x00\x80\xbf", b"\x00\x00\x80\x3f")),
        "_featurizer",
        "cannot be read .*CRC",
    ),
    # what the files say
    "no state": (edited(lambda record: record.pop("state_dict")), "_featurizer", "it holds 'model_info'; write"),
    "no classes": (edited(lambda record: record["model_info"].pop("featurizer_class")), "_f", "lacks featurizer_class"),
    "own class": (
        edited(lambda record: record["model_info"].update(featurizer_class="Mine")),
        "_featurizer",
        "its classes are 'Mine and SubspaceInverse.*builds only",
    ),
    "features": (
        edited(lambda record: record["model_info"].update(n_features=4)),
        "_feat",
        r"n_features it must be \(64, 4",
    ),
    "no features": (edited(lambda record: record["model_info"].update(n_features=0)), "_feat", "n_features is 0"),
    "state key": (edited(lambda record: record["state_dict"].update(bias=torch.ones(1))), "_feat", "must have exactly"),
    "no config": (
        edited(lambda record: config(record).pop("requires_grad")),
        "_feat",
        "it must have rotation_matrix and",
    ),
    "identity with a state": (
        edited(
            lambda record: record["model_info"].update(
                featurizer_class="IdentityFeaturizerModule",
                inverse_featurizer_class="IdentityInverseFeaturizerModule",
                n_features=64,
            )
        ),
        "_featurizer",
        "an identity has neither",
    ),
    "shape": (to_state(BASE, lambda base: base[:-1]), "_featurizer", r"has the shape \(63, 64\)"),
    "half": (to_state(BASE, lambda base: base.half()), "_featurizer", "of type torch.float16; write .float"),
    "meta": (to_state(BASE, lambda base: base.to("meta")), "_featurizer", "lies on 'meta'|are not in it|call"),
    "expanded": (
        to_state(BASE, lambda base: base[:1, :1].clone().expand(1 << 20, 1 << 20)),
        "_featurizer",
        r"has the shape \(1048576, 1048576\)",
    ),
    "NaN": (to_state(BASE, entry(5, 5, float("nan"))), "_featurizer", "1 entries that are NaN or infinite"),
    "infinity": (
        edited(lambda record: config(record)["rotation_matrix"].fill_(float("inf"))),
        "_f",
        "192 entries that",
    ),
    "weight decay": (
        to_state(ORIGINAL, lambda one: 0.99 * one),
        "_featurizer",
        "is -0.99 at 0, and is read as a whole",
    ),
    "not orthonormal": (to_state(BASE, entry(0, 0, 3.0)), "_featurizer", "off orthonormal by .*orthonormalise them"),
    "another inverse": (
        to_state(BASE, lambda base: base.flip(1), "_inverse_featurizer"),
        "_inverse_featurizer",
        "its base differs from the featurizer's",
    ),
    "inverse of other information": (
        edited(lambda record: config(record).update(requires_grad=True), "_inverse_featurizer"),
        "_inverse_featurizer",
        "its model_info differs",
    ),
    # triplets, names and indices
    "no inverse": (lambda root: at(root, "_inverse_featurizer").unlink(), "_inverse_featurizer", "missing beside"),
    "no indices": (lambda root: at(root, "_indices").unlink(), "_indices", "is missing beside"),
    "some indices": (lambda root: at(root, "_indices").write_text("[0, 2]"), "_indices", "names 2 of 3 features"),
    "no index": (lambda root: at(root, "_indices").write_text("[]\n"), "_indices", "names 0 of 3 features"),
    "indices too large": (
        lambda root: at(root, "_indices").write_text("[0,1,3]"),
        "_ind",
        "not distinct numbers below",
    ),
    "indices of two lines": (lambda root: at(root, "_indices").write_text("null\nnull"), "_indices", "it has 2 lines"),
    "deep indices": (lambda root: at(root, "_indices").write_text("[" * 30_000), "_indices", "lists in lists"),
    "huge indices": (
        lambda root: at(root, "_indices").write_bytes(bytes(SMALL + 1)),
        "_ind",
        "65537 bytes, and at most",
    ),
    "layer": (moved("AttentionHead(Layer-12,Head-6,Token-all)"), "_featurizer", "layers 0 to 11"),
    "head": (moved("AttentionHead(Layer-9,Head-12,Token-all)"), "_featurizer", "heads 0 to 11"),
    "token": (moved("AttentionHead(Layer-9,Head-6,Token-last)"), "_feat", "token id 'last' is none of all, so that"),
    "zeros": (moved("AttentionHead(Layer-09,Head-6,Token-all)"), "_featurizer", "too large or has leading zeros"),
    "large number": (
        moved(f"AttentionHead(Layer-{'9' * 99},Head-6,Token-all)"),
        "AttentionHead",
        "write it plainly",
    ),
    "no head": (moved("AttentionHead(Layer-9,Token-all)"), "_featurizer", "the name is no site"),
    "one site twice": (twice, "_featurizer", "is the same site; keep one"),
    "residual stream": (residual, "ResidualStream", r"units of ioi_task are AttentionHead\(\.\.\.\)"),
    # the folder
    "no cell": (lambda root: shutil.rmtree(root / CELL), "", "there is no cell in it"),
    "empty cell": (lambda root: [file.unlink() for file in (root / CELL).iterdir()], CELL, "no site is in it"),
    "cell misspelt": (
        lambda root: (root / CELL).rename(root / "ioi_task_GPT2LMHeadModel_output_tokens"),
        "ioi_task_GPT2LMHeadModel_output_tokens/",
        f"none of the 26 cells.*did you mean {CELL}",
    ),
    "cell that is none": (
        lambda root: (root / "ravel_task_Qwen2ForCausalLM_Country").mkdir(),
        "ravel_task_Qwen2ForCausalLM_Country/",
        "none of the 26 cells",
    ),
    "look-alike": (
        lambda root: (root / "ioi_task_GPT2LMHe\u0430dModel_output_token").mkdir(),
        r"ioi_task_GPT2LMHe\u0430dModel_output_token",
        "not plain ASCII",
    ),
    "escape sequence": (beside("\x1b[2J", "x"), r"\x1b[2J", "not plain ASCII"),
    "case": (lambda root: (root / CELL.upper()).mkdir(), "", "differs from .* only by case"),
    "folder in a cell": (lambda root: (root / CELL / "DAS_3").mkdir(), "DAS_3", "tried only after all else failed"),
    "stray": (beside("notes.txt", "x"), "notes.txt", "no part of a submission"),
    "stray in a cell": (beside(f"{CELL}/.DS_Store", "x"), ".DS_Store", "none of a site's files"),
    "own results": (beside("my_results.json", "{}"), "my_results.json", "counted as scores wherever they lie"),
    "results in a cell": (beside(f"{CELL}/results.json", "{}"), "results.json", "counted as scores"),
    "other JSON": (beside("a.json", "{}"), "a.json", "may take it for ioi_linear_params.json"),
    "link": (linked, "_featurizer", "it is a link, which was not followed"),
    "linked cell": (lambda root: (root / "x").symlink_to(root.parent), "x", "it is a link"),
    "hard link": (hard_linked, "_featurizer", "one of 2 hard links"),
    "pipe": (lambda root: os.mkfifo(root / "featurizer.py"), "featurizer.py", "a pipe, socket or device"),
    # parameters of IOI
    "no parameters": (lambda root: (root / "ioi_linear_params.json").unlink(), "ioi_lin", "missing, and cells of IOI"),
    "first by chance": (
        linear(json.dumps({"gpt2": PARAMETERS})),
        "ioi_lin",
        r"nothing for GPT2LMHeadModel \(it has 'gpt2'",
    ),
    "parameters NaN": (
        linear('{"GPT2LMHeadModel": {"bias": NaN, "token_coeff": 1}}'),
        "ioi",
        "bias of .* is nan; it must",
    ),
    "parameters text": (
        linear(json.dumps({"default": {**PARAMETERS, "bias": "1"}})),
        "ioi",
        "bias of 'default' is '1'",
    ),
    "parameters twice": (linear('{"a": 1, "a": 2}'), "ioi", "a name is given twice"),
    "parameters deep": (linear('{"a":' * 5000), "ioi", "nested more than 8 deep"),
    "parameters huge": (linear(bytes(SMALL + 1)), "ioi", "65537 bytes, and at most"),
    "parameters of digits": (linear('{"default": {"bias": ' + "9" * 60_000 + "}}"), "ioi", "bias of 'default' is inf"),
    "parameters cut": (linear(b'{"a": "\xff'), "ioi", "no JSON that can be read"),
    "parameters list": (linear("[]"), "ioi", "no JSON object"),
    # code, which is only parsed
    "no Python": (beside("token_position.py", "def ("), "token_position.py", "it is no Python"),
    "deep Python": (beside("token_position.py", "a" + ".b" * 60_000), "token_position.py", "it is no Python"),
    "huge Python": (
        beside("token_position.py", "#" * (1 << 18) + "#"),
        "token_position.py",
        "262145 bytes, and at most",
    ),
    "Python of nothing": (
        beside("token_position.py", CLASSES),
        "token_position.py",
        "no file defines get_token_positions",
    ),
    "positions that are made": (
        beside("token_position.py", "def get_token_positions(a, b):\n    return made()\n" + CLASSES),
        "token_position.py",
        "does not return a list of TokenPosition",
    ),
    "positions of nothing": (
        beside("token_position.py", POSITIONS.replace("(pipeline, causal_model)", "()") + CLASSES),
        "token_position.py",
        "cannot be called with two arguments, the pipeline and the causal model",
    ),
    "positions of three": (
        beside("token_position.py", POSITIONS.replace("causal_model", "causal_model, third") + CLASSES),
        "token_position.py",
        "cannot be called with two arguments",
    ),
    "positions by name": (
        beside("token_position.py", POSITIONS.replace("causal_model", "causal_model, *, third") + CLASSES),
        "token_position.py",
        "cannot be called with two arguments",
    ),
    "positions without ids": (
        beside("token_position.py", POSITIONS.replace("'last_token'", "chr(7)") + CLASSES),
        "token_position.py",
        "has no literal id",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "submission"
    good(root)
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good submission of one's own, and an empty present folder for canaries."""
    copy = tmp_path / "submission"
    shutil.copytree(sound, copy)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return copy


def test_the_canary_sings_and_the_good_one_passes(root: Path) -> None:
    pickle.loads(pickle.dumps(Runs()))
    assert Path(CANARY).exists()
    verdict = verify(root)
    assert (verdict.right, verdict.remarks) == (True, ())
    (root / MANIFEST).touch()
    (root / README).touch()
    assert verify(root).right
    (root / "code.py").write_text(RUNNING + POSITIONS + CLASSES)
    verdict = verify(root)
    assert verdict.right
    assert [remark.file for remark in verdict.remarks] == ["code.py"]


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_named_and_never_runs(name: str, root: Path, tmp_path: Path) -> None:
    spoil, file, why = CASES[name]
    spoil(root)
    before = {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*")}
    start = time.monotonic()
    verdict = verify(root)
    assert time.monotonic() - start < 5
    assert not verdict.right
    found = [(fault.file, fault.sentence) for fault in verdict.faults]
    assert any(file in named and re.search(why, sentence) for named, sentence in found), found
    assert all(text.isprintable() and text.isascii() and len(text) < 500 for each in found for text in each)
    assert not list(Path().iterdir())
    assert before == {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*")}


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_what_was_trained_elsewhere_passes_unless_its_weights_decayed(decay: float, root: Path) -> None:
    """As the benchmark's baselines save: rotations of torch, with whatever strides they have."""
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.eye(WIDTH, RANK))  # type: ignore[assignment]
    holder = torch.nn.Module()
    holder.rotate = torch.nn.utils.parametrizations.orthogonal(module)  # type: ignore[assignment]
    optimizer = torch.optim.AdamW(holder.parameters(), 1e-2, weight_decay=decay)
    for _ in range(3):
        optimizer.zero_grad()
        (module.weight * torch.arange(WIDTH)[:, None]).square().sum().backward()
        optimizer.step()
    info = {
        "featurizer_class": "SubspaceFeaturizerModule",
        "inverse_featurizer_class": "SubspaceInverseFeaturizerModule",
        "n_features": RANK,
        "additional_config": {"rotation_matrix": module.weight.detach().clone(), "requires_grad": True},
        "featurizer_id": "DAS",
    }
    for suffix in SUFFIXES[:2]:
        torch.save({"model_info": info, "state_dict": holder.state_dict()}, at(root, suffix))
    verdict = verify(root)
    assert verdict.right == (decay == 0), verdict.faults
    assert not verdict.remarks
    assert all("train without weight decay" in fault.sentence for fault in verdict.faults)


@pytest.mark.parametrize("name", [None, "some indices", "NaN", "stray", "positions of nothing", "empty cell", "pipe"])
def test_the_exit_code_is_0_only_when_all_is_right(name: str | None, root: Path) -> None:
    """The benchmark's own verifier always leaves with 0; a remark, such as one about code, is no fault."""
    (root / "code.py").write_text(POSITIONS + CLASSES)
    if name is not None:
        CASES[name][0](root)
    assert main(["verify", str(root)]) == (0 if name is None else 1)
    assert main(["verify", str(root), "--json"]) == (0 if name is None else 1)


def test_every_fault_of_many_is_listed(root: Path) -> None:
    """The benchmark's verifier ends at the first good site."""
    for unit in ("AttentionHead(Layer-1,Head-1,Token-all)", "AttentionHead(Layer-2,Head-2,Token-all)"):
        for suffix in SUFFIXES:
            shutil.copy(at(root, suffix), at(root, suffix, unit))
        at(root, "_indices", unit).unlink()
        at(root, "_inverse_featurizer", unit).write_bytes(b"PK")
    (root / "a").touch()
    (root / "b").touch()
    verdict = verify(root)
    assert [fault.file.rpartition("/")[2] for fault in verdict.faults] == [
        "AttentionHead(Layer-1,Head-1,Token-all)_indices",
        "AttentionHead(Layer-1,Head-1,Token-all)_inverse_featurizer",
        "AttentionHead(Layer-2,Head-2,Token-all)_indices",
        "AttentionHead(Layer-2,Head-2,Token-all)_inverse_featurizer",
        "a",
        "b",
    ]
    assert [str(one.unit) for one in verdict.held] == [UNIT]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.booleans())
def test_damage_anywhere_is_a_fault_and_no_crash(root: Path, sound: Path, random: Random, inside: bool) -> None:
    """Bytes changed in a zip's pickle, or in its directory and headers."""
    shutil.copy(at(sound), at(root))
    content = bytearray(members(root)["archive/data.pkl"] if inside else at(root).read_bytes())
    places = list(range(600)) + list(range(len(content) - 1400, len(content)))
    for _ in range(random.randint(1, 6)):
        content[random.randrange(len(content)) if inside else random.choice(places)] = random.randrange(256)
    if inside:
        with_pickle(bytes(content))(root)
    else:
        at(root).write_bytes(content)
    verdict = verify(root)
    assert verdict.right == bool(verdict.held)
    assert all(fault.sentence.isprintable() and fault.sentence.isascii() for fault in verdict.faults)
    assert not list(Path().iterdir())


def test_what_torch_itself_writes_is_followed() -> None:
    """A state_dict carries an attribute along; parameters are another call."""
    module = torch.nn.Linear(2, 2)
    for record in (module.state_dict(), {"a": OrderedDict(b=(1, 2.5, None, True, [module.weight]))}):
        file = io.BytesIO()
        torch.save(record, file)
        with zipfile.ZipFile(file) as archive:
            found = follow(archive.read("archive/data.pkl"))
        assert set(found) == set(record)
    with pytest.raises(InvalidSubmission, match="leaves 2 values"):
        follow(b"\x80\x02}}.")
