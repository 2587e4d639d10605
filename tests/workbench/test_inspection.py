"""Inspections: every value is what the engines compute by themselves, every label what the compiler knows."""

import json
import math
from collections import Counter
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.decoder_model import DecoderModel
from engines.errors import InvalidSetting, UnknownName, UnsupportedSite
from engines.evaluation import estimate, full, joint
from engines.interval import wilson
from engines.model import Ask, Batch
from engines.setup import untrained
from engines.site import Port, Site
from engines.task import draw_pairs
from engines.tasks.adder import TASK as ADDER
from engines.tasks.equality import TASK as EQUALITY
from tracr_bridge.rungs import RUNGS
from tracr_bridge.task import network
from tracr_bridge.wiring import Reader, Writer
from workbench import effects, inspect_text
from workbench.inspect_cli import PLACES
from workbench.inspection import REQUESTS, Inspection, plain
from workbench.spec import Cell
from workbench.specimen import Specimen, alone, prepare

CELLS = ("rasp.rank/compiled/lead", "rasp.parity/scrambled/odd", "rasp.pair_balance/copies/opens")
"""Two heads a layer; a causal one in another basis; one that answers by a number, with second copies."""


@cache
def inspection(cell: str) -> Inspection:
    """One inspection for all tests of a cell."""
    return Inspection(prepare(Cell.parse(cell)))


@pytest.fixture(params=CELLS)
def looked(request: pytest.FixtureRequest) -> Inspection:
    """An inspection of each of ``CELLS``."""
    return inspection(request.param)


def near(value: Any) -> Any:
    """Equal to 1e-6, as numbers in single precision can be."""
    return pytest.approx(value, abs=1e-6, rel=1e-6)


def reads(model: Any, batch: Batch, *components: str, layer: int) -> list[Tensor]:
    """Activations of one input."""
    ports = [Port(layer, component) for component in components]
    with torch.no_grad():
        run = model.forward(batch, reads=ports)
    return [run.reads[port] for port in ports]


def rows(specimen: Specimen) -> list[Batch]:
    """Every distinct input by itself, without padding."""
    return [alone(specimen.inputs.bases, row) for row in range(specimen.inputs.n)]


def judged(specimen: Specimen, edits: list[dict[Port, Any]]) -> tuple[list[bool], list[float]]:
    """Whether each input is answered right, and its loss, one input at a time."""
    inputs, right, losses = specimen.inputs, [], []
    for row, (batch, edit) in enumerate(zip(rows(specimen), edits, strict=True)):
        at = inputs.answers_at[row]
        some = at >= 0
        ask = Ask((at[some] - inputs.bases.padding[row])[None], torch.tensor(inputs.answer.columns))
        with torch.no_grad():
            outputs = specimen.model.forward(batch, edits=edit, ask=ask).outputs
        labels = inputs.base_labels[row][some][None]
        right.append(bool(inputs.answer.correct(outputs, labels)))
        losses.append(float(inputs.answer.loss(outputs, labels)))
    return right, losses


def test_a_pattern_is_the_softmax_of_queries_and_keys(looked: Inspection) -> None:
    specimen, layer = looked.specimen, 1
    model = specimen.model
    assert isinstance(model, DecoderModel)
    for example in (0, 7):
        batch = alone(specimen.pairs.bases, example)
        q, k, result, out = reads(model, batch, "q", "k", "result", "attn_out", layer=layer)
        written = torch.zeros_like(out[0])
        for head in range(model.shape.n_heads):
            record = looked.ask("head", {"layer": layer, "head": head, "example": example})
            scores = q[0, :, head] @ k[0, :, head].T / math.sqrt(model.shape.d_head)
            if model.decoder.shape.causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -1e30)
            assert np.array(record["base"]["pattern"]) == near(scores.softmax(-1).numpy())
            unembedded = result[0, :, head] @ model.decoder.W_U[:, list(specimen.pairs.answer.columns)]
            assert np.array(record["base"]["answer"]) == near(unembedded.numpy())
            assert record["base"]["size"] == near(result[0, :, head].norm(dim=-1).tolist())
            assert record["source"]["tokens"] == specimen.example(example)["source"]["tokens"]
            written += result[0, :, head]
        assert written.numpy() == near(out[0].numpy())


