"""Results on language models' cells in words: every score with n, interval and controls, nothing left out uncounted."""

from typing import Any

import pytest

from workbench import language_text, text


def score(value: float, n: int = 40) -> dict[str, Any]:
    """A score's record."""
    return {"value": value, "n": n, "low": value - 0.1, "high": value + 0.1}


def unit(*values: float) -> dict[str, Any]:
    """Scores by set, and their mean."""
    sets = {name: score(value) for name, value in zip(("letters", "random"), values, strict=True)}
    return {"sets": sets, "mean": score(sum(values) / 2, 80)}


def prompts(**changed: Any) -> dict[str, Any]:
    """What is told of prompts."""
    rows = {"source": "lm/sva", "n": 96, "of": 120, "seed": 3, "sha256": "5f35"}
    return {
        "protocol": "paper",
        "sets": ["letters", "random"],
        "rows": {"train": rows, "test": {**rows, "source": "hub:mib-bench/ioi@e5f3468f"}},
        "outside": {"train": {}, "test": {"no counterfactual": 4}},
        "repeated_bases": {"fit": 0, "test": 15},
        "kept": {
            "fit": {"letters": {"kept": 89, "of": 96}, "random": {"kept": 8, "of": 9}},
            "calibration": {"letters": {"kept": 60, "of": 64}},
            "test": {"letters": {"kept": 114, "of": 128}, "random": {"kept": 7, "of": 9}},
        },
        "unequal_length": {"test": 2},
        "collisions": [["Anna", "Annabel"]],
        "device": "cpu",
        "dtype": "float32",
        **changed,
    }


def told(**parts: Any) -> str:
    """Words with single spaces."""
    lines = "\n".join(text.columns(block) for block in language_text.blocks(parts)).splitlines()
    return "\n".join(" ".join(line.split()) for line in lines)


def test_rows_are_counted_by_set_and_what_is_left_out_is_said() -> None:
    words = told(prompts=prompts())
    assert "protocol paper; float32 on cpu" in words
    assert "rows train: 96 of 120 from lm/sva, seed 3, sha256 5f35" in words
    assert "letters 89 of 96 60 of 64 114 of 128" in words
    assert "random 8 of 9 none 7 of 9" in words
    assert "left out test: 4 no counterfactual, not of the protocol" in words
    assert "test: 15 bases that came before" in words
    assert "test: 2 pairs of unequal length" in words
    assert "pairs of answers that begin with the same token, of 1 groups: Anna and Annabel" in words
    plain = prompts(outside={}, repeated_bases={}, unequal_length={}, collisions=[])
    assert "left out nothing" in told(prompts=plain)
    assert "fit: 7 pairs with a position of several tokens" in told(prompts=prompts(several_tokens={"fit": 7}))
    counts = {"fit": {"bases": 0, "sources": 0, "of": 9}, "test": {"bases": 3, "sources": 2, "of": 127}}
    met = told(prompts=prompts(met=counts))
    assert met.count(" pairs 3 have a base that") == met.count("of an earlier part") == 1
    assert "test: of 127 pairs 3 have a base that is a source of an earlier part, and 2 a source that an ear" in met
    thinned = told(prompts=prompts(thinned={"fit": {"letters": {"position": 5}}}))
    assert "fit, letters: 5 position, thinned since they ask for another variable" in thinned


