"""A function call in a process of its own: memory is measured for it alone, and no state leaks into the next call.

The process ends with this one, however that ends. It ignores Ctrl-C and SIGHUP, which a terminal sends to both: this
process passes each interruption on as SIGTERM, which raises KeyboardInterrupt there, so that a training is saved.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from typing import Any

from elekit.cli.process import interrupting_signals

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
PATIENCE = 3  # interruptions before the process is killed
GRACE = 60  # seconds to save what is trained, once the parent has ended


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Return `function(*args)`, computed in a new process; raises its errors.

    Raises:
        KeyboardInterrupt: After an interruption, when the process has ended.
        ChildProcessError: If the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_main, args=(sender, function, args))
    resource_tracker.ensure_running()  # starts with the process otherwise, and unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)  # in the child, until it ignores them
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sender.close()
    interruptions = 0
    while True:
        try:
            connection.wait([receiver])
            succeeded, outcome = receiver.recv()
            child.join()
            break
        except EOFError:
            child.join()
            raise ChildProcessError(f"the process of this run ended with exit status {child.exitcode}") from None
        except KeyboardInterrupt:
            interruptions += 1
            child.terminate() if interruptions <= PATIENCE else child.kill()
    if interruptions:
        raise KeyboardInterrupt
    if not succeeded:
        raise outcome
    return outcome


def _main(sender: connection.Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    for number in TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outcome: tuple[bool, Any]
    with interrupting_signals():
        try:
            outcome = True, function(*args)
        except (Exception, KeyboardInterrupt) as error:
            error.add_note(traceback.format_exc())
            outcome = False, error
        with contextlib.suppress(BrokenPipeError):  # the parent has ended
            sender.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)