def test_what_a_head_writes_is_the_compiled_vector() -> None:
    """Of a head that moves tokens: it writes the token that it looks at."""
    looked = inspection("rasp.reverse/scrambled/opposite")
    record = looked.ask("head", {"layer": 2, "head": 0, "tokens": ["a", "b", "c"]})
    names = [one["name"] for one in record["directions"]]
    for query, token in ((1, "c"), (2, "b"), (3, "a")):
        assert record["base"]["pattern"][query] == pytest.approx([0.0] + [float(t == token) for t in "abc"], abs=1e-5)
        vector = dict(zip(names, record["base"]["writes"][query], strict=True))
        assert vector.pop(f"reversed={token}") == pytest.approx(1, abs=1e-5)
        assert list(vector.values()) == pytest.approx([0] * len(vector), abs=1e-5)
    assert (record["example"], "source" in record) == (None, False)


def test_statistics_of_attention(looked: Inspection) -> None:
    specimen, layer = looked.specimen, 1
    model, found = specimen.model, {name: [] for name in ("entropy", "self", "previous", "first", "bos", "size")}
    assert isinstance(model, DecoderModel)
    for batch in rows(specimen):
        q, k, result = reads(model, batch, "q", "k", "result", layer=layer)
        scores = q[0, :, 0] @ k[0, :, 0].T / math.sqrt(model.shape.d_head)
        if model.decoder.shape.causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -1e30)
        weights = scores.double().softmax(-1).tolist()
        asking = range(1, len(weights))
        found["entropy"].append(fmean(-sum(w * math.log2(w) for w in weights[at] if w > 0) for at in asking))
        found["self"].append(fmean(weights[at][at] for at in asking))
        found["previous"].append(fmean(weights[at][at - 1] for at in asking))
        found["first"].append(fmean(weights[at][1] for at in asking))
        found["bos"].append(fmean(weights[at][0] for at in asking))
        found["size"].append(fmean(float(result[0, at, 0].norm()) for at in asking))
    record = looked.ask("heads", {"layer": layer})["heads"][0]["attention"]
    for name, values in found.items():
        assert record[name]["value"] == near(fmean(values))
        assert record[name]["n"] == specimen.inputs.n
        assert record[name]["low"] <= record[name]["value"] <= record[name]["high"]


@pytest.mark.parametrize(("what", "component"), [("head", "z"), ("neuron", "mlp.post")])
def test_ablations_are_edits_of_one_input_at_a_time(looked: Inspection, what: str, component: str) -> None:
    specimen, layer, index = looked.specimen, 1, 0
    port, inputs, every = Port(layer, component), specimen.inputs, rows(specimen)
    own = [reads(specimen.model, batch, component, layer=layer)[0][0, :, index] for batch in every]
    sources = [
        reads(specimen.model, alone(inputs.sources, row), component, layer=layer)[0][0, :, index]
        for row in range(inputs.n)
    ]
    average = [
        torch.stack([one[at] for one in own if len(one) > at]).double().mean(0) for at in range(max(map(len, own)))
    ]

    def edit(vectors: Tensor) -> dict[Port, Any]:
        def replaced(activation: Tensor) -> Tensor:
            changed = activation.clone()
            changed[0, :, index] = vectors
            return changed

        return {port: replaced}

    chosen = {
        "zero": [torch.zeros_like(one) for one in own],
        "mean": [torch.stack(average[: len(one)]).to(one.dtype) for one in own],
        "resample": sources,
    }
    plain_right, plain_loss = judged(specimen, [{} for _ in every])
    paired = [not torch.equal(batch.tokens, alone(inputs.sources, row).tokens) for row, batch in enumerate(every)]
    place = {"layer": layer, "head" if what == "head" else "index": index}
    record = looked.ask(what, place)
    for kind, found in record["ablations"].items():
        right, loss = judged(specimen, [edit(vectors) for vectors in chosen[kind]])
        among = [at for at in range(inputs.n) if kind != "resample" or paired[at]]
        assert found["right"]["n"] == found["loss"]["n"] == len(among)
        assert found["right"]["value"] == near(fmean(right[at] for at in among))
        assert found["loss"]["value"] == pytest.approx(fmean(loss[at] - plain_loss[at] for at in among), abs=2e-6)
        assert 0 <= found["right"]["low"] <= found["right"]["value"] <= found["right"]["high"] <= 1
    assert record["controls"]["no_op"]["right"]["value"] == near(fmean(plain_right)) == 1
    assert record["controls"]["no_op"]["loss"]["value"] == 0
    assert set(record["ablations"]) == ({"mean", "resample"} if what == "head" else set(chosen))


