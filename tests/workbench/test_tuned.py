"""A language model that is tuned to a task: what it learns, what is kept, what is told, and that nothing leaks."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from engines import prompted, sieve, tuning
from engines.errors import InvalidModel, InvalidSetting, Untrained
from engines.events import Advance, Stage, Trained, drain
from engines.language import sva
from engines.prompted import Bound
from engines.prompting import Example, Reader, examples
from engines.sieve import Kept
from engines.tuning import Recipe
from tests.engines.test_prompting import words
from workbench import prompt_rows, rows
from workbench.cli import main
from workbench.spec import Cell
from workbench.store import Store
from workbench.taught import mark, untaught

TASK = sva.TASK
SMALL: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one tiny random Llama whose tokens are the words of agreement."""
    home = tmp_path_factory.mktemp("models")
    found = examples(TASK, "all", rows.generated(TASK, "all", 400, 9).rows, TASK.sets)[0]
    tokenizer = words(TASK, found)
    torch.manual_seed(0)
    network = LlamaForCausalLM(LlamaConfig(**SMALL, vocab_size=len(tokenizer), pad_token_id=0))
    network.save_pretrained(home / "tiny")
    tokenizer.save_pretrained(home / "tiny")
    return home


@pytest.fixture(autouse=True)
def _models(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSAL_WORKBENCH_MODELS", str(models))


def every_row(
    _model: object, _bound: Bound, found: list[Example], _counting: object, _new_tokens: int
) -> tuple[list[Example], dict[str, Kept]]:
    """The filter of a network that can do everything, which this one cannot after so few steps."""
    return list(found), {"other_number": Kept(len(found), len(found))}


def share(folder: Path, answers: dict[str, str]) -> float:
    """The share of prompts on which the right verb has more probability than the other."""
    network = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager")
    encoder = prompted.Encoder(AutoTokenizer.from_pretrained(folder))
    verbs = [encoder.first(verb) for verb in sva.VERBS]
    with torch.no_grad():
        logits = network(torch.tensor([encoder.ids(prompt) for prompt in answers])).logits[:, -1, verbs]
    said = [sva.VERBS[int(verb)] for verb in logits.argmax(-1)]
    return sum(mine == right for mine, right in zip(said, answers.values(), strict=True)) / len(answers)


def network_and_texts(models: Path, n: int) -> tuple[LlamaForCausalLM, list[tuning.Text]]:
    """The tiny network and prompts of agreement with their answers."""
    network = LlamaForCausalLM.from_pretrained(models / "tiny", attn_implementation="eager")
    encoder = prompted.Encoder(AutoTokenizer.from_pretrained(models / "tiny"))
    found = examples(TASK, "all", rows.generated(TASK, "tune", n, 0).rows, TASK.sets)[0]
    return network, [(encoder.ids(str(one.base["prompt"])), [encoder.first(TASK.answer(one.base))]) for one in found]


def test_steps_lower_the_loss_and_leave_embeddings_as_they_are(models: Path) -> None:
    network, texts = network_and_texts(models, 24)
    before = copy.deepcopy(network.state_dict())
    recipe = Recipe(steps=3, batch=8, learning_rate=1e-2)
    events, losses = drain(tuning.tune(network, texts, recipe))
    assert events[0] == Stage("tuning", 3, "steps")
    assert [each for each in events if isinstance(each, Advance)] == [Advance(1), Advance(2), Advance(3)]
    assert [each.loss for each in events if isinstance(each, Trained)] == losses
    with torch.no_grad():
        assert float(tuning.loss(network, texts)) < losses[0] - 0.1
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in set(before) - changed} == {"lm_head", "model"}
    assert set(before) - changed == {"model.embed_tokens.weight", "lm_head.weight"}
    assert not any(each.requires_grad for each in network.parameters())
    again, _ = network_and_texts(models, 24)
    assert drain(tuning.tune(again, texts, recipe))[1] == losses


