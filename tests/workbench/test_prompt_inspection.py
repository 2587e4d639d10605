"""Inspections of language models: every value is what the engines compute one prompt at a time, without padding.

The network is tiny and random, of a family with grouped queries and a gated MLP; as it can do no task, the filter is
replaced by one that keeps all rows. Its prompts are of several lengths, so that batches are padded.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from engines import sieve, zoo
from engines.errors import InsufficientData, InvalidSetting, UnknownName, UnsupportedSite, WorkbenchError
from engines.language import greater_than, ioi, sva
from engines.model import Ask, Batch
from engines.site import Port
from tests.families import HUGGING, family, mixed
from tests.workbench.test_mib_cells import WORD, every_row
from workbench import effects, inspect_text, opening, prompt_effects, prompt_heads, prompt_specimen, prompts, rows
from workbench.inspect_cli import PLACES
from workbench.prompt_inspection import REQUESTS, PromptInspection
from workbench.readout import readout
from workbench.screens import head_text, neuron_text
from workbench.spec import Cell
from workbench.specimen import alone
from workbench.store import Store

NUMBER, NAME = "lm.sva/llama/number", "mib-like.ioi/llama/output_token"
DECADE, NORMED = "lm.greater_than/llama/decade", "lm.sva/tiny-gemma2/number"
SIZES = {"train": 9, "validation": 9, "test": 10}
LAYER, HEAD, NEURON = 1, 3, 5


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PromptInspection]]:
    """An inspection of a task with positions, and of one that claims heads and has sets of several lengths."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAUSAL_WORKBENCH_MODELS", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(prompts, "GENERATED", SIZES)
        patch.setattr(prompt_specimen, "INPUTS", 6)
        patch.setattr(prompt_specimen, "FEW", 5)
        patch.setattr(sieve, "able", every_row)
        patch.setattr(zoo, "load", functools.cache(zoo.load))
        save(folder)
        home = Store(folder.parent / "store")
        save(folder.parent / "tiny-gemma2", "gemma2")
        yield {cell: opened(cell, home) for cell in (NUMBER, NAME, DECADE, NORMED)}


def save(folder: Path, name: str = "llama") -> None:
    """A tiny network with a tokenizer that knows the words of all tasks, and one half of a letter."""
    config, kind = HUGGING[name]
    tasks = sva.TASK, ioi.TASK, greater_than.TASK
    texts = [one["prompt"] for task in tasks for split in SIZES for one in made(task, split)]
    words = {word for text in texts for word in WORD.findall(text)} | {f" {name}" for name in ioi.NAMES}
    words |= {*greater_than.DIGITS, *sva.VERBS, *(f" {noun}" for pair in sva.NOUNS for noun in pair), *ioi.NAMES}
    known = ["[U]", " ", "\x1b[31m", *sorted(words - {" "})]
    torch.manual_seed(0)
    sizes = {"vocab_size": len(known), "max_position_embeddings": 64}
    kind(type(config)(**{**config.to_dict(), **sizes})).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(known)}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD.pattern), behavior="isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[U]", pad_token="[U]").save_pretrained(folder)


def made(task: Any, split: str) -> list[Any]:
    """Rows with their sources."""
    every = rows.generated(task, split, SIZES[split], 0).rows
    return [
        *every,
        *(inner for one in every for inner in one.values() if isinstance(inner, dict) and "prompt" in inner),
    ]


def opened(cell: str, home: Store) -> PromptInspection:
    found = opening.inspection(Cell.parse(cell), home)
    assert isinstance(found, PromptInspection)
    return found


def near(value: Any) -> Any:
    """Equal to 1e-6, relative to its size, as numbers in single precision can be."""
    return pytest.approx(value, abs=2e-6, rel=2e-6, nan_ok=True)


