"""Checks of notebook 09: a bound that refuses a blind version, and a server for the notebook."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from checks.verdict import Verdict, as_number, quote
from elekit.operation import Client

WAIT = 180  # seconds for a server to begin


def check_bound(answer, sound: float, blind: float) -> Verdict:
    """Check that a lower bound accepts one version and refuses another.

    Args:
        answer: The bound.
        sound: The figure of the version to accept.
        blind: The figure of the version to refuse.

    Returns:
        The verdict; its message says which of the two is wrong, without the solution.
    """
    bound = as_number(answer)
    if bound is None:
        return Verdict(False, f"{quote(answer)} is not a number.")
    if bound > sound:
        return Verdict(False, f"at_least = {bound:g} refuses the sound version, too: its figure is {sound:.2f}.")
    if bound <= blind:
        return Verdict(False, f"at_least = {bound:g} accepts the blind version: its figure is {blind:.2f}.")
    return Verdict(True, f"at_least = {bound:g} lies between {blind:.2f} and {sound:.2f}.")


@contextlib.contextmanager
def serving(registry: str | Path, *options: str, log: str | Path | None = None) -> Iterator[Client]:
    """Serve the version in production of a registry within the block.

    Args:
        registry: Its folder.
        *options: Further options of `elekit serve`.
        log: Folder for the log of requests; None for no log.

    Yields:
        A client.

    Raises:
        RuntimeError: If the server ends at once; the message is its own.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    command = [
        sys.executable,
        "-m",
        "elekit.cli",
        "serve",
        "--registry",
        str(registry),
        "--port",
        str(port),
        *options,
    ]
    command += ["--log", str(log)] if log else []
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "ELEKIT_TOKEN": token})
    try:
        client = Client(f"http://127.0.0.1:{port}", token)
        for _ in range(10 * WAIT):
            with contextlib.suppress(OSError):
                client.health()
                break
            if server.poll() is not None:
                raise RuntimeError(server.stderr.read() if server.stderr else "the server has ended")
            time.sleep(0.1)
        yield client
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
