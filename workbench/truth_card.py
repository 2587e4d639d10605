"""What is known about a compiled program: every variable's place, encoding, writers, readers and class of sites."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.site import Site
from tracr_bridge.certificate import Certificate
from tracr_bridge.equivalence import equivalence
from tracr_bridge.network import canonical
from tracr_bridge.task import known
from tracr_bridge.truth import Truth, VariableTruth
from tracr_bridge.wiring import Reader, Writer
from workbench import text
from workbench.report_card import REGIME
from workbench.verification import certified


@dataclass(frozen=True)
class TruthCard:
    """A program's truth with its certificate; ``record`` is JSON-ready, ``text`` is for a terminal."""

    truth: Truth
    certificate: Certificate

    @property
    def record(self) -> dict[str, Any]:
        """Everything, variable by variable; sites are by the brute-force class, in the regime that it names."""
        return {
            "program": self.truth.program.name,
            "regime": REGIME,
            "certificate": {**self.certificate.to_record(), "verified": self.certificate.verified},
            "variables": {name: self._variable(one) for name, one in self.truth.variables.items() if one.dims},
            "selectors": {
                name: [_part(writer) for writer in one.writers]
                for name, one in self.truth.variables.items()
                if not one.dims
            },
            "structural": [asdict(read) for read in self.truth.structural],
        }

    def _variable(self, variable: VariableTruth) -> dict[str, Any]:
        found = {
            "encoding": variable.encoding,
            "values": list(variable.values),
            "reachable": list(variable.reachable),
            "dims": list(variable.dims),
            "positional": variable.positional,
            "ready": str(variable.ready),
            "writers": [_part(writer) for writer in variable.writers],
            "readers": [_part(reader) for reader in variable.readers],
        }
        classes = equivalence(canonical(self.truth))
        if variable.name not in classes:
            return found
        known_class = classes[variable.name]
        return {
            **found,
            "informative_pairs": known_class.n,
            "sites": _listed(known_class.whole),
            "subspace_sites": _listed(known_class.subspace),
        }

    @property
    def text(self) -> str:
        """The exam's variables first, each with its sites, then the other expressions in a line each."""
        record = self.record
        reference = self.certificate.reference
        asked = "not asked" if reference is None else f"agrees within {reference.deviation:.0e}"
        lines = [
            f"rasp.{record['program']}/compiled: {self.truth.program.summary}",
            f"verified: {'yes' if self.certificate.verified else 'NO'}; {self.certificate.inputs} inputs"
            f"{' (all)' if self.certificate.exhaustive else ' (a sample)'}, encodings off by at most "
            f"{self.certificate.encoding_deviation:.0e}, Tracr's own model {asked}",
            f"sites by brute force; regime: {REGIME}",
        ]
        rows = record["variables"]
        for name in self.truth.program.variables:
            lines += ["", *_paragraph(name, rows[name])]
        others = [name for name in rows if name not in self.truth.program.variables]
        lines += ["", "other expressions"]
        lines.append(
            text.columns([(f"  {name}", rows[name]["ready"], ", ".join(rows[name]["writers"])) for name in others])
        )
        selectors = [(f"  {name}", "pattern of " + ", ".join(heads)) for name, heads in record["selectors"].items()]
        return "\n".join([*lines, text.columns(selectors)] if selectors else lines)


def truth_card(program: str, certificates: Path) -> TruthCard:
    """The card of a program by name; verifies it first when no certificate is kept. Raises ``UnverifiedProgram``."""
    certificate = certified(program, certificates)
    return TruthCard(known(program), certificate)


def _paragraph(name: str, row: dict[str, Any]) -> list[str]:
    entries = [
        (name, f"{row['encoding']}, {len(row['reachable'])} of {len(row['values'])} values are reachable"),
        ("  stands", f"in residual coordinates {_span(row['dims'])}, from {row['ready']} on"),
        ("  written by", ", ".join(row["writers"])),
        ("  read by", ", ".join(row["readers"]) or "nothing"),
    ]
    if row["informative_pairs"]:
        entries.append(("  whole sites", ", ".join(row["sites"])))
        entries.append(("  in subspaces", ", ".join(row["subspace_sites"])))
        entries.append(("  established", f"on {row['informative_pairs']} informative pairs"))
    else:
        entries.append(("  no site", "no valid intervention on it changes an answer"))
    return text.columns(entries).split("\n")


def _span(dims: list[int]) -> str:
    return str(dims[0]) if len(dims) == 1 else f"{dims[0]} to {dims[-1]}"


def _part(part: Writer | Reader) -> str:
    layer = "" if part.layer is None else f"L{part.layer}."
    head = "" if part.head is None else f"head{part.head}"
    name = "" if part.part == "head" else part.part
    neurons = f" ({len(part.neurons)} neurons)" if part.neurons else ""
    return layer + ".".join(piece for piece in (head, name) if piece) + neurons


def _listed(sites: Iterable[Site]) -> list[str]:
    return [str(site) for site in sorted(sites, key=Site.order)]
