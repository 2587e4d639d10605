"""Prompted tasks: rows of the right schema, positions by characters, answers by tokens, and what a network can do."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from engines import mib, patches, prompted, registry, sieve
from engines.answer import Cutoff
from engines.bridge_model import BridgeModel
from engines.errors import InsufficientData, InvalidModel, InvalidRows, UnknownName
from engines.evaluation import full_swap_handle
from engines.events import Advance, Stage, drain
from engines.language import arithmetic, cities, ioi, mcqa, ravel, sva
from engines.prompting import Example, Prompted, Row, contains, doing_nothing, examples
from engines.site import Site

CITIES = tuple(
    {
        "entity": f"City{place}",
        "Country": f"Land{place % 5}",
        "Continent": f"Part{place % 3}",
        "Language": f"Tongue{place % 7}",
    }
    for place in range(60)
)
OWN = {f"own_{name}": "" for name in ravel.ATTRIBUTES}
TASKS = {name: registry.load("engines.language", name, "TASK", "task") for name in registry.names("engines.language")}
GENERATED = sorted(name for name, task in TASKS.items() if task.generate is not None)


@pytest.fixture(autouse=True)
def _own_cities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cities without the packages that know real ones."""
    monkeypatch.setattr(ravel, "cities", lambda: CITIES)
    monkeypatch.setattr(cities, "KNOWN", {city["entity"] for city in CITIES})


def rows(task: Prompted, n: int, seed: int = 0) -> list[Row]:
    assert task.generate is not None
    return list(islice(task.generate(np.random.default_rng(seed)), n))


def every(task: Prompted, n: int = 40, seed: int = 0) -> list[Example]:
    return examples(task, "test", rows(task, n, seed), task.sets)[0]


def words(task: Prompted, found: list[Example]) -> PreTrainedTokenizerFast:
    """A tokenizer with a token for each word, its space before it, and each mark."""
    texts = [str(run["prompt"]) + task.answer(run) for one in found for run in (one.base, one.source)]
    pattern = re.compile(r"\d| ?[^\W\d]+|\n|[^\w]") if task.ordered else re.compile(r" ?\w+|\n|[^\w]")
    known = dict.fromkeys((*task.ordered, *(word for text in texts for word in pattern.findall(text))))
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(("[U]", *known))}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern.pattern), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[U]")


@pytest.mark.parametrize("name", GENERATED)
def test_generators_make_rows_of_their_schema_and_are_seeded(name: str) -> None:
    task = TASKS[name]
    assert rows(task, 5, 3) == rows(task, 5, 3) != rows(task, 5, 4)
    for one in every(task):
        assert set(task.causal.variables) <= set(one.base)
        assert one.family in task.sets
        for place in task.places.values():
            start, stop = place(one.base)
            assert 0 <= start < stop <= len(str(one.base["prompt"]))


def test_positions_are_those_of_the_words() -> None:
    checks = {
        "mcqa": {"correct_symbol": lambda run: str(run["answer"]).strip(), "correct_symbol_period": lambda _: "."},
        "arithmetic": {"op2_last": lambda run: str(10 * run["b1"] + run["b0"])},
        "ravel": {"entity_last_token": lambda run: run["entity"]},
        "cities": {"city": lambda run: run["entity"]},
        "sva": {"subject": lambda run: run["noun"]},
        "names": {
            f"name_{place}": lambda run, letter=letter: run[f"name_{letter}"]
            for place, letter in zip((1, 2, 3), "abc", strict=True)
        },
        "colours": {
            "colour_1": lambda run: run["colour_0"],
            "colour_2": lambda run: run["colour_1"],
            "question": lambda run: run["asked"],
            "answer_thing": lambda run: run["asked"],
        },
        "greater_than": {
            position: lambda run, digit=digit: str(run["year"])[digit]
            for digit, position in ((1, "century"), (2, "decade"), (3, "ones"))
        },
    }
    for name, expected in checks.items():
        task = TASKS[name]
        found = every(task, 20)
        bound = prompted.bind(task, words(task, found), found)
        for one in found:
            ids, at = bound.encoder.ids(str(one.base["prompt"])), prompted.located(bound, one.base)
            assert set(at) == set(task.positions)
            assert at["last"] == len(ids) - 1
            for position, word in expected.items():
                assert bound.encoder.text([ids[at[position]]]).strip() == word(one.base), (name, position)