def test_resampled_inputs_are_others_of_the_same_length(looked: Inspection) -> None:
    inputs = looked.specimen.inputs
    assert torch.equal(inputs.bases.mask.sum(1), inputs.sources.mask.sum(1))
    texts = [tuple(looked.specimen.text(inputs.bases, row)) for row in range(inputs.n)]
    assert len(set(texts)) == inputs.n
    lengths = Counter(map(len, texts))
    for row, text in enumerate(texts):
        same = tuple(looked.specimen.text(inputs.sources, row)) == text
        assert same == (lengths[len(text)] == 1)


def test_a_full_swap_is_the_engines_estimate(looked: Inspection) -> None:
    specimen = looked.specimen
    for request, site in (
        ({"layer": 1, "head": 0}, Site(1, "result", "target", 0)),
        ({"layer": 1, "index": 3}, Site(1, "mlp.post", "target", None, (3, 4))),
    ):
        record = looked.ask("head" if "head" in request else "neuron", request)["swaps"]["target"]
        outputs, base = joint(specimen.model, specimen.pairs, [full(specimen.model, [site])])
        for found, given in ((record, outputs[0]), (record["controls"]["no_op"], base)):
            quality = estimate(given, specimen.pairs, specimen.variable)
            assert quality.invariance is not None
            informs = specimen.pairs.informative(specimen.variable)
            bases = specimen.pairs.bases_among(informs)
            assert found["iia"] == near({**vars(quality.iia), "bases": bases})
            assert {**found["invariance"], "bases": 0} == near({**vars(quality.invariance), "bases": 0})


def test_random_swaps_are_pooled_with_the_interval_of_one(looked: Inspection) -> None:
    for request, name in (({"layer": 1, "head": 0}, "random_heads"), ({"layer": 1, "index": 3}, "random_neurons")):
        record = looked.ask("head" if "head" in request else "neuron", request)["swaps"]["target"]
        each, pool = record["controls"][name], record["controls"]["pooled"]
        assert pool["count"] == len(each) > 1
        for kind in ("iia", "invariance"):
            one, value = each[0][kind], fmean(one[kind]["value"] for one in each)
            alone = wilson(value * one["n"], one["n"], independent=one["bases"])
            assert pool[kind] == near({**vars(alone), "bases": one["bases"]})
    assert effects.controls({}, "random_heads", [])["pooled"] is None  # a network with one head has no other
    lacking = effects.controls({}, "random_heads", [{"iia": None, "invariance": None}])["pooled"]
    assert lacking == {"count": 1, "iia": None, "invariance": None}


def test_controls_are_other_heads_and_never_the_head_itself() -> None:
    looked = inspection(CELLS[0])
    shape = looked.specimen.model.shape
    every = [looked.ask("heads", {"layer": layer})["heads"] for layer in range(shape.n_layers)]
    flat = [one for layer in every for one in layer]
    for place, one in enumerate(flat):
        pooled = one["controls"]["random_head"]
        assert pooled["count"] == len(flat) - 1  # few heads: all the others
        others = [each["ablations"]["mean"]["right"]["value"] for at, each in enumerate(flat) if at != place]
        assert pooled["mean"]["right"]["value"] == near(fmean(others))
        assert one["rank"]["of"] == len(flat)
    assert sorted(one["rank"]["rank"] for one in flat)[0] == 1


