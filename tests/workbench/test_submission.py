"""Runs as MIB folders: names of all cells, bytes as the benchmark's own loader reads them, and what is refused."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines import mib, registry, spare
from engines.errors import CorruptRun, InvalidSubmission
from engines.events import Advance, Stage
from engines.featurize import Coordinates, Featurizer, Mask, Rotation, Whole, swap
from engines.handle import Handle, Part
from engines.interval import wilson
from engines.prompting import Prompted
from engines.score import Controls, Cost, Fit, Quality, to_record
from engines.site import Site
from engines.submission_format import directions, off_orthonormal, pack, weight
from engines.submission_names import FOLDERS, NETWORKS, SUFFIXES, TASKS, Folder, Unit
from engines.submission_pickle import Archive
from workbench import prompts
from workbench.cli import main
from workbench.command import INTERRUPTED
from workbench.spec import Cell, Spec
from workbench.store import FORMAT, Run, Store
from workbench.submission_check import MANIFEST, load, verify
from workbench.tensors import save_findings

GOOD = Quality(wilson(9, 10), None)
PARAMETERS = {"bias": 0.295, "token_coeff": 0.63, "position_coeff": 2.235}
MCQA = FOLDERS["4_answer_MCQA_Qwen2ForCausalLM_answer"]


class Rotate(torch.nn.Module):
    """A matrix that torch keeps orthonormal, as the benchmark's module holds it."""

    def __init__(self, columns: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(columns.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Subspace(torch.nn.Module):
    """The benchmark's featurizer, or its inverse: both hold the rotation under one name."""

    def __init__(self, columns: Tensor) -> None:
        super().__init__()
        self.rotate = torch.nn.utils.parametrizations.orthogonal(Rotate(columns))

    def featurize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.rotate(x)
        return features, x - features @ self.rotate.weight.T

    def inverse(self, features: Tensor, error: Tensor) -> Tensor:
        return features @ self.rotate.weight.T + error


def as_the_benchmark_loads(featurizer: Path, inverse: Path) -> tuple[Subspace, Subspace] | None:
    """Its two modules, by a strict load; None for the identity."""
    read = [torch.load(file, weights_only=True) for file in (featurizer, inverse)]
    modules = []
    for record in read:
        info = record["model_info"]
        if info["featurizer_class"] == "IdentityFeaturizerModule":
            assert record["state_dict"] == info["additional_config"] == {}
            return None
        assert info["inverse_featurizer_class"] == "SubspaceInverseFeaturizerModule"
        module = Subspace(torch.eye(*info["additional_config"]["rotation_matrix"].shape))
        module.load_state_dict(record["state_dict"], strict=True)
        modules.append(module)
    return modules[0], modules[1]


def orthonormal(width: int, rank: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(torch.randn(width, rank, generator=torch.Generator().manual_seed(seed)))[0]


def finished(store: Store, cell: str, claims: Sequence[Sequence[Part]], seed: int = 0, **more: Any) -> Run:
    """A run of a cell with these claims, as a session would have left it."""
    spec = Spec(Cell(*cell.split("/")), "das", {}, seed)
    run = store.open(spec)
    handles = tuple(Handle(spec.cell.variable, tuple(parts), 0.9) for parts in claims)
    fit = Fit(spec.cell.variable, handles, GOOD, Controls(GOOD, GOOD, GOOD, None), Cost())
    facts = {"format": FORMAT, "id": run.id, "spec": spec.record, "fit": to_record(fit), "source": "0", "versions": {}}
    run.finish({**facts, "tensors": save_findings(run, fit), "data": {}, **more})
    return run


def part(folder: Folder, layer: int = 3, position: str = "last", featurizer: Featurizer | None = None) -> Part:
    component, head = folder.format.component, 1 if folder.heads else None
    position = "all" if folder.heads else position
    return Part(Site(layer, component, position, head), featurizer or Whole(folder.width))


def cell_of(folder: Folder) -> str:
    return f"mib.{folder.task}/{folder.model.name}/{folder.variable}"


def submit(runs: Sequence[Run], out: Path, *more: str) -> int:
    return main(["submit", *(run.id for run in runs), "--out", str(out), *more])


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip()


def test_names_are_those_of_our_tasks_and_of_26_cells() -> None:
    assert len(FOLDERS) == 26
    for name, form in TASKS.items():
        task: Prompted = registry.load("engines.language", name, "TASK", "task")
        assert (task.mib, task.component) == (form.folder, form.component)
        assert set(task.variables) == set(form.variables)
        assert {NETWORKS[one].name for one in form.networks} <= set(task.models)
        positions = ("all",) if form.component == "z" else task.positions
        assert set(form.tokens) == set(positions)


@pytest.mark.parametrize("rank", [None, 2])
def test_every_cell_is_written_and_passes(rank: int | None, store: Store, tmp_path: Path) -> None:
    small = [one for one in FOLDERS.values() if rank is None or one.width <= 896]
    runs = []
    for folder in small:
        featurizer = None if rank is None else Rotation(orthonormal(folder.width, rank))
        claims = [[part(folder, featurizer=featurizer)]]
        more = {"ioi": {"linear": {"bare": {**PARAMETERS, "residual": 0.5, "n": 9}}}} if folder.heads else {}
        runs.append(finished(store, cell_of(folder), claims, **more))
    out = tmp_path / "out"
    assert submit(runs, out) == 0
    verdict = verify(out)
    assert verdict.right, verdict.faults
    assert set(verdict.cells) == {str(folder) for folder in small}
    assert {one.identity for one in verdict.held} == {rank is None}
    for folder in small:
        (unit,) = {name.name.rsplit("_featurizer")[0] for name in (out / str(folder)).glob("*-*_featurizer")} - {
            name.name.removesuffix("_featurizer") for name in (out / str(folder)).glob("*_inverse_featurizer")
        }
        last = folder.format.tokens.get("last")
        expected = "AttentionHead(Layer-3,Head-1,Token-all)"
        assert unit == (expected if folder.heads else f"ResidualStream(Layer-3,Token-{last})")
    params = json.loads((out / "ioi_linear_params.json").read_text())
    assert params["GPT2LMHeadModel"] == params["gpt2"] == PARAMETERS
    manifest = json.loads((out / MANIFEST).read_text())
    assert {one["run"] for runs in manifest["cells"].values() for one in runs} == {run.id for run in runs}


@settings(max_examples=25)
@given(st.data())
def test_a_rotation_comes_back_through_the_benchmarks_loader(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 12), "width")
    rank = data.draw(st.integers(1, width), "rank")
    columns = orthonormal(width, rank, data.draw(st.integers(0, 9), "seed"))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / suffix for suffix in SUFFIXES]
        for file, content in zip(files, pack(directions(Part(SITE, Rotation(columns)), width), width), strict=True):
            file.write_bytes(content)
        modules = as_the_benchmark_loads(files[0], files[1])
        with files[0].open("rb") as opened:
            archive = Archive(opened, files[0].stat().st_size)
            state = {name: archive.tensor(stored) for name, stored in archive.value["state_dict"].items()}
    assert modules is not None
    torch.testing.assert_close(modules[0].rotate.weight.detach(), columns, atol=1e-6, rtol=0)
    torch.testing.assert_close(weight(*state.values()), columns, atol=1e-6, rtol=0)
    base, source = torch.rand(2, 5, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    modules = modules[0].double(), modules[1].double()
    features, error = modules[0].featurize(base)
    assert features.shape == (5, rank)
    theirs = modules[1].inverse(modules[0].featurize(source)[0], error).detach()
    torch.testing.assert_close(theirs, swap(Rotation(columns.double()), base, source), atol=1e-6, rtol=0)
    torch.testing.assert_close(modules[1].inverse(features, error).detach(), base, atol=1e-6, rtol=0)


SITE = Site(0, "resid_post", "last")


@pytest.mark.parametrize("rank", [3, 9, 300])
def test_what_was_trained_is_read_as_torch_reads_it(rank: int) -> None:
    """A state with reflections in it, as training leaves it."""
    width = max(9, rank + (rank > 9))
    module = Subspace(orthonormal(width, rank))
    (original,) = module.parameters()
    with torch.no_grad():
        original += 0.3 * torch.randn(width, rank, generator=torch.Generator().manual_seed(2)).tril(-1)
    state = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    torch.testing.assert_close(weight(*state.values()), module.rotate.weight.detach(), atol=1e-5, rtol=0)
    original, base = state.values()
    assert off_orthonormal(original, base) < 1e-4
    assert off_orthonormal(original, 1.01 * base) > 1e-4


@pytest.mark.parametrize(
    ("site", "featurizer"),
    [
        ("L3.resid_post@last", Mask(torch.arange(896) % 300 == 7)),
        ("L3.resid_post@last", Coordinates(896, (5, 2))),
        ("L3.resid_post[10:14]@last", Whole(4)),
        ("L3.resid_post[10:14]@last", Coordinates(4, (3,))),
        ("L3.resid_post[10:14]@last", Rotation(orthonormal(4, 2))),
    ],
)
def test_what_is_no_rotation_is_baked_into_one(site: str, featurizer: Featurizer, store: Store, tmp_path: Path) -> None:
    where = Site.parse(site)
    run = finished(store, cell_of(MCQA), [[Part(where, featurizer)]])
    assert submit([run], tmp_path / "out") == 0
    (handle,) = load(tmp_path / "out", MCQA)
    base, source = torch.randn(2, 4, 896, generator=torch.Generator().manual_seed(1))
    expected = base.clone()
    span = slice(*where.span) if where.span else slice(None)
    expected[:, span] = swap(featurizer, base[:, span], source[:, span])
    assert handle.site == where.whole
    torch.testing.assert_close(swap(handle.featurizer, base, source), expected, atol=1e-5, rtol=0)


def refused() -> Mapping[str, tuple[str, list[list[Part]], str]]:
    """Cells, claims, and why they cannot be submitted."""
    soft = Part(Site(3, "resid_post", "last"), Whole(896), 0.5)
    other = part(MCQA, 4)
    cell = cell_of(MCQA)
    return {
        "soft": (cell, [[soft]], "swapped with strength 0.5.*know only full swaps"),
        "joint": (cell, [[part(MCQA), other]], "claims several sites jointly.*one by one"),
        "nothing": (cell, [[part(MCQA, featurizer=Coordinates(896, ()))]], "swaps no feature.*leave this site out"),
        "no claim": (cell, [], "claims no site"),
        "component": (cell, [[Part(Site(3, "mlp_out", "last"), Whole(896))]], "is no site of 4_answer_MCQA"),
        "position": (cell, [[part(MCQA, position="subject")]], "no position 'subject'.*correct_symbol_period"),
        "layer": (cell, [[part(MCQA, 24)]], "layer 24 is not in Qwen2ForCausalLM.*0 to 23"),
        "width": (cell, [[part(MCQA, featurizer=Whole(64))]], "vectors of 64 coordinates.*own network"),
        "task": ("rasp.reverse/compiled/opposite", [[part(MCQA)]], "no cell of the benchmark.*mib.TASK"),
        "network": ("mib.ioi/smollm2/output_token", [[part(MCQA)]], "does not put ioi to 'smollm2'"),
        "variable": ("mib.mcqa/qwen2.5/symbol", [[part(MCQA)]], "does not ask for 'symbol' of mcqa"),
        "parameters": (
            "mib.ioi/gpt2/output_token",
            [[part(FOLDERS["ioi_task_GPT2LMHeadModel_output_token"])]],
            "--lin",
        ),
    }


@pytest.mark.parametrize("name", refused())
def test_what_no_file_can_say_is_refused(
    name: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell, claims, why = refused()[name]
    assert submit([finished(store, cell, claims)], tmp_path / "out") == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(complaint(capsys))
    assert not (tmp_path / "out").exists()
    assert [one.name for one in tmp_path.iterdir()] == ["home"]


def test_heads_of_ioi_are_one_claim(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = [Part(Site(layer, "z", "all", head), Rotation(orthonormal(64, 4))) for layer, head in ((7, 3), (8, 10))]
    folder = FOLDERS["ioi_task_GPT2LMHeadModel_output_token"]
    run = finished(store, cell_of(folder), [heads, heads[:1]])
    (tmp_path / "ioi.json").write_text(json.dumps({"gpt2": PARAMETERS}))
    assert submit([run], tmp_path / "out", "--linear", str(tmp_path / "ioi.json")) == 0
    assert "left out 1 weaker claims, for all heads of a cell are swapped at once" in complaint(capsys)
    (handle,) = load(tmp_path / "out", folder)
    assert [str(one.site) for one in handle.parts] == ["L7.head3.z@all", "L8.head10.z@all"]
    again = finished(store, cell_of(folder), [heads], seed=1)
    assert submit([run, again], tmp_path / "two", "--linear", str(tmp_path / "ioi.json")) == 1
    assert "whose heads are one claim; leave one of them out" in complaint(capsys)
    (tmp_path / "ioi.json").write_text('{"gpt2": {"bias": "x"}}')
    assert submit([run], tmp_path / "three", "--linear", str(tmp_path / "ioi.json")) == 2
    assert "cannot be read" in complaint(capsys)


def test_two_linear_models_of_one_network_are_refused_with_the_command_that_takes_one(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of one network with other heads have other models, and the benchmark reads one: which, is said by hand."""
    monkeypatch.chdir(tmp_path)
    runs = []
    for variable, bias in (("output_token", 0.5), ("output_position", 0.75)):
        folder = FOLDERS[f"ioi_task_GPT2LMHeadModel_{variable}"]
        linear = {**PARAMETERS, "bias": bias, "residual": 0.1, "n": 9}
        runs.append(finished(store, cell_of(folder), [[part(folder)]], ioi={"linear": {"bare": linear}}))
    assert submit(runs, tmp_path / "both") == 1
    said = complaint(capsys)
    assert f"runs {runs[0].id} and {runs[1].id} have other linear models of GPT2LMHeadModel, for their heads" in said
    echo, _, command = said.partition("for both: ")[2].partition(" && ")
    assert command == f"workbench submit {runs[0].id} {runs[1].id} --linear ioi.json --out DIR"
    assert json.loads(echo.removeprefix("echo '").removesuffix("' > ioi.json")) == {"gpt2": {**PARAMETERS, "bias": 0.5}}
    (tmp_path / "ioi.json").write_text(echo.removeprefix("echo '").removesuffix("' > ioi.json"))
    assert main(command.split()[1:]) == 0
    assert json.loads((tmp_path / "DIR" / "ioi_linear_params.json").read_text())["GPT2LMHeadModel"]["bias"] == 0.5
    capsys.readouterr()
    assert submit(runs[:1], tmp_path / "one") == 0
    assert submit(runs[1:], tmp_path / "one") == 1
    command = complaint(capsys).partition("take what is there: ")[2]
    assert command.startswith(f"workbench submit {runs[1].id} --linear ")
    assert main(command.split()[1:]) == 0
    assert verify(tmp_path / "one").right
    assert set(verify(tmp_path / "one").cells) == {
        str(one) for one in FOLDERS.values() if one.network == "GPT2LMHeadModel"
    }


def test_cells_are_added_and_never_overwritten(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = finished(store, cell_of(MCQA), [[part(MCQA)], [part(MCQA, position="correct_symbol")], [part(MCQA)]])
    second = finished(store, cell_of(MCQA), [[part(MCQA, 4)]], seed=1)
    pointer = FOLDERS["4_answer_MCQA_Qwen2ForCausalLM_answer_pointer"]
    third = finished(store, cell_of(pointer), [[part(pointer)]])
    out = tmp_path / "deep" / "out"
    assert submit([first, second], out) == 0
    assert "left out 1 weaker claims at the same sites" in complaint(capsys)
    assert len(verify(out).held) == 3
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file() and file.parent != out}
    assert submit([second], out) == 1
    assert "already has the cell 4_answer_MCQA_Qwen2ForCausalLM_answer, and nothing is overwritten" in complaint(capsys)
    assert submit([third], out) == 0
    assert verify(out).right
    assert set(verify(out).cells) == {str(MCQA), str(pointer)}
    assert all(file.read_bytes() == content for file, content in before.items())
    assert "| " + first.id in (out / "README.md").read_text()
    assert submit([first, finished(store, cell_of(MCQA), [[part(MCQA)]], seed=2)], tmp_path / "x") == 1
    assert "both claim 4_answer_MCQA_Qwen2ForCausalLM_answer/ResidualStream(Layer-3,Token-last_token)" in complaint(
        capsys
    )
    (out / MANIFEST).write_text("{}")
    assert submit([third], out) == 1
    assert "not written by 'workbench submit'" in complaint(capsys)
    assert [one.name for one in out.parent.iterdir()] == ["out"]


def test_a_damaged_run_is_not_submitted(store: Store, tmp_path: Path) -> None:
    from workbench.submission import plan

    run = finished(store, cell_of(MCQA), [[part(MCQA, featurizer=Rotation(orthonormal(896, 2)))]])
    file = run.folder / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptRun, match=r"is not what the result .* was written with"):
        plan([run])
    with pytest.raises(InvalidSubmission, match="no run is given"):
        plan([])
    assert not (tmp_path / "out").exists()


def test_a_folder_is_shown_and_verified_from_the_command_line(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [[part(MCQA, featurizer=Rotation(orthonormal(896, 2)))], [part(MCQA, 4, "correct_symbol")]]
    assert submit([finished(store, cell_of(MCQA), claims)], tmp_path / "mine") == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    for address in ("mine", "./mine", str(tmp_path / "mine")):
        assert main(["show", address]) == 0
        assert "3      -               -                      2\n4      identity" in capsys.readouterr().out
    assert main(["verify", "mine"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "right: 2 right sites in 1 of 26 cells"
    (tmp_path / "mine" / "notes").touch()
    assert main(["verify", "mine", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert [fault["file"] for fault in record["faults"]] == ["notes"]
    assert main(["verify", "nowhere"]) == 1
    assert "nowhere is no folder" in complaint(capsys)


def test_a_submission_is_scored_beside_its_controls(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is scored is what the files hold; how, is the report's own to be tested."""
    columns = orthonormal(896, 2)
    out = tmp_path / "out"
    assert submit([finished(store, cell_of(MCQA), [[part(MCQA, featurizer=Rotation(columns))]])], out) == 0
    unit = mib.Unit({"answerPosition": wilson(3, 10)}, wilson(3, 10))
    seen = []

    def scoring(problem: Any, bound: Any, test: Any, handles: Sequence[Handle], *rest: Any) -> Any:  # noqa: ARG001
        seen.extend([*handles, rest[1]])
        yield Stage("scores under protocol paper", 2, "pairs")
        spare.in_parts(_one_fits, torch.arange(2), "pairs")
        yield Advance(2)
        claim = mib.Claimed(handles[0].site, unit, unit, None)
        return mib.Report("paper", "answer", unit, unit, (claim,), handles[0].site, None, None, ("a note",))

    def prepare(*_: Any) -> Any:
        yield from ()
        told = prompts.asked("mib.mcqa")
        return prompts.Prepared(None, None, {"test": ()}, told, 1, {"kept": {}})  # type: ignore[arg-type]

    monkeypatch.setattr(mib, "scoring", scoring)
    monkeypatch.setattr(prompts, "prepare", prepare)
    assert main(["score", str(out), "--cell", "mib-like.mcqa/qwen2.5/answer"]) == 0
    text, told = capsys.readouterr()
    assert "scores under protocol paper: 2 pairs" in told  # as a run tells how far it is,
    assert "memory does not suffice for 2 pairs at once; from here on at most 1 are run together" in told  # and of this
    assert "L3.resid_post@last  2     0.300 [" in text
    assert "no-op" in text
    assert "random sites" in text
    assert text.endswith("layer average none\na note\n")
    torch.testing.assert_close(seen[0].featurizer.columns, columns)
    assert seen[1] == 1
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/answer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mib"]["no_op"]["mean"]["n"] == 10
    monkeypatch.setattr(mib, "scoring", _stopped)
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/answer"]) == INTERRUPTED
    capsys.readouterr()
    (out / str(MCQA) / "ResidualStream(Layer-3,Token-last_token)_indices").write_text("[0]\n")
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/answer"]) == 1
    assert "_indices: it names 1 of 2 features, but the evaluator" in complaint(capsys)
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/answer_pointer"]) == 1
    assert "has no cell 4_answer_MCQA_Qwen2ForCausalLM_answer_pointer" in complaint(capsys)
    (out / str(MCQA)).rename(out.parent / "elsewhere")
    (out / str(MCQA)).symlink_to(out.parent / "elsewhere")
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/answer"]) == 1
    assert "answer: it is a link, which was not followed" in complaint(capsys)
    assert main(["score", str(out / "none"), "--cell", "mib.mcqa/qwen2.5/answer"]) == 1
    assert "none is no folder; give the one that holds the submission's cells" in complaint(capsys)
    assert main(["score", str(out), "--cell", "mib.mcqa/qwen2.5/colour"]) == 2


def _one_fits(rows: Tensor) -> Tensor:
    if len(rows) > 1:
        raise MemoryError
    return rows


def _stopped(*_: Any) -> Any:
    """Scoring during which somebody presses Ctrl+C."""
    yield Stage("scores under protocol paper", 2, "pairs")
    raise KeyboardInterrupt


def test_units_are_read_with_whatever_separators() -> None:
    for text in ("ResidualStream(Layer-3,Token-last)", "ResidualStream(Layer:3,Token:last)"):
        assert Unit.read(text) == Unit(3, None, "last")
    assert str(Unit.read("AttentionHead(Layer_7,Head_1,Token_all)")) == "AttentionHead(Layer-7,Head-1,Token-all)"