def test_what_doing_nothing_scores_is_known_from_the_causal_model_alone() -> None:
    """The no-op rates that MIB's published result files have in cells that cannot change the output."""
    found = every(mcqa.TASK, 300)
    pointer = doing_nothing(mcqa.TASK, "answer_pointer", found, mcqa.TASK.protocol("paper"))
    assert pointer == {"answerPosition": 0.0, "randomLetter": 1.0, "answerPosition_randomLetter": 0.0}
    assert sum(pointer.values()) / 3 == pytest.approx(1 / 3)
    assert set(doing_nothing(mcqa.TASK, "answer", found, mcqa.TASK.protocol("paper")).values()) == {0.0}
    # a carry is 1 with 45 of 100 pairs of digits; bases whose ones sum to nine are left out, which leaves 45 of 90
    sums = doing_nothing(arithmetic.TASK, "ones_carry", every(arithmetic.TASK, 1500), arithmetic.TASK.protocol("paper"))
    assert sums["ones_carry"] == 0.0
    assert sums["random"] == pytest.approx(0.5, abs=0.04)
    facts = doing_nothing(ravel.TASK, "Country", every(ravel.TASK, 900), ravel.TASK.protocol("paper"))
    asked = 1 / 3 * (1 - 11 / 59)  # a third asks for it; 11 of 59 other cities are in the same one
    assert facts["attribute"] == pytest.approx(1 - asked, abs=0.045)
    flips = doing_nothing(ioi.TASK, "output_token", every(ioi.TASK, 50), ioi.TASK.protocol("paper"))
    assert flips == {"s1_io_flip": 1.0, "s2_io_flip": 0.0, "s1_ioi_flip_s2_ioi_flip": 0.0}


def test_balanced_cities_and_swaps_of_the_whole_output_score_what_the_causal_model_says() -> None:
    """Above a half for doing nothing on cities, as published; behind the last layer the whole answer is exchanged."""
    paper = ravel.TASK.protocol("paper")
    found = every(ravel.TASK, 900)
    for variable in ravel.ATTRIBUTES:
        kept, _ = sieve.thinned(found, variable, paper, np.random.default_rng(0))
        idle = doing_nothing(ravel.TASK, variable, kept, paper)
        values = [row[variable] for row in CITIES]
        ties = np.mean([values.count(one) - 1 for one in values]) / (len(CITIES) - 1)
        assert list(idle.values()) == pytest.approx([0.5 + ties / 2] * 2, abs=0.05), variable

    def swapped(task: Prompted, variable: str, n: int) -> Mapping[str, float]:
        """The share of pairs on which the source's answer is right."""
        said: dict[str, list[bool]] = {}
        for one in every(task, n):
            label = task.answer(prompted.interchanged(task, variable, one))
            said.setdefault(one.family, []).append(task.answer(one.source) == label)
        return {name: float(np.mean(each)) for name, each in said.items()}

    assert set(swapped(mcqa.TASK, "answer", 100).values()) == {1.0}
    assert swapped(mcqa.TASK, "answer_pointer", 100)["answerPosition"] == 1.0
    assert swapped(mcqa.TASK, "answer_pointer", 100)["randomLetter"] == 0.0
    sums = swapped(arithmetic.TASK, "ones_carry", 400)
    assert sums["ones_carry"] == 1.0
    assert sums["random"] < 0.05
    assert swapped(ravel.TASK, "Country", 400)["attribute"] < 0.05