def test_activations_of_neurons(looked: Inspection) -> None:
    specimen, layer = looked.specimen, 1
    batch = specimen.inputs.bases
    (post,) = reads(specimen.model, batch, "mlp.post", layer=layer)
    every = [post[row][batch.mask[row]] for row in range(batch.rows)]
    values = torch.cat([one[1:] for one in every]).double().numpy()
    listed = looked.ask("neurons", {"layer": layer})["neurons"]
    assert len(listed) == specimen.model.shape.d_mlp
    strongest = int(values.max(0).argmax())
    for index in (0, strongest):
        record = looked.ask("neuron", {"layer": layer, "index": index})
        column = values[:, index]
        assert (record["n"], record["max"]) == (len(column), near(column.max()))
        assert record["quantiles"] == {str(at): near(np.quantile(column, at)) for at in (0.99, 0.9, 0.5)}
        assert record["active"]["value"] == near(float((column > 1e-4 * abs(column).max()).mean()))
        assert sum(record["histogram"]["counts"]) == len(column)
        groups = [*record["groups"], record["nonzero"], {"inputs": record["top"]}]
        for one in (each for group in groups for each in group["inputs"]):
            assert one["activations"] == near(every[one["input"]][:, index].tolist())
            assert one["largest"] == near(float(every[one["input"]][1:, index].max()))
            assert len(one["tokens"]) == len(one["activations"])
        largest = [one["largest"] for one in record["top"]]
        assert largest == sorted(largest, reverse=True)
        assert largest[0] == record["max"] == listed[index]["max"]
        assert all(any(value for value in one["activations"][1:]) for one in record["nonzero"]["inputs"])
        assert {key: record[key] for key in listed[index]} == listed[index]
        assert isinstance(specimen.model, DecoderModel)
        decoder = specimen.model.decoder
        written = decoder.get_parameter(f"blocks.{layer}.mlp.W_out")[index]
        assert record["answer"] == near((written @ decoder.W_U[:, list(specimen.pairs.answer.columns)]).tolist())


@pytest.mark.parametrize("rung", RUNGS)
def test_labelled_directions_hold_what_the_program_says(rung: str) -> None:
    looked = inspection(f"rasp.pair_balance/{rung}/opens") if rung == "copies" else inspection(f"rasp.rank/{rung}/lead")
    specimen = looked.specimen
    assert specimen.network is not None
    known, last = specimen.network.truth, specimen.model.shape.n_layers - 1
    record = looked.ask("residual", {"layer": last, "position": "target"})
    assert record["n"] == len(record["directions"][0]["values"]) == specimen.pairs.n
    for row in (0, 5, 11):
        tokens = tuple(known.compiled.tokens[each] for each in alone(specimen.pairs.bases, row).tokens[0, 1:].tolist())
        run, at = known.causal.run({"tokens": tokens}), specimen.example(row)["base"]["at"]["target"] - 1
        for one in record["directions"]:
            label, value = one["label"], one["values"][row]
            if label["role"] not in ("value", "decoy"):
                continue
            taken = run[label["variable"]][at]  # type: ignore[index]
            numerical = known.variable(label["variable"]).encoding == "numerical"
            right = float(taken or 0) if numerical else float(taken is not None and taken == label["value"])
            assert value == pytest.approx(right, abs=1e-3), (tokens, at, label["name"])  # rotations round


