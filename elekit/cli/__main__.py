"""`python -m elekit.cli` is `elekit`."""

import sys

from elekit.cli import main

sys.exit(main())