def test_the_linear_model_of_ioi_has_the_signs_of_its_sets() -> None:
    signs = {
        name: {ioi.both_signs(one.base, one.source) for one in every(ioi.TASK, 20) if one.family == name}
        for name in ioi.SETS
    }
    assert signs == {"s1_io_flip": {(1, -1)}, "s2_io_flip": {(-1, -1)}, "s1_ioi_flip_s2_ioi_flip": {(-1, 1)}}
    linear = ioi.Linear(bias=0.295, token_coeff=0.63, position_coeff=2.235)
    targets = [linear.target(token, position) for token, position in ((1, 1), (-1, 1), (1, -1), (-1, -1))]
    assert targets == pytest.approx([3.16, 1.90, -1.31, -2.57])


def test_sums_are_right_with_one_leading_zero_or_none() -> None:
    run = arithmetic.CAUSAL.run({"prompt": "", "a1": 1, "a0": 2, "b1": 3, "b0": 4})
    assert run["answer"] == "046"
    assert [arithmetic.first_number(text, run) for text in ("46", " 046", "is 46.", "47", "146", "none")] == [
        *(True, True, True),
        *(False, False, False),
    ]


def test_cities_are_right_by_alternatives_and_synonyms_and_never_by_a_beginning() -> None:
    run = ravel.CAUSAL.run(
        {
            "prompt": "",
            "entity": "",
            "queried": "Country",
            "own_Country": "United States, USA",
            "own_Continent": "",
            "own_Language": "",
        }
    )
    said = {" the United States": True, " America": True, " U.S.A": True, " United": False, " France": False, "": False}
    said |= {" the US": True, " US.": True, " Russia": False, " Austria": False, " Cyprus,": False}
    assert {text: ravel.known_as(text, run) for text in said} == said
    others = {
        ("Country", "South Korea"): {" Korea": True, " North": False, " North Korea": False},
        ("Country", "United Kingdom"): {" Britain": True, " England,": True, " the United": False, " Ukraine": False},
        ("Country", "Democratic Republic of the Congo"): {" the Democratic": False},
        ("Language", "Persian"): {" Farsi": True, " Pers": False},
        ("Language", "Chinese"): {" Mandarin": True},
        ("Continent", "Oceania"): {" Australia": True},
        ("Continent", "North America"): {
            " America": True,
            " North": False,
            " north america": True,
            " South America": False,
        },
    }
    for (asked, right), said in others.items():
        run = ravel.CAUSAL.run({"prompt": "", "entity": "", "queried": asked, **OWN, f"own_{asked}": right})
        assert {text: ravel.known_as(text, run) for text in said} == said


def test_the_official_rule_takes_answers_to_the_letter() -> None:
    """Sums need their leading zero, lists of alternatives and answers of several tokens are never right."""
    run = arithmetic.CAUSAL.run({"prompt": "", "a1": 1, "a0": 2, "b1": 3, "b0": 4})
    official, paper = (arithmetic.TASK.protocol(name) for name in ("official", "paper"))
    assert official.right is not None
    assert [official.right(text, run) for text in ("046", "46", " 46.")] == [True, False, False]
    assert (paper.new_tokens["gemma2"], official.new_tokens) == (3, {"": 1})
    own = {"prompt": "", "entity": "", "queried": "Country", "own_Continent": "", "own_Language": ""}
    official, paper = (ravel.TASK.protocol(name) for name in ("official", "paper"))
    assert official.right is not None
    several, one = (ravel.CAUSAL.run({**own, "own_Country": text}) for text in ("United States, USA", "France"))
    assert [official.right(text, several) for text in (" United", " USA", " United States, USA")] == [
        False,
        False,
        True,
    ]
    assert [official.right(text, one) for text in (" France", " FRANCE", "France", "")] == [True, False, False, False]
    assert official.right("anything", ravel.CAUSAL.run({**own, "queried": ravel.NOTHING, "own_Country": "France"}))
    assert (set(official.sets) - set(paper.sets), official.asks, official.new_tokens) == (
        {"prompt_template"},
        None,
        {"": 1},
    )


