"""Submissions as lines of plain text: what they hold, what is wrong with them, how they score."""

from collections.abc import Mapping, Sequence
from typing import Any

from engines.submission_names import Folder
from workbench import language_text, text
from workbench.submission_check import Held, Verdict

SHOWN = 200
"""How many faults are listed; all are in the JSON."""


def verdict(found: Verdict) -> str:
    """Every fault with its file, then the remarks, then the sum of it."""
    lines = []
    for kind, said in (("FAULT", found.faults), ("remark", found.remarks)):
        for one in said[:SHOWN]:
            lines.append(text.safe(f"{kind}  {one.file or '.'}: {one.sentence}"))
        if len(said) > SHOWN:
            lines.append(f"... {len(said) - SHOWN} more of this kind; --json lists all")
    sites = f"{len(found.held)} right site{'s' * (len(found.held) != 1)} in {len(found.cells)} of 26 cells"
    faults = f"{len(found.faults)} fault{'s' * (len(found.faults) != 1)}"
    lines.append(f"right: {sites}" if found.right else f"WRONG: {faults}; {sites}")
    return "\n".join(lines)


def cells(found: Verdict) -> str:
    """The cells with their layers, positions and ranks."""
    return "\n\n".join(_cell(held) for held in found.cells.values()) or "no site of any cell can be read"


def _cell(held: Sequence[Held]) -> str:
    folder = held[0].folder
    layers = len({one.unit.layer for one in held})
    head = (
        f"{folder}  (mib.{folder.task}/{folder.model.name}/{folder.variable})\n"
        f"{len(held)} site{'s' * (len(held) != 1)} in {layers} of {folder.model.sizes.layers} layers; directions of "
        f"{folder.width}"
    )
    return f"{head}\n{text.columns(_heads(held) if folder.heads else _positions(folder, held))}"


def _rank(one: Held) -> str:
    return "identity" if one.identity else str(one.rank)


def _heads(held: Sequence[Held]) -> list[tuple[str, ...]]:
    rows = [(str(one.unit.layer), str(one.unit.head), _rank(one)) for one in held]
    return [("LAYER", "HEAD", "RANK"), *rows]


def _positions(folder: Folder, held: Sequence[Held]) -> list[tuple[str, ...]]:
    tokens = list(dict.fromkeys((*folder.format.tokens.values(), *(one.unit.token for one in held))))
    by_place = {(one.unit.layer, one.unit.token): _rank(one) for one in held}
    layers = sorted({one.unit.layer for one in held})
    rows = [(str(layer), *(by_place.get((layer, token), "-") for token in tokens)) for layer in layers]
    return [("LAYER", *tokens), *rows]


def scores(record: Mapping[str, Any]) -> str:
    """The scores of a submission on a cell, beside every control."""
    head = f"{record['cell']}, protocol {record['protocol']}, seed {record['seed']}"
    return text.safe(head) + "\n" + (_errors(record) if "ioi" in record else _shares(record))


def _shares(record: Mapping[str, Any]) -> str:
    report, ranks = record["mib"], record["ranks"]
    rows = [("SITE", "RANK", "IIA, ALL PAIRS", "FULL SWAP THERE")]
    for claim in report["claims"]:
        rows.append((claim["site"], str(ranks[claim["site"]]), _mean(claim["method"]), _mean(claim["full_swap"])))
    rows.append(("no-op", "0", _mean(report["no_op"]), "-"))
    rows.append(("random sites", "full", _mean(report["random_site"]), "-"))
    best = next(claim for claim in report["claims"] if claim["site"] == report["highest"])
    sets: list[tuple[str, ...]] = [("SET", "BEST SITE", "NO-OP", "FULL SWAP THERE", "RANDOM SITES")]
    for name, one in best["method"]["sets"].items():
        others = (report["no_op"], best["full_swap"], report["random_site"])
        sets.append((name, *(_share(each) for each in (one, *(other["sets"][name] for other in others)))))
    average = "none" if report["average"] is None else language_text.averages(report)
    normal = language_text.normalised(report["normalised"])
    lines = [text.columns(rows), text.columns(sets)]
    lines.append(f"best {report['highest']}, normalised {normal}; layer average {average}")
    return "\n".join([*lines, *(text.safe(note) for note in report["notes"])])


def _errors(record: Mapping[str, Any]) -> str:
    """The squared errors of a joint claim about heads, with names as the benchmark takes them."""
    report = record["ioi"]
    ranks = ", ".join(f"{site} rank {record['ranks'][site]}" for site in report["heads"])
    drawn = report.get("drawn", ())
    random = f"{len(drawn)} sets of {len(drawn[0])}, swapped in full" if drawn else "there are no others to draw"
    return "\n".join(
        (
            ranks,
            text.columns(language_text.squared_errors(report, "bare")),
            f"random heads: {random}",
            f"noise floor {language_text.floor(report, 'bare')}",
            f"linear model fitted here: {language_text.linear(report['linear']['bare'])}",
            *language_text.alike(report, "bare"),
        )
    )


def _mean(unit: Mapping[str, Any]) -> str:
    return _share(unit["mean"])


def _share(score: Mapping[str, Any]) -> str:
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['n']}"