@pytest.mark.parametrize("normal", [score(0.625, 80), 0.625, None])
def test_the_benchmarks_scores_stand_beside_all_controls(normal: Any) -> None:
    claims = [
        {"site": "L2.resid_post@last", "method": unit(0.5, 0.7), "full_swap": unit(0.8, 0.9), "identity_wins": True},
        {"site": "L3.resid_post@last", "method": unit(0.9, 0.8), "full_swap": unit(0.6, 0.4), "identity_wins": False},
    ]
    report = {
        "protocol": "official",
        "variable": "answer",
        "no_op": unit(0.3, 0.2),
        "random_site": unit(0.35, 0.25),
        "claims": claims,
        "highest": "L3.resid_post@last",
        "average": None,
        "normalised": normal,
        "expected": {"letters": 0.0, "random": 1.0},
        "notes": ["claims in 2 of 12 layers: no layer average"],
    }
    words = told(mib=report)
    assert "benchmark protocol official, variable answer" in words
    line = "letters 0.900 [0.800, 1.000] n=40 0.300 [0.200, 0.400] n=40 0.600 [0.500, 0.700] n=40 0.350 [0.250, 0.450]"
    assert line in words
    assert "mean over sets 0.850 [0.750, 0.950] n=80 0.250 [0.150, 0.350] n=80" in words
    (wins,) = (line for line in words.splitlines() if "identity wins" in line)
    assert wins.startswith("L2.resid_post@last 0.600")
    interval = " [0.525, 0.725] n=80" if isinstance(normal, dict) else " (no interval)"  # as older results have it
    assert (f"normalised 0.625{interval} of" if normal else "normalised undefined: the no-op is always right") in words
    assert "best site L3.resid_post@last, the highest of 2 claimed on the same pairs: intervals do not know of" in words
    assert "layer average none" in words
    line = "L3.resid_post@last 0.850 [0.750, 0.950] n=80 0.800 (no interval) 0.500 ["
    assert line in words  # .6 of the .75 that are left
    own = told(mib={**report, "claims": [{**one, "normalised": score(0.8, 80)} for one in claims]})
    assert line.replace("(no interval)", "[0.700, 0.900] n=80") in own
    averages = {"average": score(0.5, 80), "full_swap_average": score(0.4, 80)}
    averaged = "layer average 0.500 [0.400, 0.600] n=80, normalised 0.333{}; of full swaps at the same sites 0.400 ["
    assert averaged.format(" (no interval)") in told(mib={**report, **averages})
    assert averaged.format(" [0.233, 0.433] n=80") in told(
        mib={**report, **averages, "normalised_average": score(1 / 3, 80)}
    )
    assert "note claims in 2 of 12 layers" in words
    assert "no-op expected letters 0.000, random 1.000, by the causal model alone" in words


def test_errors_of_heads_are_told_for_both_forms_of_names() -> None:
    def errors(value: float) -> dict[str, Any]:
        return {"sets": {"abc": score(value, 30)}, "mean": score(value, 30)}

    linear = {"bias": 2.5, "token_coeff": -1.25, "position_coeff": 0.75, "residual": 0.125, "n": 192}
    report = {
        "protocol": "paper",
        "variable": "output_token",
        "heads": ["L9.head6.z@all", "L9.head9.z@all"],
        "linear": {"bare": linear, "spaced": {**linear, "bias": 3.5}},
        "method": {"bare": errors(1.5), "spaced": errors(1.6)},
        "no_op": {"bare": errors(9.5), "spaced": errors(9.6)},
        "full_swap": {"bare": errors(2.5), "spaced": errors(2.6)},
        "floor": {"bare": score(1.25, 30), "spaced": 1.35},
    }
    before = told(ioi=report)
    assert "random heads not drawn" in before
    assert "RANDOM HEADS" not in before
    drawn = [["L1.head2.z@all", "L3.head4.z@all"], ["L1.head0.z@all", "L5.head4.z@all"]]
    control = {"random_heads": {"bare": errors(8.5), "spaced": errors(8.6)}, "drawn": drawn}
    words = told(ioi={**report, **control})
    assert "random heads 2 sets of 2, swapped in full: L1.head2 L3.head4; L1.head0 L5.head4" in words
    assert "HEADS NO-OP FULL SWAP OF THE HEADS RANDOM HEADS" in words
    assert "heads L9.head6.z@all, L9.head9.z@all" in words
    assert "difference = 2.500 -1.250 token +0.750 position (no intervals), residual 0.125, n=192" in words
    assert "logit difference = 3.500" in words
    ends = {"bias": (2.25, 2.75), "token_coeff": (-1.5, -1.0), "position_coeff": (0.5, 1.0)}
    fitted = {"linear": {"bare": {**linear, "intervals": ends}, "spaced": linear}}
    same = {"alike": {"bare": {"fit": 2, "test": 1}, "spaced": {"fit": 0, "test": 0}}}
    told_so = told(ioi={**report, **fitted, **same})
    assert (
        "difference = 2.500 [2.250, 2.750] -1.250 [-1.500, -1.000] token +0.750 [0.500, 1.000] position, resi"
        in told_so
    )
    said = "note two names that begin with the same token, whose difference is always 0: fit 2, test 1 pairs"
    assert told_so.count("two names that begin") == told_so.count(said) == 1
    assert "abc 1.500 [1.400, 1.600] n=30 9.500 [9.400, 9.600] n=30 2.500 [2.400, 2.600] n=30 8.500 [8.400" in words
    assert "abc 1.600" in words
    assert "mean over sets 1.500 [1.400, 1.600] n=30 9.500 [" in words
    assert "noise floor 1.250 [1.150, 1.350] n=30: the variance of the unpatched difference" in words
    assert "noise floor 1.350 (no interval): the variance" in words  # as older results have it
    assert words.count("lower is better") == 2


def test_a_result_of_other_cells_says_nothing_of_prompts() -> None:
    assert language_text.blocks({"fit": {}}) == []
