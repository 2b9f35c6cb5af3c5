"""The process of a command: its standard streams, signals and exit status."""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

BROKEN_PIPE = 141  # exit status of a program that SIGPIPE ends


def run(name: str, parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse arguments, call `run` of the result with it, and return the exit status.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does. A reader of standard output that has gone (`| head`) ends it
    silently.

    Args:
        name: Name of the program, before each message.
        parser: Parser whose result has a function `run`, and may have `continued`, how to continue after Ctrl-C.
        arguments: Words after the name; None uses those of the process.

    Returns:
        0; 1 after an error (one line on standard error); 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP; 141 if the
            reader has gone.
    """
    _open_closed_streams()
    hint = ""
    with interrupting_signals() as received:
        try:
            args = parser.parse_args(arguments)
            hint = getattr(args, "continued", "")
            args.run(args)
            sys.stdout.flush()
            return 0
        except KeyboardInterrupt as interrupted:
            how = str(interrupted) or hint
            tell(f"{name}: interrupted{'; ' if how else ''}{how}")
            return 128 + (received or [signal.SIGINT])[0]
        except BrokenPipeError:
            return BROKEN_PIPE
        except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
            message = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
            tell(f"{name}: {' '.join(message.split())}")  # messages of libraries may have several lines
            return 1
        finally:
            _discard_unwritable()


@contextlib.contextmanager
def interrupting_signals() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt within the block, as Ctrl-C does; returns the numbers received.

    Signals that are ignored (`nohup`) or have a handler already stay as they are, and so do all outside the main
    thread.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(message: str) -> None:
    """Print to standard error, which may be a terminal that has gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(message + "\n")


def _open_closed_streams() -> None:
    """Let streams that the caller has closed (`<&-`) lead to the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process


def _discard_unwritable() -> None:
    """Drop output that cannot be written, so that the interpreter does not fail over it when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
