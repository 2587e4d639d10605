"""What a run on a language model's cell says besides its fit, as rows of text: prompts, and the benchmark's scores."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Block = Sequence[Sequence[str]]
"""Rows whose columns line up."""
PARTS = {"fit": "FIT", "calibration": "CALIBRATION", "test": "TEST"}
FORMS = {"bare": "without the space before them, as the benchmark has it", "spaced": "with a space, as texts have it"}
"""The forms of names whose logits are taken."""
PATCHES = {
    "method": "HEADS",
    "no_op": "NO-OP",
    "full_swap": "FULL SWAP OF THE HEADS",
    "random_heads": "RANDOM HEADS",
}
"""A claim about heads and its controls."""


def blocks(result: Mapping[str, Any]) -> list[Block]:
    """The parts ``prompts``, ``mib`` and ``ioi`` of a result in words, as far as it has them."""
    found: list[Block] = []
    if "prompts" in result:
        found += _prompts(result["prompts"])
    if "mib" in result:
        found += _mib(result["mib"])
    if "ioi" in result:
        found += _ioi(result["ioi"])
    return found


def _prompts(facts: Mapping[str, Any]) -> list[Block]:
    kept: list[Sequence[str]] = [("rows done rightly", *PARTS.values())]
    for name in facts["sets"]:
        counts = (facts["kept"][part].get(name) for part in PARTS)
        kept.append((name, *("none" if one is None else f"{one['kept']} of {one['of']}" for one in counts)))
    return [
        [("protocol", f"{facts['protocol']}; {facts['dtype']} on {facts['device']}"), *_sources(facts)],
        kept,
        [("left out" if place == 0 else "", line) for place, line in enumerate(_left_out(facts))],
    ]


def _sources(facts: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for place, (split, one) in enumerate(facts["rows"].items()):
        seed = f", seed {one['seed']}" if "seed" in one else ""
        told = f"{split}: {one['n']} of {one['of']} from {one['source']}{seed}, sha256 {one['sha256']}"
        yield "rows" if place == 0 else "", told


def _left_out(facts: Mapping[str, Any]) -> list[str]:
    """What is not among the pairs, besides what the model does not do."""
    lines = [
        f"{split}: {_counted(reasons)}, not of the protocol" for split, reasons in facts["outside"].items() if reasons
    ]
    lines += [f"{part}: {n} bases that came before" for part, n in facts["repeated_bases"].items() if n]
    told = facts.get("tuned_on", {})
    lines += [f"{part}: {n} with prompts that the model was tuned on" for part, n in told.items() if n]
    lines += [f"{part}: {n} pairs of unequal length" for part, n in facts["unequal_length"].items() if n]
    split_up = facts.get("several_tokens", {})
    lines += [f"{part}: {n} pairs with a position of several tokens" for part, n in split_up.items() if n]
    lines += [
        f"{part}, {name}: {_counted(kinds)}, thinned since they ask for another variable"
        for part, sets in facts.get("thinned", {}).items()
        for name, kinds in sets.items()
        if kinds
    ]
    same = [" and ".join(answers) for answers in facts["collisions"]]
    listed = "; ".join(same[:5]) + ("; ..." if len(same) > 5 else "")
    alike = f"pairs of answers that begin with the same token, of {len(same)} groups: {listed}"
    return lines + [alike] * bool(same) or ["nothing"]


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in kinds.items())


def _mib(report: Mapping[str, Any]) -> list[Block]:
    """Scores by text that is generated; every claim beside the full swap of its site, all sets beside the controls."""
    best = next(claim for claim in report["claims"] if claim["site"] == report["highest"])
    units = best["method"], report["no_op"], best["full_swap"], report["random_site"]
    sets: list[Sequence[str]] = [
        ("benchmark, IIA on all pairs", "BEST SITE", "NO-OP", "FULL SWAP THERE", "RANDOM SITES")
    ]
    sets += [(name, *(_score(unit["sets"][name]) for unit in units)) for name in best["method"]["sets"]]
    sets.append(("mean over sets", *(_score(unit["mean"]) for unit in units)))
    claims: list[Sequence[str]] = [("claimed site", "MEAN OVER SETS", "NORMALISED", "FULL SWAP THERE", "")]
    idle = report["no_op"]["mean"]["value"]
    for claim in report["claims"]:
        flag = "! identity wins: the full swap scores higher" if claim["identity_wins"] else ""
        own = claim["method"]["mean"]
        claims.append((claim["site"], _score(own), _way(own["value"], idle), _score(claim["full_swap"]["mean"]), flag))
    normal, average = report["normalised"], report["average"]
    told = "undefined: the no-op is always right" if normal is None else f"{normal:.3f} of the way from the no-op to 1"
    facts = [
        ("benchmark", f"protocol {report['protocol']}, variable {report['variable']}"),
        ("best site", report["highest"]),
        ("normalised", told),
        ("layer average", "none: not every layer has a claim" if average is None else averages(report)),
        *(("note", note) for note in report["notes"]),
    ]
    return [facts, sets, claims]


def _way(value: float, no_op: float) -> str:
    """How far a score is on the way from the no-op to 1."""
    return "-" if no_op >= 1 else f"{(value - no_op) / (1 - no_op):.3f}"


def averages(report: Mapping[str, Any]) -> str:
    """The layer average, its way from the no-op to 1, and what full swaps have."""
    own, swapped = report["average"], report.get("full_swap_average")
    beside = "" if swapped is None else f"; of full swaps at the same sites {_estimate(swapped)}"
    value = own["value"] if isinstance(own, Mapping) else own
    return f"{_estimate(own)}, normalised {_way(value, report['no_op']['mean']['value'])}{beside}"


def _ioi(report: Mapping[str, Any]) -> list[Block]:
    """Squared errors of a joint claim about heads against the linear causal model, by form of the names."""
    heads = ", ".join(report["heads"])
    drawn = report.get("drawn", ())
    told = "not drawn" if not drawn else f"{len(drawn)} sets of {len(drawn[0])}, swapped in full: {_listed(drawn)}"
    found: list[Block] = [
        [
            ("benchmark", f"protocol {report['protocol']}, variable {report['variable']}"),
            ("heads", heads),
            ("random heads", told),
        ]
    ]
    for form, about in FORMS.items():
        linear = report["linear"][form]
        model = (
            f"logit difference = {linear['bias']:.3f} {linear['token_coeff']:+.3f} token "
            f"{linear['position_coeff']:+.3f} position, residual {linear['residual']:.3f}, n={linear['n']}"
        )
        facts = [
            ("names", about),
            ("linear model", model),
            ("noise floor", floor(report, form)),
        ]
        found += [facts, squared_errors(report, form)]
    return found


def _listed(drawn: Sequence[Sequence[str]]) -> str:
    return "; ".join(" ".join(site.partition(".z@")[0] for site in heads) for heads in drawn)


def squared_errors(report: Mapping[str, Any], form: str) -> Block:
    """Errors of heads beside those of no swap, their full swap and, where such were drawn, random heads, set by set."""
    units = {title: report[name][form] for name, title in PATCHES.items() if report.get(name)}
    rows: list[Sequence[str]] = [("squared error, lower is better", *units)]
    for name in report["method"][form]["sets"]:
        rows.append((name, *(_score(unit["sets"][name]) for unit in units.values())))
    rows.append(("mean over sets", *(_estimate(unit["mean"]) for unit in units.values())))
    return rows


def floor(report: Mapping[str, Any], form: str) -> str:
    """The noise floor of squared errors."""
    return f"{_estimate(report['floor'][form])}: the variance of the unpatched difference"


def _estimate(value: Mapping[str, Any] | float) -> str:
    """An error with its interval; results of older versions have the number alone."""
    return _score(value) if isinstance(value, Mapping) else f"{value:.3f} (no interval)"


def _score(score: Mapping[str, Any]) -> str:
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['n']}"