def test_bases_that_ask_for_others_are_thinned_to_half_as_many_in_every_set() -> None:
    found = every(ravel.TASK, 120)
    counting, variable = ravel.TASK.protocol("paper"), "Continent"
    kept, left_out = sieve.thinned(found, variable, counting, np.random.default_rng(0))
    before, after = (Counter((one.family, one.base["queried"]) for one in some) for some in (found, kept))
    for family in ravel.TASK.sets:
        asked = before[family, variable]
        assert after[family, variable] == asked > 20
        for other in ("Country", "Language"):
            assert after[family, other] == asked // 2
            assert left_out[family][other] == before[family, other] - asked // 2
    places = [found.index(one) for one in kept]
    assert places == sorted(places)
    again, _ = sieve.thinned(found, variable, counting, np.random.default_rng(0))
    other, _ = sieve.thinned(found, variable, counting, np.random.default_rng(1))
    assert again == kept != other
    assert sieve.thinned(found, variable, ravel.TASK.protocol("official"), np.random.default_rng(0)) == (found, {})
    none = [one for one in found if one.base["queried"] != variable]
    assert sieve.thinned(none, variable, counting, np.random.default_rng(0)) == (none, {})


def test_cities_whose_name_is_split_are_left_out_on_either_side_and_counted() -> None:
    task = TASKS["cities"]
    found = every(task, 60)
    texts = [str(run["prompt"]) + task.answer(run) for one in found for run in (one.base, one.source)]
    pattern = r" ?City[1-5]\b| ?[^\W\d]+|\d|[^\w]"
    known = dict.fromkeys(word for text in texts for word in re.findall(pattern, text))
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(("[U]", *known))}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    bound = prompted.bind(task, PreTrainedTokenizerFast(tokenizer_object=tokenizer), found)
    kept, gone = sieve.unsplit(bound, found)
    whole = {f"City{place}" for place in range(1, 6)}
    assert kept == [one for one in found if {one.base["entity"], one.source["entity"]} <= whole]
    assert gone == len(found) - len(kept)
    assert 0 < len(kept) < sum(one.base["entity"] in whole for one in found)
    everything = prompted.bind(task, words(task, found), found)
    assert sieve.unsplit(everything, found) == (found, 0)


def test_years_are_counted_by_the_cutoff_among_digits_and_every_swap_of_decades_moves_it() -> None:
    task = TASKS["greater_than"]
    found = every(task, 60)
    assert doing_nothing(task, "decade", found, task.protocol("paper")) == {"other_decade": 0.0}
    tens = [[int(str(run["decade"])) for run in (one.base, one.source)] for one in found]
    assert {first < second for first, second in tens} == {True, False}
    bound = prompted.bind(task, words(task, found), found)
    assert isinstance(bound.task.answer, Cutoff)
    pairs = prompted.pairs_of(bound, found)
    assert bool(pairs.informative("decade").all())
    assert [bound.encoder.text([column]) for column in bound.task.answer.columns] == list(task.ordered)
    for place, (_, decade) in enumerate(tens):
        later = torch.where(torch.arange(10) >= decade, 0.0, -20.0).expand(1, 1, 10)
        label = pairs.labels["decade"][place : place + 1]
        assert bool(bound.task.answer.correct(later, label))
        assert not bool(bound.task.answer.correct(later, pairs.base_labels[place : place + 1]))