def test_coordinates_are_labelled_where_they_mean_something() -> None:
    for rung, role in (("decoys", "decoy"), ("copies", "copy")):
        dims = inspection(f"rasp.pair_balance/{rung}/opens").ask("residual", {"layer": 0, "position": "last"})["dims"]
        labels = [one["label"] for one in dims]
        assert {one["variable"] for one in labels if one and one["role"] == role} == {"opens", "closes"}
    known = inspection("rasp.rank/compiled/lead").specimen.network
    assert known is not None
    dims = inspection("rasp.rank/compiled/lead").ask("residual", {"layer": -1, "position": "t1"})["dims"]
    for name, start, stop in known.truth.blocks:
        assert {one["label"]["variable"] for one in dims[start:stop]} == {name}
    rotated = inspection("rasp.rank/rotated/lead").ask("residual", {"layer": 0, "position": "last"})["dims"]
    assert all(one["label"] is None for one in rotated)


@pytest.mark.parametrize("rung", ["compiled", "scrambled", "compressed"])
def test_heads_are_labelled_by_the_wiring(rung: str) -> None:
    made = network("rank", rung)
    known, looked = made.truth, inspection(f"rasp.rank/{rung}/lead")
    shape = known.decoder.shape
    for layer in range(shape.n_layers):
        records = looked.ask("heads", {"layer": layer})["heads"]
        for head in range(shape.n_heads):
            label = records[made.heads.get((layer, head), head)]["label"]
            ours = [one for one in known.variables.values() if Writer(layer, "head", head) in one.writers]
            if not ours:
                assert label is None
                continue
            assert label["writes"] == [one.name for one in ours if one.encoding is not None]
            assert label["selects"] == [one.name for one in ours if one.encoding is None]
            for part in "qkv":
                reader = Reader(layer, part, head)  # type: ignore[arg-type]
                read = {one.name for one in known.variables.values() if reader in one.readers}
                assert set(label["reads"][part]) - {"one", "BOS"} == read


def test_heads_that_nothing_reads_have_no_label_and_copies_say_so() -> None:
    decoys = network("pair_balance", "decoys")
    for layer, head in decoys.idle:
        records = inspection("rasp.pair_balance/decoys/opens").ask("heads", {"layer": layer})["heads"]
        assert records[head]["label"] is None
    copies = network("pair_balance", "copies")
    assert copies.doubled
    for (layer, head), first in copies.doubled.items():
        records = inspection("rasp.pair_balance/copies/opens").ask("heads", {"layer": layer})["heads"]
        assert records[head]["label"] == {**records[first]["label"], "copy": True}


def test_neurons_are_labelled_by_what_they_write() -> None:
    made = network("rank", "compiled")
    known = made.truth
    for layer in range(known.decoder.shape.n_layers):
        records = inspection("rasp.rank/compiled/lead").ask("neurons", {"layer": layer})["neurons"]
        for record in records:
            index = record["neuron"]
            written = {
                one.name
                for one in known.variables.values()
                if any((w.layer, w.part) == (layer, "mlp") and index in w.neurons for w in one.writers)
            }
            read = {
                one.name
                for one in known.variables.values()
                if any((r.layer, r.part) == (layer, "mlp") and index in r.neurons for r in one.readers)
            }
            assert {one["variable"] for one in record["label"]["writes"]} == written
            assert record["label"]["variable"] == (written.pop() if len(written) == 1 else None)
            assert read <= set(record["label"]["reads"])
        for rung in ("scrambled", "compressed", "embedded"):
            theirs = inspection(f"rasp.rank/{rung}/lead").ask("neurons", {"layer": layer})["neurons"]
            labels = [[one["label"]["variable"] for one in each] for each in (records, theirs)]
            assert Counter(filter(None, labels[0])) == Counter(filter(None, labels[1]))


