"""`python -m elekit.cli` runs `elekit`."""

import sys

from elekit.cli import main

sys.exit(main())
