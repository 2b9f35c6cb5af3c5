"""The command line: `elekit data / train / correct / decode / evaluate / card`.

Exit status: 0 success, 1 error (one line on standard error), 2 wrong usage, 130 interrupted (progress is saved). With
--json standard output is one JSON document.
"""

import re
import sys
from collections.abc import Sequence

from elekit.cli.parser import parser

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `elekit`; None uses those of the process.

    Returns:
        The exit status.
    """
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except KeyboardInterrupt as interrupted:
        sys.stderr.write(f"elekit: interrupted{'; ' if str(interrupted) else ''}{interrupted}\n")
        return 130
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        message = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
        sys.stderr.write(f"elekit: {' '.join(message.split())}\n")  # messages of libraries may have several lines
        return 1
    return 0