def broken(row: Row, **changes: Any) -> Row:
    return {**row, **changes}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mcqa", {"prompt": 3}, "test row 0: 'prompt' is 3; it must be text"),
        ("mcqa", {"answerKey": "B"}, "test row 0: 'answerKey' is 'B'; it must be a whole number"),
        ("mcqa", {"answerKey": 4}, "test row 0: answerKey is 4; it must be 0 to 3"),
        ("mcqa", {"choices": []}, "test row 0: 'choices' is []; it must be a record"),
        (
            "mcqa",
            {"choices": {"label": ["A"], "text": ["red"]}},
            "choices: 1 labels and 1 texts; 4 of each",
        ),
        ("mcqa", {"randomLetter_counterfactual": None}, "'randomLetter_counterfactual' is None; it must be a record"),
        ("arithmetic", {"operand1": 1}, "are not operand1 and operand2"),
        ("arithmetic", {"operand1": 100}, "operand1 is 100; this task adds numbers of at most two digits"),
        (
            "ravel",
            {"attribute": "Mayor"},
            "attribute is 'Mayor'; it must be one of Country, Continent, Language, w",
        ),
        ("ravel", {"entity": "Nowhere"}, "does not name the entity 'Nowhere' as a word"),
        (
            "ioi",
            {"metadata": {"subject": "Ann"}},
            "metadata has no column 'indirect_object'; it has: subject",
        ),
        ("ioi", {"prompt": "Nobody gave anything to"}, "holds the names none of"),
        ("sva", {"plural": 2}, "plural is 2"),
        ("names", {"names": ["Ann", "Ann", "Ann"]}, "are not two, and one of them again"),
        ("colours", {"colours": ["red"]}, "two things, two colours and one of the things asked"),
        ("greater_than", {"year": 1739}, "year is 1739; it must have four digits, tens of 1 to 8, and ones other than"),
        ("greater_than", {"noun": "lunch"}, "is not that of 'lunch' and 1"),
    ],
)
def test_a_wrong_row_is_named_with_its_column(name: str, change: Mapping[str, Any], said: str) -> None:
    task = TASKS[name]
    row = broken(rows(task, 1)[0], **change)
    with pytest.raises(InvalidRows, match=re.escape(said)):
        examples(task, "test", [row], task.sets)


def test_a_missing_column_and_rows_of_another_task() -> None:
    row = {key: value for key, value in rows(mcqa.TASK, 1)[0].items() if key != "prompt"}
    with pytest.raises(InvalidRows, match=r"test row 0 has no column 'prompt'; it has: question, choices"):
        examples(mcqa.TASK, "test", [row], mcqa.SETS)
    found, outside = examples(arithmetic.TASK, "test", [broken(rows(arithmetic.TASK, 1)[0], num_digit=3)], ("random",))
    assert (found, outside) == ([], {"num_digit is 3, not 2": 1})


def test_unknown_protocols_name_the_known() -> None:
    with pytest.raises(UnknownName, match="Known: official, paper"):
        mcqa.TASK.protocol("mine")


def test_a_tokenizer_that_splits_every_label_is_refused_and_collisions_are_counted() -> None:
    found = every(mcqa.TASK, 10)
    split = Tokenizer(BPE({" ": 0, **{chr(mark): mark for mark in range(1, 128) if mark != 32}}, []))
    with pytest.raises(InvalidModel, match=r"every answer .* begins with the token ' ', so that none can be told"):
        prompted.bind(mcqa.TASK, PreTrainedTokenizerFast(tokenizer_object=split), found)
    pieces = {" ": 0, **{chr(mark): mark for mark in range(1, 128) if mark != 32}}
    letters = {f" {letter}": 200 + place for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZLPT")}
    half = Tokenizer(BPE({**pieces, **letters}, [(" ", letter[1]) for letter in letters]))
    found = every(ravel.TASK, 60)
    bound = prompted.bind(ravel.TASK, PreTrainedTokenizerFast(tokenizer_object=half), found)
    assert {answers[0][:2] for answers in bound.collisions.values()} == {" L", " P", " T"}
    pairs = prompted.pairs_of(bound, found)
    assert pairs.skipped["Country"]["two answers begin with one token"] > 0
    assert not pairs.informative("Country").any()  # every country here begins alike


@pytest.fixture(scope="module")
def agreeing() -> tuple[BridgeModel, prompted.Bound, dict[str, list[Example]]]:
    """A tiny GPT-2 that has learned which verb follows which noun, and the agreement task bound to its tokenizer."""
    task = sva.TASK
    parts = {part: every(task, 24, seed) for seed, part in enumerate(("fit", "calibration", "test"))}
    known = [one for part in parts.values() for one in part]
    tokenizer = words(task, known)
    torch.manual_seed(0)
    network = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0
        )
    )
    bound = prompted.bind(task, tokenizer, known)
    runs = {str(run["prompt"]): run for one in known for run in (one.base, one.source)}
    inputs = torch.tensor([bound.encoder.ids(prompt) for prompt in runs])
    labels = torch.tensor([bound.firsts[task.answer(run)] for run in runs.values()])
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs).logits[:, -1], labels).backward()
        optimizer.step()
    bridge = TransformerBridge.boot_transformers("gpt2", hf_model=network.eval(), tokenizer=tokenizer, device="cpu")
    return BridgeModel("tiny", bridge), bound, parts


