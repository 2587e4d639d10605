"""What may be typed about a node: the features, paths, parts and sources that a subject's graph and data have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.hypothesis import Hypothesis
from workbench.screens import hypothesis_ask as asking
from workbench.screens.hypothesis_ask import Candidate, Candidates

Head = tuple[Any, ...]
"""What a graph and its data depend on: a hypothesis' subject, data and rewrites."""


@dataclass(frozen=True)
class Choices:
    """What is known of a graph and its data: the answer for a ``head``; before there is one nothing is offered."""

    head: Head | None = None
    record: Mapping[str, Any] | None = None

    @staticmethod
    def head_of(hypothesis: Hypothesis) -> Head:
        """What the choices for a hypothesis depend on."""
        return hypothesis.subject, hypothesis.data, hypothesis.rewrites

    @property
    def features(self) -> list[Candidate]:
        """Features of the data, with how many classes each has, or why it has none."""
        return [
            (one["name"], one["why"] or f"{one['classes']:,} class{'' if one['classes'] == 1 else 'es'}")
            for one in (self.record["features"] if self.record else ())
        ]

    @property
    def paths(self) -> Candidates:
        """Paths through the graph, from its output on."""
        return asking.one(()) if self.record is None else asking.paths(self.record["nodes"], self.record["output"])

    @property
    def parts(self) -> Candidates:
        """Parts of the graph by kind and by name."""
        nodes = self.record["nodes"] if self.record else ()
        kinds = {one["kind"]: "every part of this kind" for one in nodes}
        return asking.words([*kinds.items(), *((one["name"], one["kind"]) for one in nodes)])

    def sources(self, known: Mapping[str, str]) -> list[Candidate]:
        """Sources with what they may be about, as far as that is known."""
        found: list[Candidate] = []
        for form, about in known.items():
            kind, _, argument = form.partition(":")
            found.append((form if argument else kind, about))
            if self.record is not None and argument == "NAME":
                found += [(f"{kind}:{name}", f"{count} data") for name, count in self.record["subsets"].items()]
            if self.record is not None and argument == "FEATURE":
                found += [(f"{kind}:{one['name']}", about) for one in self.record["features"]]
        return found

    def joins(self, hypothesis: Hypothesis) -> int:
        """How many joined hypotheses an adversary tries at most."""
        features = [name for name, _ in self.features if not name.endswith("~")]
        return max(1, len(features) * len(hypothesis.nodes))
