"""Every error that a user can cause or meet, in one tree.

    WorkbenchError
    ├── UnknownName          a name that no registry knows; answers with the nearest and all known names
    ├── InvalidSetting       a setting with a wrong name, type or range
    ├── InvalidSite          a site that cannot be read as one
    │   └── UnsupportedSite  a site that this model's adapter cannot read or edit
    ├── InvalidModel         a causal model, network or task whose parts do not fit
    │   └── Untrained        a network that has not learned its task
    ├── MissingModel         a language model whose files are not here; says where they may come from
    ├── Undefined            a causal model has no value for this intervention
    ├── InvalidProgram       a RASP program that cannot be compiled; says which expression and why
    │   └── UnverifiedProgram  compiled, but not equal to what it should compute: never ground truth
    ├── InvalidRows          data that are not of the task's schema; names row and column
    ├── InsufficientData     too few pairs that can tell anything
    ├── InvalidTransport     a transport problem that has no meaningful solution
    ├── InvalidHypothesis    a hypothesis of causal scrubbing that its graph or data do not admit
    │   └── NotJoinable      two hypotheses without a common refinement
    ├── NotExtensional       a rewrite that changed what a graph computes
    ├── TooLarge             work that does not fit the budget that was stated
    ├── InvalidSubmission    a folder or a claim that the MIB benchmark cannot read; names the file
    └── StoreError           the folder of runs
        ├── CorruptRun       a run folder that cannot be read; named
        └── StoreUnwritable  full disk, read-only folder

A message says what was given, what is allowed, and what to write instead.
"""

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """The root: one sentence that tells the user what to do."""


class UnknownName(WorkbenchError):
    """A name that is not in its registry.

    ``kind`` is what was looked up ("method", "program"), ``given`` what the user wrote, ``known`` every right answer.
    """

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        self.kind, self.given, self.known = kind, given, tuple(sorted(known))
        near = difflib.get_close_matches(given, self.known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(self.known) if self.known else "none"
        super().__init__(f"unknown {kind} {given!r}.{hint} Known: {listed}")


class InvalidSetting(WorkbenchError):
    """A setting whose name, type or value is not allowed."""


class InvalidSite(WorkbenchError):
    """Text or parts that do not name a site."""


class UnsupportedSite(InvalidSite):
    """A well-formed site that this model cannot read or edit."""


class InvalidModel(WorkbenchError):
    """A causal model, network or task whose parts do not fit together."""


class Untrained(InvalidModel):
    """A network that has not learned its task, or weights that are not those of the network."""


class MissingModel(WorkbenchError):
    """A language model whose files are not on this machine, or may not be fetched."""


class Undefined(WorkbenchError):
    """The causal model defines no value under this intervention (for RASP: outside the compiled semantics).

    ``reason`` is the kind of case, by which skipped pairs are counted; the message may name the values too.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        self.reason = message if reason is None else reason
        super().__init__(message)


class InvalidProgram(WorkbenchError):
    """A RASP program that cannot be compiled."""


class UnverifiedProgram(InvalidProgram):
    """A compiled program that failed a check, or was never checked, and is therefore no ground truth."""


class InvalidRows(WorkbenchError):
    """Rows of a data set that are not of the task's schema, or contradict themselves."""


class InsufficientData(WorkbenchError):
    """Too few pairs are informative for a score to mean anything."""


class InvalidTransport(WorkbenchError):
    """A transport problem without a meaningful solution, or a solver that did not reach its marginals."""


class InvalidHypothesis(WorkbenchError):
    """A hypothesis that cannot be tested: its tree, its paths or its sources do not fit the graph or the data."""


class NotJoinable(InvalidHypothesis):
    """Two hypotheses that have no common refinement."""


class NotExtensional(WorkbenchError):
    """A rewritten graph that differs from the original on some datum."""


class TooLarge(WorkbenchError):
    """Exact work that exceeds its stated budget."""


class InvalidSubmission(WorkbenchError):
    """A claim that the MIB benchmark's files cannot say, or a file that it cannot read."""


class StoreError(WorkbenchError):
    """The store of runs cannot do what was asked."""


class CorruptRun(StoreError):
    """A run folder that is half-written or damaged."""


class StoreUnwritable(StoreError):
    """The store cannot be written: full disk, read-only folder, no permission."""