def test_examples_and_prompts_have_the_programs_answers() -> None:
    looked = inspection("rasp.reverse/compiled/opposite")
    found = looked.ask("examples", {"start": 2, "count": 5})
    assert [one["example"] for one in found["examples"]] == [2, 3, 4, 5, 6]
    for one in found["examples"]:
        for side in (one["base"], one["source"]):
            assert side["answers"] == side["given"] == side["tokens"][:0:-1]
            assert side["right"] is True
            assert side["answered"] == list(range(1, len(side["tokens"])))
            assert side["at"]["last"] == len(side["tokens"]) - 1
    own = looked.ask("own", {"tokens": ["a", "c", "c"]})
    assert (own["tokens"], own["given"], own["right"]) == (["BOS", "a", "c", "c"], ["c", "c", "a"], True)
    neuron = looked.ask("neuron", {"layer": 1, "index": 9, "tokens": ["a", "c", "c"]})
    (values,) = reads(looked.specimen.model, looked.specimen.prompt(["a", "c", "c"]), "mlp.post", layer=1)
    assert neuron["own"] == {"tokens": own["tokens"], "activations": near(values[0, :, 9].tolist())}


@pytest.mark.parametrize(
    ("request_", "params", "kind", "sentence"),
    [
        ("heds", {}, UnknownName, "unknown request 'heds'. Did you mean 'heads'"),
        ("head", {"layer": 0}, InvalidSetting, "head needs 'head'; head takes: layer, head, example, tokens"),
        ("heads", {"layer": 0, "head": 1}, InvalidSetting, "heads has no parameter 'head'; heads takes: layer"),
        ("heads", {"layer": 3}, InvalidSetting, "layer is 3; write a whole number from 0 to 2"),
        ("heads", {"layer": True}, InvalidSetting, "layer is True; write a whole number from 0 to 2"),
        ("heads", {"layer": "0"}, InvalidSetting, "layer is '0'; write a whole number from 0 to 2"),
        ("head", {"layer": 0, "head": 1}, InvalidSetting, "head is 1; write 0, the only one there is"),
        ("head", {"layer": 0, "head": 0, "example": -1}, InvalidSetting, "example is -1; write a whole number from 0"),
        ("neuron", {"layer": 0, "index": 30}, InvalidSetting, "index is 30; write a whole number from 0 to 29"),
        ("residual", {"layer": 0, "position": "all"}, InvalidSetting, "position 'all' is more than one; choose one"),
        ("residual", {"layer": 0, "position": "here"}, UnknownName, "unknown position 'here'"),
        ("residual", {"layer": 0, "position": 1}, InvalidSetting, "position is 1; write a name, such as 'last'"),
        ("residual", {"layer": -2, "position": "last"}, InvalidSetting, "layer is -2; write a whole number from 0"),
        ("own", {"tokens": ["a", "z"]}, InvalidSetting, "unknown token 'z'; reverse takes 1 to 5 tokens out of a"),
        ("own", {"tokens": []}, InvalidSetting, "0 tokens were given; reverse takes 1 to 5 tokens out of a, b, c"),
        ("own", {"tokens": ["a"] * 6}, InvalidSetting, "6 tokens were given; reverse takes 1 to 5 tokens"),
        ("own", {"tokens": "abc"}, InvalidSetting, "'abc' is no prompt; give a list of tokens out of a, b, c"),
        ("own", {"tokens": ["BOS"]}, InvalidSetting, "unknown token 'BOS'"),
    ],
)
def test_what_cannot_be_asked_is_refused(request_: str, params: dict[str, Any], kind: type, sentence: str) -> None:
    with pytest.raises(kind) as caught:
        inspection("rasp.reverse/compiled/opposite").ask(request_, params)
    assert sentence in str(caught.value)


def test_prompts_that_a_program_does_not_admit_are_refused() -> None:
    looked = inspection("rasp.sort_unique/compiled/above")
    token = str(looked.ask("overview", {})["vocabulary"][0])
    assert looked.ask("own", {"tokens": [token]})["right"] is True
    with pytest.raises(InvalidSetting, match=f"'{token} {token}' is no prompt of sort_unique, which is compiled for"):
        looked.ask("own", {"tokens": [token, token]})


def trained(setup: Any, model: str, variable: str) -> Inspection:
    """A network without training, for what does not need it."""
    torch.manual_seed(0)
    found = untrained(setup, model)
    for weights in found.network.parameters():  # type: ignore[attr-defined]
        torch.nn.init.normal_(weights, std=0.5)
        weights.requires_grad_(False)
    pairs = draw_pairs(setup.task, "test", quota=4, seed=0)
    return Inspection(Specimen(Cell.parse(f"{setup.name}/{model}/{variable}"), found, pairs))