def ran(looked: PromptInspection, batch: Batch, *ports: Port, edits: Any = None) -> tuple[Tensor, dict[Port, Tensor]]:
    """The logit difference of the first contrast's columns is taken by the caller: all answer logits, and reads."""
    ask = Ask(torch.tensor([[batch.tokens.shape[1] - 1]]), torch.tensor(looked.specimen.labelled))
    with torch.no_grad():
        run = looked.specimen.model.forward(batch, reads=ports, edits=edits or {}, ask=ask)
    assert run.outputs is not None
    return run.outputs[0, 0], dict(run.reads)


def less(outputs: Tensor, between: Tensor) -> float:
    return float(outputs[between[0]] - outputs[between[1]])


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def singles(looked: PromptInspection, few: bool = False) -> list[Batch]:
    inputs = looked.specimen.few if few else looked.specimen.inputs
    return [alone(inputs.bases, row) for row in range(inputs.n)]


def test_prompts_are_of_several_lengths_and_all_rows_are_counted(looked: dict[str, PromptInspection]) -> None:
    lengths = {batch.tokens.shape[1] for batch in singles(looked[NAME])}
    assert len(lengths) > 1
    record = looked[NUMBER].ask("overview", {})
    assert record["kept"] == {"other_number": [10, 10]}
    assert record["filtered"] == "rows that the model does rightly on both sides, in test rows: other_number 10 of 10"
    assert (record["heads"], record["key_value_heads"], record["gated"]) == (4, 2, True)
    assert looked[NAME].ask("overview", {})["contrast"] == "logit of the indirect object less that of the subject"
    assert set(REQUESTS) - set(PLACES) == {"head_seen", "neuron_seen"}


@pytest.mark.parametrize("cell", [NUMBER, NAME])
def test_an_example_is_the_prompt_and_what_the_model_says(cell: str, looked: dict[str, PromptInspection]) -> None:
    specimen = looked[cell].specimen
    for row in (0, specimen.shown - 1):
        (one,) = looked[cell].ask("examples", {"start": row, "count": 1})["examples"]
        example = specimen.examples[row]
        outputs, _ = ran(looked[cell], alone(specimen.pairs.bases, row))
        assert "".join(one["base"]["tokens"]) == example.base["prompt"]
        assert "".join(one["source"]["tokens"]) == example.source["prompt"]
        assert one["difference"] == near(less(outputs, specimen.between[row]))
        assert one["between"][0] == one["base"]["answers"][0] == example.base["answer"]
        assert one["base"]["given"] == [specimen.answer(int(outputs.argmax()))]
        assert one["base"]["right"] == (one["base"]["given"] == one["base"]["answers"])
        if cell == NAME:
            assert one["between"][1] == f" {example.base['name_c']}"
        else:
            assert one["between"][1] == one["label"][0] == example.source["answer"]
            assert one["base"]["tokens"][one["base"]["at"]["subject"]] == f" {example.base['noun']}"


