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
        [("left out" if place == 0 else "", line) for place, line in enumerate(_left_out(facts))]
        + [("note", line) for line in _met(facts)],
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


def _met(facts: Mapping[str, Any]) -> Iterator[str]:
    """What of the pairs was seen in an earlier part, in another role; older results don't know."""
    for part, one in facts.get("met", {}).items():
        if one["bases"] or one["sources"]:
            yield (
                f"{part}: of {one['of']} pairs {one['bases']} have a base that is a source of an earlier part, and "
                f"{one['sources']} a source that an earlier part has"
            )


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
        normal = normalised(claim.get("normalised", _way(own["value"], idle)))
        claims.append((claim["site"], _score(own), normal, _score(claim["full_swap"]["mean"]), flag))
    average, chosen = report["average"], ""
    if len(report["claims"]) > 1:
        chosen = (
            f", the highest of {len(report['claims'])} claimed on the same pairs: intervals do not know of the choice"
        )
    expected = ", ".join(f"{name} {value:.3f}" for name, value in report.get("expected", {}).items())
    known = report["normalised"] is not None
    told = "of the way from the no-op to 1" if known else "undefined: the no-op is always right"
    facts = [
        ("benchmark", f"protocol {report['protocol']}, variable {report['variable']}"),
        ("best site", f"{report['highest']}{chosen}"),
        ("normalised", f"{normalised(report['normalised'])} {told}" if known else told),
        ("layer average", "none: not every layer has a claim" if average is None else averages(report)),
        *([("no-op expected", f"{expected}, by the causal model alone")] if expected else []),
        *(("note", note) for note in report["notes"]),
    ]
    return [facts, sets, claims]


def _way(value: float, no_op: float) -> float | None:
    """How far a score is on the way from the no-op to 1, as older results have to be read."""
    return None if no_op >= 1 else (value - no_op) / (1 - no_op)


def normalised(share: Mapping[str, Any] | float | None) -> str:
    """How far a score is on the way from the no-op to 1, with its interval where the result has one."""
    return "-" if share is None else _estimate(share)


def averages(report: Mapping[str, Any]) -> str:
    """The layer average, its way from the no-op to 1, and what full swaps have."""
    own, swapped = report["average"], report.get("full_swap_average")
    beside = "" if swapped is None else f"; of full swaps at the same sites {_estimate(swapped)}"
    value = own["value"] if isinstance(own, Mapping) else own
    share = report.get("normalised_average", _way(value, report["no_op"]["mean"]["value"]))
    return f"{_estimate(own)}, normalised {normalised(share)}{beside}"


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
        facts = [
            ("names", about),
            ("linear model", linear(report["linear"][form])),
            ("noise floor", floor(report, form)),
            *(("note", line) for line in alike(report, form)),
        ]
        found += [facts, squared_errors(report, form)]
    return found


def linear(found: Mapping[str, Any]) -> str:
    """The linear model of a logit difference, its coefficients with their intervals where the result has them."""
    intervals = found.get("intervals", {})

    def told(name: str, sign: str) -> str:
        ends = intervals.get(name)
        return f"{found[name]:{sign}.3f}" + ("" if ends is None else f" [{ends[0]:.3f}, {ends[1]:.3f}]")

    terms = f"{told('bias', '')} {told('token_coeff', '+')} token {told('position_coeff', '+')} position"
    bare = "" if intervals else " (no intervals)"
    return f"logit difference = {terms}{bare}, residual {found['residual']:.3f}, n={found['n']}"


def alike(report: Mapping[str, Any], form: str) -> list[str]:
    """In how many pairs of each part nothing can tell the two names apart, where there are some."""
    counts = {part: n for part, n in report.get("alike", {}).get(form, {}).items() if n}
    if not counts:
        return []
    listed = ", ".join(f"{part} {n}" for part, n in counts.items())
    return [f"two names that begin with the same token, whose difference is always 0: {listed} pairs"]


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