def test_networks_of_other_kinds_answer_what_makes_sense() -> None:
    adder, equality = trained(ADDER, "gru16", "C1"), trained(EQUALITY, "mlp", "WX")
    for request in ("heads", "neurons"):
        with pytest.raises(UnsupportedSite, match=f"adder/gru16 has no {request}; ask for its residual stream"):
            adder.ask(request, {"layer": 0})
    with pytest.raises(InvalidSetting, match="adder takes no prompts; look at its examples"):
        adder.ask("own", {"tokens": [0]})
    states = adder.ask("residual", {"layer": 0, "position": "t1"})
    (expected,) = reads(adder.specimen.model, adder.specimen.pairs.bases, "state", layer=0)
    shown = np.array([one["values"] for one in states["dims"]]).T
    assert shown == near(expected[:, 1].numpy())
    assert states["directions"] is None
    assert adder.ask("examples", {"count": 1})["examples"][0]["base"]["answered"] == [0, 1, 2, 3, 4]
    neuron = equality.ask("neuron", {"layer": 1, "index": 2})
    assert neuron["label"] is None
    assert neuron["swaps"]["last"]["iia"]["n"] > 0
    with pytest.raises(UnsupportedSite, match="equality/mlp has no heads"):
        equality.ask("heads", {"layer": 0})
    assert equality.ask("overview", {})["labelled"] is False


def test_records_are_json_and_have_a_text_each(looked: Inspection) -> None:
    asked = {"layer": 1, "head": 0, "index": 0, "position": "last", "site": "L1.resid_post@last", "tokens": None}
    asked["tokens"] = looked.ask("examples", {"count": 1})["examples"][0]["base"]["tokens"][1:]
    for request, places in PLACES.items():
        if request == "angles":  # about a run: tests/workbench/test_angles.py
            continue
        names = (*places, "tokens") if request == "own" else places
        record = looked.ask(request, {name: asked[name] for name in names})
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        words = inspect_text.text(request, record)
        assert words.isprintable() or "\n" in words
        assert "None" not in words
    assert set(PLACES) == set(REQUESTS) == set(inspect_text.FORMS)


def test_numbers_are_as_short_as_single_precision_allows() -> None:
    assert json.dumps(plain({"a": [0.1, float(np.float32(0.1)), -0.0, math.nan, -math.inf], 1: True})) == (
        '{"a": [0.1, 0.1, 0.0, "nan", "-inf"], "1": true}'
    )


def test_a_site_is_what_the_network_holds_there(looked: Inspection) -> None:
    """Means, values on examples and along an input are the network's own; the lens is its unembedding of them."""
    specimen = looked.specimen

    def close(value: Any) -> Any:
        """Equal but for the rounding of batches."""
        return pytest.approx(value, abs=2e-4)

    model, named = specimen.model, specimen.directions
    assert isinstance(model, DecoderModel)
    assert named is not None
    site = Site(1, "resid_post", "last")
    record, told = looked.ask("site", {"site": str(site)}), looked.ask("states", {"site": str(site), "example": 5})
    every = []
    for row in range(specimen.pairs.n):
        (states,) = reads(model, alone(specimen.pairs.bases, row), "resid_post", layer=1)
        every.append(
            named.read(states[0, int(specimen.pairs.base_at["last"][row] - specimen.pairs.bases.padding[row])])
        )
        if row == 5:
            assert np.array(told["base"]["values"]) == close(named.read(states[0]).numpy())
            outputs = model.decoder.unembed(states[0])[:, list(specimen.pairs.answer.columns)]
            assert np.array(told["base"]["lens"]) == close(outputs.numpy())
    prompts = specimen.pairs.bases.tokens.tolist()
    once = [every[row] for row, prompt in enumerate(prompts) if prompt not in prompts[:row]]
    assert len(once) < len(every)
    assert [one["mean"]["value"] for one in record["rows"]] == close(torch.stack(once).mean(0).tolist())
    assert {one["mean"]["n"] for one in record["rows"]} == {record["bases"]} == {len(once)}
    count = len(told["examples"]["base"])
    assert np.array(told["examples"]["base"]) == close(torch.stack(every[:count]).numpy())
    assert told["base"]["values"][told["base"]["at"]] == close(every[5].tolist())
    assert {one["name"] for one in record["rows"] if one["asked"]} == {
        label.name for label in named.labels if label.variable == specimen.variable
    }
    again = looked.ask("residual", {"layer": 1, "position": "last"})
    assert [one["mean"] for one in again["directions"]] == [one["mean"] for one in record["rows"]]