def test_generation_is_greedy_over_the_whole_vocabulary(agreeing: Any) -> None:
    model, bound, parts = agreeing
    prompts = [str(one.base["prompt"]) for one in parts["test"][:5]]
    texts = sieve.greedy(model, bound.encoder, prompts, 2)
    for prompt, text in zip(prompts, texts, strict=True):
        ids = bound.encoder.ids(prompt)
        for _ in range(2):
            with torch.no_grad():
                ids.append(int(model.bridge(torch.tensor([ids]))[0, -1].argmax()))
        assert text == bound.encoder.text(ids[-2:])


def test_only_rows_that_the_network_does_rightly_are_kept(agreeing: Any) -> None:
    model, bound, parts = agreeing
    kept, counts = sieve.able(model, bound, parts["test"], sva.TASK.protocol("paper"), 0)
    assert len(kept) == counts["other_number"].kept > 20
    wrong = [
        dataclasses.replace(one, base={**one.base, "answer": sva.VERBS[1 - one.base["number"]]})
        for one in parts["test"]
    ]
    kept, counts = sieve.able(model, bound, wrong, sva.TASK.protocol("paper"), 0)
    assert (len(kept), counts["other_number"].share) == (0, 0.0)
    with pytest.raises(
        InsufficientData, match=r"too few test rows right on both sides \(other_number 0 of 24; at least 8"
    ):
        sieve.enough(sva.TASK, "test", counts, 8)


def test_rows_are_kept_only_where_the_network_does_what_the_task_assumes_of_either_side(agreeing: Any) -> None:
    model, bound, parts = agreeing
    rows, unknown = parts["test"], parts["fit"][0].base
    noun = rows[0].source["noun"]
    wrong = {**unknown, "answer": sva.VERBS[1 - unknown["number"]]}

    def kept(extra: Any) -> list[Example]:
        task = dataclasses.replace(sva.TASK, assumes=lambda run: (extra,) if run["noun"] == noun else ())
        asking = dataclasses.replace(bound, prompted=task)
        return sieve.able(model, asking, rows, sva.TASK.protocol("paper"), 0)[0]

    every_row, _ = sieve.able(model, bound, rows, sva.TASK.protocol("paper"), 0)
    assert kept(unknown) == every_row
    known = [one for one in every_row if noun not in (one.base["noun"], one.source["noun"])]
    assert kept(wrong) == known != every_row


def test_every_city_is_asked_for_all_of_its_facts() -> None:
    run = every(cities.TASK, 1)[0].source
    asked = cities.facts(run)
    assert [(one["queried"], one["answer"]) for one in asked] == [
        (name, run[f"own_{name}"]) for name in ravel.ATTRIBUTES
    ]
    assert all(str(run["entity"]) in str(one["prompt"]) for one in asked)
    bound = prompted.bind(cities.TASK, words(cities.TASK, every(cities.TASK, 60)), every(cities.TASK, 1))
    assert {cities.TASK.answer(one) for one in asked} <= set(bound.firsts)


