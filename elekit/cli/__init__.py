"""The command line: `elekit data / info / train / correct / decode / evaluate / card`.

Exit status: 0 success, 1 error (one line on standard error), 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
SIGHUP; progress is saved), 141 if the reader of standard output has gone. With --json standard output is one JSON
document. ELEKIT_DEBUG=1 in the environment prints tracebacks of errors, too.
"""

from collections.abc import Sequence

from elekit.cli import process
from elekit.cli.parser import parser

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `elekit`; None uses those of the process.

    Returns:
        The exit status.
    """
    return process.run("elekit", parser, arguments)