def test_the_loss_is_of_every_token_of_an_answer_and_of_a_prompt_alone_or_padded(models: Path) -> None:
    network, _ = network_and_texts(models, 1)
    texts: list[tuning.Text] = [([3, 4, 5, 6], [7, 8]), ([9], [10])]
    by_hand = []
    with torch.no_grad():
        for prompt, answer in texts:
            likely = network(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
            terms = [float(likely[len(prompt) - 1 + place, token]) for place, token in enumerate(answer)]
            by_hand.append(-sum(terms) / len(terms))
        assert float(tuning.loss(network, texts)) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_a_stopped_or_failed_tuning_leaves_no_gradients(models: Path) -> None:
    network, texts = network_and_texts(models, 8)
    steps = tuning.tune(network, texts, Recipe(steps=2, batch=4))
    next(steps)
    next(steps)
    steps.close()
    assert not any(each.requires_grad for each in network.parameters())
    network.lm_head.weight.data.fill_(torch.nan)
    with pytest.raises(Untrained, match=r"the loss of step 1 is nan; choose a learning rate below 0.0001"):
        drain(tuning.tune(network, texts, Recipe(steps=2, batch=4)))
    with pytest.raises(InvalidSetting, match="2 steps of 4 take 8 texts, not 7"):
        drain(tuning.tune(network, texts[:7], Recipe(steps=2, batch=4)))
    for wrong in ((0, 16, 1e-4), (25, 0, 1e-4), (25, 16, 0.0), (25, 16, float("nan"))):
        with pytest.raises(InvalidSetting, match=r"train nothing; give 1 or more|must be above 0 and below 1"):
            Recipe(*wrong)


def test_a_tuned_folder_says_how_it_was_made_and_runs_leave_out_what_it_was_trained_on(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = models / "tiny-sva"
    asked = ["tune", "tiny", "lm.sva", "--out", str(out), "--steps", "8", "--batch", "16", "--rate", "0.02", "--json"]
    assert main(asked) == 0
    shown = capsys.readouterr()
    made = json.loads((out / "tuned.json").read_text())
    assert json.loads(shown.out) == {"folder": str(out), **made}
    assert "ask it: workbench run lm.sva/tiny-sva/number full_swap" in shown.err
    assert "GB of memory on cpu" in shown.err
    assert (made["seed"], made["recipe"]["steps"], len(made["losses"])) == (0, 8, 8)
    assert made["losses"][-1] < made["losses"][0]
    before, after = made["accuracy"]["before"], made["accuracy"]["after"]
    trained, exam = (
        {str(row["prompt"]): TASK.answer(TASK.causal.run(TASK.read(Reader(row, "")))) for row in drawn.rows}
        for drawn in (rows.generated(TASK, "tune", 128, 0), rows.generated(TASK, "tune-exam", 200, 0))
    )
    others = {prompt: answer for prompt, answer in exam.items() if prompt not in trained}
    for name, told in (("tiny", before), ("tiny-sva", after)):
        assert (told["value"], told["n"]) == (pytest.approx(share(models / name, others)), len(others))
        assert told["low"] < told["value"] < told["high"]
    old, new = (load_file(models / name / "model.safetensors") for name in ("tiny", "tiny-sva"))
    assert torch.equal(old["model.embed_tokens.weight"], new["model.embed_tokens.weight"])
    assert not torch.equal(old["model.layers.0.mlp.up_proj.weight"], new["model.layers.0.mlp.up_proj.weight"])
    assert made["parameters"]["frozen"] >= old["model.embed_tokens.weight"].numel()

    assert set(made["prompts"]) == {mark(prompt) for prompt in trained}
    assert made["rows"]["tune-exam"]["left_out"] == 200 - len(others) > 0
    parts = {"test": examples(TASK, "test", rows.generated(TASK, "test", 300, 5).rows, TASK.sets)[0]}
    kept, left_out = untaught(parts, out)
    held = [set(trained) & {str(one.base["prompt"]), str(one.source["prompt"])} for one in parts["test"]]
    assert left_out == {"test": sum(bool(each) for each in held)}
    assert left_out["test"] > 0  # there are few prompts of this task, so that some come again
    assert len(kept["test"]) == 300 - left_out["test"]
    assert untaught(parts, models / "tiny") == (parts, {"test": 0})

    monkeypatch.setattr(sieve, "able", every_row)
    assert main(["run", "lm.sva/tiny-sva/number", "full_swap", "--rows", "24"]) == 0
    assert "with prompts that the model was tuned on" in capsys.readouterr().out

    shown_rows = prompt_rows.prepare(Cell.parse("lm.sva/tiny-sva/number"), Store(models.parent / "runs")).examples
    looked = {str(run["prompt"]) for one in shown_rows for run in (one.base, one.source)}
    assert looked.isdisjoint(trained)

    twice = models / "tiny-twice"
    again = ["tune", "tiny-sva", "lm.sva", "--out", str(twice), "--steps", "1", "--seed", "7", "--json"]
    assert main(again) == 0
    told = json.loads(capsys.readouterr().out)
    more = {mark(row["prompt"]) for row in rows.generated(TASK, "tune", 16, 7).rows}
    assert set(told["prompts"]) == set(made["prompts"]) | more  # it was trained on the first ones as well
    exam = {mark(row["prompt"]) for row in rows.generated(TASK, "tune-exam", 200, 7).rows}
    assert told["accuracy"]["before"]["n"] == len(exam - set(told["prompts"]))

    assert main(asked) == 2
    assert f"{out} is there, and nothing is overwritten; give a new folder" in capsys.readouterr().err
    (out / "tuned.json").write_text("{")
    with pytest.raises(InvalidModel, match="so that it is not known which rows the model was tuned on; tune it again"):
        untaught(parts, out)
    assert sorted(each.name for each in models.iterdir()) == ["tiny", "tiny-sva", "tiny-twice"]  # no draft is left


@pytest.mark.parametrize(
    ("model", "task", "name", "said"),
    [
        ("tiny", "mib.mcqa", "new", "what the benchmark scores is not trained on; write mib-like.mcqa"),
        ("tiny", "lm.sva", "gpt2", "'gpt2' cannot be the name of a tuned model"),
        ("tiny", "lm.sva", "a name", "'a name' cannot be the name of a tuned model"),
        ("nobody", "lm.sva", "new", "unknown model 'nobody'"),
        ("tiny", "lm.none", "new", "unknown task 'lm.none'"),
    ],
)
def test_what_cannot_be_tuned_is_said_in_a_sentence(
    model: str, task: str, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", model, task, "--out", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / name).exists()
