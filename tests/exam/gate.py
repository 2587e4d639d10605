"""The command ``workbench``, but that an exam waits before program ``WAITING`` as long as file ``$GATE`` is there."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from workbench import ladder
from workbench.cli import main

WAITING = "random_0_2"


def sit(task: Any, program: str) -> None:
    """In a process of the exam: wait, then sit."""
    while program == WAITING and Path(os.environ["GATE"]).exists():
        time.sleep(0.02)
    ladder._sit(task, program)


def run() -> None:
    """The command, in a process of its own; one that a shell starts in the background would ignore an interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ladder._sit = sit
    sys.exit(main())