def test_a_sites_effects_are_those_of_its_swap_and_its_ablation(looked: Inspection) -> None:
    """Beside every other site of its kind: at each layer and named position, the embedding among them."""
    specimen = looked.specimen
    site = Site(1, "resid_post", "last")
    record = looked.ask("site", {"site": str(site)})
    (outputs,), base = joint(specimen.model, specimen.pairs, [(part,) for part in full(specimen.model, [site])])
    swap = estimate(outputs, specimen.pairs, specimen.variable)
    told = record["swaps"]["last"]
    assert (told["iia"]["value"], told["iia"]["n"]) == (near(swap.iia.value), swap.iia.n)
    nothing = estimate(base, specimen.pairs, specimen.variable)
    assert told["controls"]["no_op"]["iia"]["value"] == near(nothing.iia.value)
    inputs = specimen.inputs
    edits = []
    for row in range(inputs.n):
        column = int(inputs.base_at["last"][row] - inputs.bases.padding[row])

        def zero(x: Tensor, column: int = column) -> Tensor:
            x = x.clone()
            x[:, column] = 0
            return x

        edits.append({site.port: zero})
    right, losses = judged(specimen, edits)
    plain = judged(specimen, [{} for _ in range(inputs.n)])
    found = record["ablations"]["zero"]
    assert found["right"]["value"] == near(fmean(right))
    assert found["loss"]["value"] == near(fmean(losses) - fmean(plain[1]))
    shape, positions = specimen.model.shape, specimen.pairs.base_at
    assert len(record["peers"]) == (shape.n_layers + 1) * len(positions) - 1
    assert all(Site.parse(one).component in ("embed", "resid_post") for one in record["peers"])


def test_a_recurrent_state_is_a_site_among_its_steps() -> None:
    """Nothing is known of its coordinates; the unembedding does not read it, and its peers are the other steps."""
    found = trained(ADDER, "gru8", "C1")
    record, told = (found.ask(name, {"site": "L0.state@t1"}) for name in ("site", "states"))
    assert (record["kind"], len(record["rows"])) == ("coordinates", found.specimen.model.shape.d_state)
    assert {one["label"] for one in record["rows"]} == {None}
    assert record["peers"] == [f"L0.state@t{step}" for step in (0, 2, 3, 4)]
    assert told["base"]["lens"] is None
    assert record["ablations"]["mean"]["right"]["n"] == record["inputs"]


@pytest.mark.parametrize(
    ("site", "kind", "sentence"),
    [
        ("L9.resid_post@last", UnsupportedSite, "L9.resid_post@last: this model has layers 0 to"),
        ("L0.state@last", UnsupportedSite, "cannot read 'state'; it can: "),
        ("L1.resid_post@all", InvalidSetting, "position 'all' is more than one; choose one, such as"),
        ("L1.resid_post[3:900]@last", UnsupportedSite, "that vector has coordinates 0 to"),
        (3, InvalidSetting, "site is 3; write a name, such as"),
    ],
)
def test_sites_that_are_none(site: Any, kind: type[Exception], sentence: str) -> None:
    for request in ("site", "states"):
        with pytest.raises(kind, match=sentence):
            inspection(CELLS[0]).ask(request, {"site": site})
