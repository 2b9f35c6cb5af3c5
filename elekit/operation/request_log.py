"""A log of requests for monitoring: one JSON object a line, inputs and graphs as keyed hashes alone."""

import hashlib
import hmac
import json
import os
import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEY = "key"  # file with the secret of the hashes
HASH = 16  # hexadecimal digits


class RequestLog:
    """Writes what was answered to `requests-YYYY-MM-DD.jsonl` in a folder.

    Inputs, answers and members of sets are written as hashes with a secret key, which stays in the folder: the same
    input has the same hash, and nobody without the key can try out inputs.

    Args:
        folder: Where to write.
        share: Share of the answers that is logged, in (0, 1].
        seed: Seed of the sample; None for a random one.

    Raises:
        ValueError: If the share is not in (0, 1].
        OSError: If the folder cannot be written.
    """

    def __init__(self, folder: str | Path, share: float = 1.0, seed: int | None = None):
        if not 0 < share <= 1:
            raise ValueError(f"the share of logged answers must lie in (0, 1], got {share:g}")
        self.folder, self.share = Path(folder), share
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key, self._random, self._lock = log_key(self.folder, make=True), random.Random(seed), threading.Lock()

    def write(self, version: str, request: str, answers: Sequence[Mapping[str, Any]]) -> None:
        """Log a sample of answers.

        Args:
            version: Digest of the artifact that gave them.
            request: Identifier of the request.
            answers: As of `Predictor.answers(..., nearest=True)`.
        """
        now = datetime.now(UTC)
        chosen = [(i, one) for i, one in enumerate(answers) if self._random.random() < self.share]
        lines = [self._line(now, version, f"{request}/{i}", one) for i, one in chosen]
        if lines:
            path = self.folder / f"requests-{now.date().isoformat()}.jsonl"
            with self._lock, open(path, "a", encoding="utf-8") as opened:
                opened.write("".join(lines))

    def _line(self, now: datetime, version: str, name: str, answer: Mapping[str, Any]) -> str:
        text = str(answer.get("read_as", answer.get("input", "")))
        graph = answer.get("smiles", answer.get("graph"))
        outcome = next((kind for kind in ("refused", "failed") if kind in answer), "answered")
        record: dict[str, Any] = {
            "at": now.isoformat(timespec="milliseconds"), "id": name, "version": version[:12],
            "input": keyed_hash(self._key, text), "length": len(text), "outcome": outcome,
            "unsure": "unsure" in answer, "unknown": len(answer.get("unknown", ())), "loss": answer.get("loss"),
            "nearest": answer.get("nearest"), "answer": None if graph is None else keyed_hash(self._key, graph),
        }  # fmt: skip
        if "set" in answer:
            members = [one.get("smiles", one.get("graph")) for one in answer["set"]["graphs"]]
            record |= {"size": answer["set"]["size"], "set": [keyed_hash(self._key, one) for one in members]}
        return json.dumps(record) + "\n"


def log_key(folder: Path, *, make: bool = False) -> bytes:
    """The secret key of a log.

    Args:
        folder: Folder of the log.
        make: Whether to make one if there is none.

    Returns:
        32 bytes.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    path = Path(folder) / KEY
    if make and not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(32))
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError(f"{path} is missing or no key, so inputs and truths of this log cannot be compared")
    return key


def keyed_hash(key: bytes, value: Any) -> str:
    """The hash of a text or of plain values with a secret key (HMAC-SHA256, cut to 64 bits).

    Args:
        key: The key.
        value: A text, or what JSON holds.

    Returns:
        16 hexadecimal digits.
    """
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:HASH]
