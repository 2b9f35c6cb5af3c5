"""`elekit data / train / correct / decode / evaluate / card`: the package from a shell (floor 4).

Exit status: 0 done, 1 refused with one sentence on standard error, 2 wrong usage, 130 interrupted (what was reached
is kept). With --json standard output is one JSON document and nothing else.
"""

import re
import sys

from elekit.cli.parser import parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except KeyboardInterrupt as interrupted:
        sys.stderr.write(f"elekit: interrupted{'; ' if str(interrupted) else ''}{interrupted}\n")
        return 130
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as refused:
        sentence = re.sub(r"^\[Errno -?\d+\] ", "", str(refused))
        sys.stderr.write(f"elekit: {' '.join(sentence.split())}\n")  # one line, whatever a library says
        return 1
    return 0
