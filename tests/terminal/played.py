"""The command ``workbench`` whose model servers play back what ``tests/screens/records`` holds, and refuse all else.

python -m tests.terminal.played tui ADDRESS
"""

import os
import sys
from typing import Any

from engines.errors import InvalidSetting
from workbench import start
from workbench.display import Display

start.prepare(Display.of(os.environ, "utf-8"), os.environ)  # before anything imports Textual

from tests.screens.hands import RECORDS, Played, named  # noqa: E402
from workbench.screens import inspecting  # noqa: E402


class Recorded(Played):
    """A client that refuses what was not recorded."""

    asked: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 - as its parent has it

    async def request(self, request: str, **params: Any) -> Any:
        """The record, or the refusal."""
        if not (RECORDS / named(request, params)).exists():
            raise InvalidSetting(f"{request} was not recorded")
        return await super().request(request, **params)


if __name__ == "__main__":
    inspecting.Client = Recorded  # type: ignore[assignment,misc]
    sys.exit(start.main())
