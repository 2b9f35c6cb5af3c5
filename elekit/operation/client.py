"""A client of `elekit serve`, on nothing but the standard library."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

RETRIES = 5  # after 429


class ServerError(RuntimeError):
    """The server refused a request; the message is what it answered."""

    def __init__(self, code: int, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code


class Client:
    """Asks a server.

    Args:
        url: Address of the server, such as http://127.0.0.1:8000.
        token: Its token; None if it has none.
        timeout: Seconds to wait for an answer.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0):
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"the address of a server begins with http:// or https://, got {url!r}")
        self.url, self.token, self.timeout = url.rstrip("/"), token, timeout
        self.version = ""  # of the last answers

    def predict(
        self, inputs: str | Sequence[Any], *, budget_ms: float | None = None, trace: bool = False
    ) -> list[dict[str, Any]]:
        """Answer inputs; a server that is busy gets the request again after the time it names.

        Args:
            inputs: One text, or several inputs.
            budget_ms: Milliseconds after which the best answers so far are returned; None for no limit.
            trace: Whether to return how each answer was found.

        Returns:
            One answer for each input, see `elekit.operation.Predictor.answers`.

        Raises:
            ServerError: If the server refuses the request.
            OSError: If it cannot be reached.
        """
        listed = [inputs] if isinstance(inputs, str) else list(inputs)
        requested: dict[str, Any] = {"inputs": listed, "trace": trace}
        if budget_ms is not None:
            requested["budget_ms"] = budget_ms
        found = json.loads(self._ask("/predict", json.dumps(requested).encode()))
        self.version = found["version"]
        answers: list[dict[str, Any]] = found["answers"]
        return answers

    def health(self) -> dict[str, Any]:
        """State and version of the server.

        Returns:
            status, version, waiting (inputs), seconds (since it began) and trouble ("" if there is none).
        """
        state: dict[str, Any] = json.loads(self._ask("/healthz"))
        return state

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, body, headers)
        for attempt in range(RETRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                if error.code == 429 and attempt < RETRIES:
                    time.sleep(float(error.headers.get("Retry-After", 1)))
                    continue
                raise ServerError(error.code, _message(error)) from None
        raise AssertionError("unreachable")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)
