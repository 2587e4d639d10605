"""Settings that a method refuses, and terms that a device does, told before anything is written.

What a method takes only the method knows, and it comes with torch: a command asks it here, the screen in a process of
its own, which says on stdout what is refused.

    python -m workbench.refusal "CELL METHOD --set steps=-1 --seed 0"
"""

import sys

from engines.errors import WorkbenchError
from workbench import terms
from workbench.detach import REFUSED
from workbench.spec import Spec


def refuse(spec: Spec) -> None:
    """Raise what ``spec`` is refused with before it runs: ``InvalidSetting``, or ``UnknownName`` for a setting's value.

    Defaults are allowed, so that a spec without changes costs nothing.
    """
    terms.check(spec.cell.task, spec.terms)
    if spec.changes():
        from workbench.session import configure

        configure(spec)


def main(text: str) -> int:
    """Say what is refused of the spec that is written so; returns the exit code."""
    try:
        refuse(Spec.read(text))
    except WorkbenchError as error:
        sys.stdout.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
