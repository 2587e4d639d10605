"""The command ``workbench`` with a place of rows of text, as plain as can be, whatever the product's screens do.

python -m tests.terminal.rows tui cells
"""

import re
import sys

from workbench import screens, start
from workbench.screens import Route


def main() -> int:
    """Start with the place in the stead of the first screen."""
    screens.ROUTES = (
        Route(re.compile("cells"), "tests.terminal.rows_place:Rows", "cells"),
        *(route for route in screens.ROUTES if route.example == "help"),
    )
    return start.main()


if __name__ == "__main__":
    sys.exit(main())