@pytest.mark.parametrize("cell", [NUMBER, NAME])
def test_a_pattern_makes_what_its_head_writes_and_all_parts_add_up_to_the_answer(
    cell: str, looked: dict[str, PromptInspection]
) -> None:
    """The direct effects of all heads, of what MLPs add and of the embedding are the logit difference itself."""
    specimen = looked[cell].specimen
    model = specimen.model
    row = specimen.shown - 1
    batch, between = alone(specimen.pairs.bases, row), specimen.between[row]
    layers = range(model.shape.n_layers)
    ports = [Port(layer, name) for layer in layers for name in ("result", "v", "z", "mlp_out")]
    outputs, read = ran(looked[cell], batch, Port(None, "embed"), Port(layers[-1], "resid_post"), *ports)
    total = 0.0
    for layer in layers:
        for head in range(model.shape.n_heads):
            side = prompt_heads.seen(specimen, batch, layer, head, between)
            values = read[Port(layer, "v")][0, :, head // 2]
            assert torch.tensor(side["pattern"]) @ values == near(read[Port(layer, "z")][0, :, head])
            assert side["size"] == near(read[Port(layer, "result")][0, :, head].norm(dim=-1).tolist())
            assert sum(side["by_key"]) == near(side["direct"])
            total += side["direct"]
    scale = float(specimen.readout.scales(read[Port(layers[-1], "resid_post")][0, -1]))
    pull = specimen.readout.pulls(*(torch.tensor([specimen.labelled[label]]) for label in between.tolist()))[0]
    rest = [read[Port(None, "embed")], *(read[Port(layer, "mlp_out")] for layer in layers)]
    total += sum(float(one[0, -1] @ pull) / scale for one in rest)
    assert total == pytest.approx(less(outputs, between), abs=1e-5)


def test_what_is_written_is_read_with_the_norms_scale_at_its_own_token(looked: dict[str, PromptInspection]) -> None:
    """Its scale at the answer would be another: the value of a key is read with that one, as if attended to there."""
    specimen = looked[NUMBER].specimen
    batch, last = alone(specimen.pairs.bases, 0), Port(1, "resid_post")
    side = looked[NUMBER].ask("head_seen", {"layer": LAYER, "head": HEAD})["base"]
    result, v = Port(LAYER, "result"), Port(LAYER, "v")
    read = ran(looked[NUMBER], batch, last, result, v)[1]
    out = specimen.model.bridge.blocks[LAYER].attn.o.original_component.weight
    values = read[v][0, :, HEAD // 2] @ out.T.reshape(4, -1, out.shape[0])[HEAD]
    gain = specimen.readout.gain * specimen.readout.weight
    scales = read[last][0].square().mean(-1).sqrt()
    assert float(scales[0]) != pytest.approx(float(scales[-1]), rel=0.02)
    for query, vector in enumerate(read[result][0, :, HEAD]):
        promoted = (gain @ vector / scales[query]).topk(3).values.tolist()
        assert [one["value"] for one in side["written"][query]["promoted"][:3]] == pytest.approx(promoted, rel=1e-3)
        demoted = (gain @ values[query] / scales[-1]).neg().topk(3).values.neg().tolist()
        assert [one["value"] for one in side["keys"][query]["demoted"][:3]] == pytest.approx(demoted, rel=1e-3)


def test_what_a_norm_follows_is_not_told_as_written(looked: dict[str, PromptInspection]) -> None:
    """Gemma-2 norms what heads and neurons write before it is added to the stream."""
    looks = looked[NORMED]
    head, neuron = looks.ask("head", {"layer": 0, "head": 1}), looks.ask("neuron", {"layer": 0, "index": 1})
    side = head["base"]
    assert not side["adds"]
    assert [set(side[name]) for name in ("written", "keys", "size")] == [{None}] * 3
    assert [side["direct"], side["by_key"], head["direct"], head["attention"]["size"]] == [None] * 4
    assert [neuron["writes"], neuron["direct"]] == [None, None]
    assert head["ablations"]["mean"]["difference"]["n"] > 0
    for request, record in (("head", head), ("neuron", neuron), ("heads", looks.ask("heads", {"layer": 0}))):
        told = inspect_text.text(request, record)
        assert request == "heads" or "not defined: a norm stands between these parts and the stream" in told
    assert any("not defined: a norm" in line for line in head_text.about(head))
    assert any("not defined: a norm" in line for line in neuron_text.about(neuron, ""))


def test_of_cutoffs_the_rises_are_compared(looked: dict[str, PromptInspection]) -> None:
    """The logit of an allowed digit says nothing of where the cutoff is."""
    looks = looked[DECADE]
    specimen, code = looks.specimen, looks.specimen.pairs.answer
    assert looks.ask("overview", {})["contrast"].startswith("rise of logits at the right cutoff less")
    for row in (0, 1, 2):
        (one,) = looks.ask("examples", {"start": row, "count": 1})["examples"]
        batch, (right, other) = alone(specimen.pairs.bases, row), specimen.between[row].tolist()
        ask = Ask(torch.tensor([[batch.tokens.shape[1] - 1]]), torch.tensor(code.columns))
        ports = [Port(layer, name) for layer in (0, 1) for name in ("result", "mlp_out")]
        with torch.no_grad():
            run = specimen.model.forward(batch, reads=[Port(None, "embed"), Port(1, "resid_post"), *ports], ask=ask)
        assert run.outputs is not None
        logits = run.outputs[0, 0]
        expected = float(logits[right + 1] - logits[right] - (logits[other + 1] - logits[other]))
        assert one["difference"] == near(expected)
        assert one["between"] == [str(right + 1), str(other + 1)]
        after = logits.softmax(0)[right + 1 :].sum() > 0.5
        assert one["base"]["right"] == (bool(after) and int(logits.diff().argmax()) == right)
        pull = prompt_effects.pulls(specimen, specimen.between[row : row + 1])[0]
        parts = [run.reads[port][0, -1].reshape(-1, len(pull)).sum(0) for port in (Port(None, "embed"), *ports)]
        scale = run.reads[Port(1, "resid_post")][0, -1].square().mean().sqrt()
        assert float(torch.stack(parts).sum(0) @ pull / scale) == pytest.approx(expected, abs=1e-4)
        lens = looks.ask("states", {"site": "L1.resid_post@last", "example": row})["base"]["layers"][-1]
        assert lens["difference"] == pytest.approx(expected, abs=1e-5)


def test_what_is_known_at_once_is_of_the_whole_record(looked: dict[str, PromptInspection]) -> None:
    looks, late = looked[NUMBER], {"ablations", "controls", "swaps"}
    for request, where, more in (
        ("head", {"layer": 0, "head": 1, "example": 1}, {"estimate", "rank"}),
        ("neuron", {"layer": 0, "index": 1}, set()),
    ):
        seen, whole = looks.ask(f"{request}_seen", where), looks.ask(request, where)
        assert set(whole) - set(seen) == late | more
        assert {name: whole[name] for name in seen} == seen


def test_statistics_are_means_over_prompts_one_by_one(looked: dict[str, PromptInspection]) -> None:
    looks = looked[NAME]
    found: dict[str, list[float]] = {
        name: [] for name in ("entropy", "self", "previous", "first", "duplicate", "induction")
    }
    last = []
    for batch in singles(looks):
        text = "".join(looks.specimen.text(batch, 0))
        side = looks.ask("head_seen", {"layer": LAYER, "head": HEAD, "tokens": [text]})["base"]
        weights, ids = torch.tensor(side["pattern"], dtype=torch.float64), batch.tokens[0].tolist()
        queries = range(len(ids))
        found["entropy"].append(
            mean([-sum(w * float(torch.tensor(w).log2()) for w in weights[q].tolist() if w) for q in queries])
        )
        found["self"].append(mean([float(weights[q, q]) for q in queries]))
        found["previous"].append(mean([float(weights[q, q - 1]) if q else 0.0 for q in queries]))
        found["first"].append(float(weights[:, 0].mean()))
        last.append(float(weights[-1, -1]))
        again = {q: [k for k in range(q) if ids[k] == ids[q]] for q in queries}
        after = {q: [k + 1 for k in keys if k + 1 < q] for q, keys in again.items()}
        for name, keys in (("duplicate", again), ("induction", after)):
            some = [sum(float(weights[q, k]) for k in chosen) for q, chosen in keys.items() if chosen]
            found[name] += [mean(some)] if some else []
    seen = looks.ask("heads", {"layer": LAYER})["heads"][HEAD]["attention"]
    for name, values in found.items():
        assert (seen[name]["value"], seen[name]["n"]) == (pytest.approx(mean(values), abs=1e-5), len(values)), name
    assert seen["last to last"]["value"] == near(mean(last))
    assert found["duplicate"]  # names come twice
    assert looked[NUMBER].ask("heads", {"layer": LAYER})["heads"][HEAD]["attention"]["duplicate"] is None


def ablated(looks: PromptInspection, port: Port, part: Any) -> tuple[float, float]:
    """What mean ablation of a part adds to the difference, prompt by prompt: exactly, and to first order."""
    batches, between = singles(looks, few=True), looks.specimen.contrasts(looks.specimen.few)
    own = [ran(looks, batch, port)[1][port][0] for batch in batches]
    exact, first = [], []
    for number, (batch, values) in enumerate(zip(batches, own, strict=True)):
        average = torch.stack(
            [torch.stack([one[place] for one in own if len(one) > place]).mean(0) for place in range(len(values))]
        )
        added = []
        for share in (1.0, 1e-2, -1e-2):
            changed = values.clone()
            changed[part] = (values + share * (average - values))[part]
            outputs, _ = ran(looks, batch, edits={port: lambda _, changed=changed: changed[None]})
            added.append(less(outputs, between[number]))
        exact.append(added[0] - less(ran(looks, batch)[0], between[number]))
        first.append((added[1] - added[2]) / 2e-2)
    return mean(exact), mean(first)


@pytest.mark.parametrize("cell", [NUMBER, NAME])
def test_effects_of_a_head_are_those_of_ablating_it_in_each_prompt(
    cell: str, looked: dict[str, PromptInspection]
) -> None:
    record = looked[cell].ask("head", {"layer": LAYER, "head": HEAD})
    exact, first = ablated(looked[cell], Port(LAYER, "z"), (slice(None), HEAD))
    assert record["ablations"]["mean"]["difference"]["value"] == pytest.approx(exact, abs=1e-5)
    assert record["estimate"]["value"] == pytest.approx(first, abs=1e-3)
    assert record["ablations"]["mean"]["difference"]["n"] == looked[cell].specimen.few.n
    assert record["controls"]["no_op"]["difference"]["value"] == 0
    assert record["controls"]["random_head"]["count"] == 4
    assert list(record["swaps"]) == (["all"] if cell == NAME else ["subject", "last"])
    direct = []
    for row, batch in enumerate(singles(looked[cell])):
        result = ran(looked[cell], batch, Port(LAYER, "result"), Port(1, "resid_post"))[1]
        between = looked[cell].specimen.contrasts(looked[cell].specimen.inputs)[row]
        pull = looked[cell].specimen.readout.pulls(
            *(torch.tensor([looked[cell].specimen.labelled[one]]) for one in between.tolist())
        )[0]
        state = result[Port(1, "resid_post")][0, -1]
        direct.append(float(result[Port(LAYER, "result")][0, -1, HEAD] @ pull / state.square().mean().sqrt()))
    assert record["direct"]["value"] == pytest.approx(mean(direct), rel=1e-4)


def test_neurons_are_those_of_each_prompt(looked: dict[str, PromptInspection]) -> None:
    looks, port = looked[NAME], Port(LAYER, "mlp.post")
    every = looks.ask("neurons", {"layer": LAYER})["neurons"]
    own = [ran(looks, batch, port)[1][port][0] for batch in singles(looks)]
    values = torch.cat(own)
    assert len(every) == looks.specimen.model.shape.d_mlp
    for one in every:
        here = values[:, one["neuron"]]
        assert (one["max"], one["n"]) == (near(float(here.max())), len(here))
        assert one["mean"] == near(float(here.mean()))
        assert one["active"]["value"] == near(float((here > 1e-4 * here.abs().max()).float().mean()))
    record = looks.ask("neuron", {"layer": LAYER, "index": NEURON, "tokens": ["When Mary"]})
    exact, first = ablated(looks, port, (slice(None), slice(NEURON, NEURON + 1)))
    assert record["ablations"]["mean"]["difference"]["value"] == pytest.approx(exact, abs=1e-5)
    assert record["estimate"]["value"] == pytest.approx(first, abs=1e-3)
    assert sorted(one["rank"]["rank"] for one in every)[0] == 1
    best = max(range(len(own)), key=lambda row: float(own[row][:, NEURON].max()))
    assert record["top"][0]["activations"] == near(own[best][:, NEURON].tolist())
    assert (record["own"]["tokens"], sum(record["histogram"]["counts"])) == (["When", " Mary"], len(values))
    written = record["writes"]["promoted"][0]
    out = looks.specimen.model.bridge.blocks[LAYER].mlp.out.original_component.weight[:, NEURON]
    logits = looks.specimen.readout.written(out, record["writes"]["scale"])
    assert (written["id"], written["value"]) == (int(logits.argmax()), near(float(logits.max())))


def test_the_lens_of_the_last_layer_is_the_models_answer(looked: dict[str, PromptInspection]) -> None:
    looks = looked[NUMBER]
    states = looks.ask("states", {"site": "L0.resid_post@subject", "example": 3})
    (one,) = looks.ask("examples", {"start": 3, "count": 1})["examples"]
    for name in ("base", "source"):
        assert states[name]["at"] == one[name]["at"]["subject"]
        at_last = looks.ask("states", {"site": "L1.resid_post@last", "example": 3})[name]
        likely = [(each["token"], near(each["value"])) for each in one[name]["top"][:3]]
        assert [(each["token"], each["value"]) for each in at_last["layers"][-1]["top"]] == likely
        assert [one["token"] for one in at_last["top"][-1]] == [token for token, _ in likely]
    assert looks.ask("states", {"site": "L1.resid_post@last", "example": 3})["base"]["layers"][-1]["difference"] == (
        pytest.approx(one["difference"], abs=1e-5)
    )
    for part in ("mlp.post", "attn_out"):  # what is added to the stream is none
        assert looks.ask("states", {"site": f"L1.{part}@last"})["base"]["top"] is None


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_the_readout_is_the_models_own_with_layer_norms_and_with_capped_logits(name: str) -> None:
    """And the final norm with a fixed scale is linear: what is added to the stream adds up to the logits."""
    model, batch = family(name), mixed()
    found, last = readout(model), Port(model.shape.n_layers - 1, "resid_post")
    ask = Ask(torch.full((batch.rows, 1), batch.tokens.shape[1] - 1), torch.arange(model.shape.vocabulary))
    with torch.no_grad():
        run = model.forward(batch, reads=[last], ask=ask)
    states = run.reads[last][:, -1]
    assert found.lens(states) == near(run.outputs[:, 0])
    assert (found.centres, found.cap) == ((True, None) if name == "gpt2" else (False, 30.0))
    own = found.shift @ found.weight.T + (0 if found.bias is None else found.bias)
    whole = found.written(states[0], float(found.scales(states)[0])) + own
    given = run.outputs[0, 0] if found.cap is None else found.cap * torch.atanh(run.outputs[0, 0] / found.cap)
    assert whole == pytest.approx(given, abs=1e-4)


def test_a_site_is_told_in_principal_components_and_a_span_in_coordinates(looked: dict[str, PromptInspection]) -> None:
    looks = looked[NUMBER]
    pairs, port = looks.specimen.pairs, Port(0, "resid_post")
    own = torch.stack([ran(looks, alone(pairs.bases, row), port)[1][port][0, -1] for row in range(pairs.n)])
    other = torch.stack([ran(looks, alone(pairs.sources, row), port)[1][port][0, -1] for row in range(pairs.n)])
    both = torch.cat([own, other])
    size = torch.linalg.svdvals(both - both.mean(0))[0]
    record = looks.ask("site", {"site": "L0.resid_post@last"})
    values = looks.ask("states", {"site": "L0.resid_post@last"})["examples"]
    first = torch.tensor([line[0] for side in ("base", "source") for line in values[side]])
    assert float(first.norm()) == pytest.approx(float(size), rel=1e-5)
    assert record["rows"][0]["mean"]["value"] == pytest.approx(float(first[: pairs.n].mean()), abs=1e-5)
    assert record["swaps"]["last"]["iia"]["n"] == int(looks.specimen.swapped.informative("number").sum())
    span = looks.ask("states", {"site": "L0.resid_post[2:4]@last"})
    assert span["names"] == ["d2", "d3"]
    assert torch.tensor(span["examples"]["base"]) == near(own[:, 2:4])
    assert [one["dim"] for one in looks.ask("residual", {"layer": 0, "position": "last"})["dims"]] == [
        one["name"] for one in record["rows"]
    ]


def test_a_mean_over_bases_counts_each_once(looked: dict[str, PromptInspection]) -> None:
    """A row of the task has a counterfactual of each kind, beside the same base."""
    looks = looked[NAME]
    record, residual = (
        looks.ask("site", {"site": "L0.resid_post@last"}),
        looks.ask("residual", {"layer": 0, "position": "last"}),
    )
    values = looks.ask("states", {"site": "L0.resid_post@last"})["examples"]["base"]
    first = {looks.specimen.examples[row].base["prompt"]: row for row in reversed(range(looks.specimen.pairs.n))}
    assert record["bases"] == len(first) < looks.specimen.pairs.n == len(values)
    expected = effects.mean(torch.tensor([values[row][0] for row in first.values()]))
    for one in (record["rows"][0]["mean"], residual["dims"][0]["mean"]):
        assert one == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_an_own_prompt_is_the_text_as_it_was_typed(looked: dict[str, PromptInspection]) -> None:
    looks = looked[NUMBER]
    assert looks.ask("own", {"tokens": ["The  dogs\x1b[31m"]})["tokens"][:2] == ["The", " "]
    given = looks.ask("own", {"tokens": "The dogs"})
    assert (given["tokens"], given["answers"], given["right"]) == (["The", " dogs"], None, None)
    assert sum(one["value"] for one in given["top"]) <= 1
    long = " dogs" * 70
    for wrong, sentence in (
        ([" "], "the prompt is empty; write some text"),
        ([""], "the prompt is empty"),
        (["a", "b"], "is no prompt; write one text"),
        ([long], "the prompt has 70 tokens; llama is shown at most 64: shorten it"),
        (["x" * 10_000], "the prompt has more tokens"),
    ):
        for request, where in (("own", {}), ("head", {"layer": 0, "head": 0}), ("neuron", {"layer": 0, "index": 0})):
            with pytest.raises(InvalidSetting, match=sentence):
                looks.ask(request, {**where, "tokens": wrong})


def test_what_cannot_be_asked_is_a_sentence(
    looked: dict[str, PromptInspection], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks, other = looked[NUMBER], looked[NAME]
    asked: tuple[tuple[PromptInspection, str, dict[str, Any], type[WorkbenchError], str], ...] = (
        (looks, "heads", {"layer": 2}, InvalidSetting, "layer is 2; write a whole number from 0 to 1"),
        (looks, "angles", {"run": "1"}, InvalidSetting, "no compiled truth for this model, so that no angle"),
        (looks, "site", {"site": "L0.state@last"}, UnsupportedSite, "cannot read 'state'; it can: "),
        (
            other,
            "site",
            {"site": "L1.head2.z@all"},
            InvalidSetting,
            "look at the head itself: mib-like.ioi/llama/outpu",
        ),
        (looks, "states", {"site": 3}, InvalidSetting, "site is 3; write a name, such as"),
    )
    for one, request, given, kind, sentence in asked:
        with pytest.raises(kind, match=sentence):
            one.ask(request, given)
    assert looks.ask("truth", {})["why"] == "no compiled truth for this model"
    home = Store(tmp_path)
    with pytest.raises(UnknownName, match="variable of sva"):
        opening.inspection(Cell("lm.sva", "llama", "numbers"), home)
    monkeypatch.setattr(sieve, "able", lambda *given: ([], every_row(*given)[1]))
    with pytest.raises(InsufficientData, match="llama does no test row right on both sides"):
        opened(NUMBER, home)


def test_every_answer_has_a_form_as_text(looked: dict[str, PromptInspection]) -> None:
    where: dict[str, dict[str, Any]] = {
        "own": {"tokens": ["The dogs"]},
        "heads": {"layer": 0},
        "head": {"layer": 0, "head": 1},
        "neurons": {"layer": 0},
        "neuron": {"layer": 0, "index": 1, "tokens": ["The dogs"]},
        "residual": {"layer": -1, "position": "last"},
        "site": {"site": "embed@last"},
        "states": {"site": "L0.attn_out@last"},
    }
    for request in set(PLACES) - {"angles"}:
        told = inspect_text.text(request, looked[NUMBER].ask(request, where.get(request, {})))
        assert told
        assert "\x1b" not in told