def test_a_run_from_rows_to_benchmark_scores(agreeing: Any) -> None:
    model, bound, parts = agreeing
    problem = prompted.problem(bound, model, parts, "number", name="lm.sva/tiny/number", seed=0)
    assert [str(site) for site in problem.sites][:2] == ["L0.resid_post@last", "L0.resid_post@subject"]
    sites = [Site(layer, "resid_post", "last") for layer in (0, 1)]
    handles = [full_swap_handle("number", site, model, None) for site in sites]
    report = mib.report(problem, bound, parts["test"], handles, sva.TASK.protocol("paper"), 0)
    assert report.no_op.mean.value == report.expected["other_number"] == 0.0
    assert report.claims[1].method.mean.value == 1.0  # the last layer's last token is the output
    assert report.highest in sites
    assert [claim.method == claim.full_swap for claim in report.claims] == [True, True]
    assert report.normalised is not None
    assert report.normalised.value == max(claim.method.mean.value for claim in report.claims)
    assert report.average is not None
    assert report.average.value == pytest.approx(sum(claim.method.mean.value for claim in report.claims) / 2)
    alone = mib.report(problem, bound, parts["test"], handles[1:], sva.TASK.protocol("paper"), 0)
    assert alone.average is None
    assert alone.notes == ("claims in 1 of 2 layers: no layer average",)
    official = dataclasses.replace(sva.TASK.protocol("paper"), name="official")
    told = mib.report(problem, bound, parts["test"], handles[1:], official, 0).notes
    assert told[1:] == (
        "1 positions of the claimed layers have no claim; the official evaluator swaps them in full (the identity "
        "fallback), which is not counted here",
    )
    weaker, several = handles[1], dataclasses.replace(handles[1], parts=handles[0].parts + handles[1].parts)
    passed = mib.report(problem, bound, parts["test"], [handles[1], weaker, several], official, 0).notes
    assert passed == (
        "1 claims of several sites are not scored: the benchmark scores sites one by one",
        "1 weaker claims of a site that has a better one are not scored",
        *told,
    )


def test_scoring_tells_how_far_it_is_and_shares_runs(agreeing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is a full swap is its own control: both come out of one run, by whatever protocol."""
    model, bound, parts = agreeing
    problem = prompted.problem(bound, model, parts, "number", name="lm.sva/tiny/number", seed=0)
    handles = [full_swap_handle("number", Site(1, "resid_post", "last"), model, None)]
    monkeypatch.setattr(patches, "CHUNK", 10)
    generating = dataclasses.replace(sva.TASK.protocol("paper"), right=contains)
    reports = []
    for protocol, new in ((sva.TASK.protocol("paper"), 0), (generating, 1), (generating, 2)):
        events, report = drain(mib.scoring(problem, bound, parts["test"], handles, protocol, new))
        assert events == [Stage("scores under protocol paper", 24, "pairs"), Advance(10), Advance(20), Advance(24)]
        assert report.claims[0].method == report.claims[0].full_swap
        reports.append(report)
    assert reports[0] == reports[1] == reports[2]  # a first token that is right is in every longer text


def test_prompts_that_an_earlier_part_has_in_another_role_are_counted(agreeing: Any) -> None:
    _, _, parts = agreeing
    one, two, three = (dataclasses.replace(each) for each in parts["fit"][:3])
    turned = dataclasses.replace(two, base=one.source, source=one.base)
    again = dataclasses.replace(three, source=one.source)
    assert len({str(run["prompt"]) for each in (one, three) for run in (each.base, each.source)}) == 4
    found = sieve.met({"fit": [one], "calibration": [three], "test": [turned, again, three]})
    assert found == {
        "fit": {"bases": 0, "sources": 0, "of": 1},
        "calibration": {"bases": 0, "sources": 0, "of": 1},
        "test": {"bases": 1, "sources": 3, "of": 3},
    }


def test_parts_share_no_base(agreeing: Any) -> None:
    _, _, parts = agreeing
    kept, left_out = sieve.apart({"fit": parts["fit"], "test": [*parts["test"], *parts["fit"]]})
    assert left_out["test"] >= len(parts["fit"])
    assert not {str(one.base["prompt"]) for one in kept["fit"]} & {str(one.base["prompt"]) for one in kept["test"]}
