"""``python -m workbench`` is the command ``workbench``."""

import sys

from workbench.start import main

sys.exit(main())
