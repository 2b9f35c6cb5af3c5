"""A registry of artifacts: immutable versions, stages, and a log that cannot be changed unnoticed.

    versions/<digest>/       an artifact, named by its digest, and its card if there is one
    log/000001.json          one entry for each change, with the sha256 of the entry before
    log/head.json            number and sha256 of the last entry

Stages are nothing but what the log says. An entry is written by creating its file, which only one process can do.
"""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elekit.datasets.files import cache_folder, locked
from elekit.datasets.strict_json import parse_json
from elekit.graphs import _schema as schema
from elekit.model import artifact as artifacts
from elekit.operation.store import Store

STAGES = ("candidate", "staging", "production")
ACTIONS = ("add", "promote", "refuse", "rollback")
CARD = "card.html"
RETRIES, PAUSE = 2, 0.2  # of a reader, and seconds between them
LOCK_WAIT = 30.0  # seconds; a writer holds the lock of a folder for much less
SHORT = 12  # characters of a digest that are shown
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ENTRY = schema.fields(
    {
        "number": schema.whole(1, 10**6 - 1),
        "at": schema.text(40, visible=True),
        "by": schema.text(200, visible=True),
        "action": schema.one_of(*ACTIONS),
        "version": schema.text(64, visible=True),
        "stage": schema.one_of(*STAGES),
        "before": schema.text(64, visible=True),
        "note": schema.text(10_000),
        "gates": schema.by_name(schema.anything, schema.text()),
        "previous": schema.text(64, visible=True),
    }
)
_HEAD = schema.fields({"number": schema.whole(0, 10**6), "sha256": schema.text(64)})


class RegistryError(ValueError):
    """A registry that was altered or is not one, or a change that it does not accept."""


@dataclass(frozen=True)
class Entry:
    """One change of a registry.

    Args:
        number: From 1.
        at: Time in UTC, to the second.
        by: Who made it.
        action: "add" (a new candidate), "promote", "refuse" (a promotion that failed its gates) or "rollback".
        version: Digest of the artifact.
        stage: Stage that it enters, or would have entered.
        before: Digest of the version that was there; "" if there was none.
        note: Remark of who made it.
        gates: The gates, as `elekit.operation.gates.GateReport.to_json` returns them; {} if there were none.
        previous: sha256 of the file of the entry before; "" of the first.
    """

    number: int
    at: str
    by: str
    action: str
    version: str
    stage: str
    before: str = ""
    note: str = ""
    gates: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""

    def __str__(self) -> str:
        words = {"add": "added as", "promote": "promoted to", "refuse": "refused for", "rollback": "rolled back to"}
        where = f"{self.stage}, in place of {self.before[:SHORT]}" if self.before else self.stage
        note = f": {self.note}" if self.note else ""
        return f"{self.number} {self.at} {self.by}: {self.version[:SHORT]} {words[self.action]} {where}{note}"


class Registry:
    """Versions of learned losses, and which of them operates.

    Args:
        address: A folder, or an address that fsspec reads.

    Raises:
        ValueError: If the address cannot be read.
    """

    def __init__(self, address: str | Path):
        self.store = Store(address)

    def entries(self) -> list[Entry]:
        """The log, verified.

        Returns:
            The entries in their order.

        Raises:
            RegistryError: If an entry was changed or removed.
        """
        return self._read_log()[0]

    def _read_log(self) -> tuple[list[Entry], str]:
        """The entries, and the sha256 of the last one. Another process may be writing, so a problem must stay."""
        for _ in range(RETRIES):
            try:
                return self._read_once()
            except RegistryError:
                time.sleep(PAUSE)
        return self._read_once()

    def _read_once(self) -> tuple[list[Entry], str]:
        names = [name for name in self.store.names("log") if re.fullmatch(r"\d{6}\.json", name)]
        found: list[Entry] = []
        previous, hashes = "", [""]
        for number, name in enumerate(names, 1):
            where = f"log/{name} of {self.store.address}"
            if name != f"{number:06}.json":
                raise RegistryError(f"the log of {self.store.address} lacks entry {number}: it was removed")
            data = self.store.read(f"log/{name}")
            try:
                values = parse_json(data.decode())
                _ENTRY(values, where)
            except ValueError as error:
                raise RegistryError(f"{where} was altered: {error}") from None
            if values["number"] != number or values["previous"] != previous:
                which = f"entry {number - 1}" if number > 1 else "an entry before it"
                raise RegistryError(f"{where} does not follow {which}: one of them was altered or removed")
            found.append(Entry(**values))
            previous = hashlib.sha256(data).hexdigest()
            hashes.append(previous)
        self._check_head(hashes)
        return found, previous

    def _check_head(self, hashes: list[str]) -> None:
        """Hold the head against the sha256 of each entry; it may lag by one entry, whose writer was killed."""
        count, where = len(hashes) - 1, f"log/head.json of {self.store.address}"
        try:
            head = parse_json(self.store.read("log/head.json").decode())
            _HEAD(head, where)
        except FileNotFoundError:
            if count > 1:
                raise RegistryError(f"{where} is missing: it was removed, perhaps with the last entries") from None
            return
        except ValueError as error:
            raise RegistryError(f"{where} was altered: {error}") from None
        if head["number"] > count:
            raise RegistryError(f"the log of {self.store.address} lacks entry {count + 1}: it was removed")
        if head["number"] < count - 1 or head["sha256"] != hashes[head["number"]]:
            raise RegistryError(f"{where} does not fit entry {head['number']}: one of them was altered")

    def stages(self) -> dict[str, str]:
        """Read which version is in which stage.

        Returns:
            Digests by stage, as the log says; a stage without a version is left out.

        Raises:
            RegistryError: If the log was altered.
        """
        return stages_of(self.entries())

    def versions(self) -> list[str]:
        """List the versions.

        Returns:
            Digests of the versions that the log names, oldest first.

        Raises:
            RegistryError: If the log was altered.
        """
        return list(dict.fromkeys(entry.version for entry in self.entries()))

    def resolve(self, name: str) -> str:
        """A digest from a stage or from the beginning of a digest.

        Args:
            name: Such as "production", or at least 6 characters of a digest.

        Returns:
            The digest.

        Raises:
            RegistryError: If there is no such version, or several.
        """
        if name in STAGES:
            found = self.stages().get(name)
            if not found:
                raise RegistryError(f"{self.store.address} has no version in {name}")
            return found
        matches = [version for version in self.versions() if len(name) >= 6 and version.startswith(name)]
        if len(matches) != 1:
            problem = "several versions begin with" if matches else "there is no version"
            raise RegistryError(f"{problem} {name!r} in {self.store.address}")
        return matches[0]

    def fetch(self, version: str) -> Path:
        """A local folder with a version, verified.

        Args:
            version: Digest, its beginning, or a stage.

        Returns:
            The folder: in the registry itself if it is local, else in the cache.

        Raises:
            RegistryError: If there is no such version, or it was altered.
        """
        digest = self.resolve(version)
        if self.store.folder is not None:
            folder = self.store.folder / "versions" / digest
        else:
            place = hashlib.sha256(self.store.address.encode()).hexdigest()[:16]
            folder = cache_folder() / "registries" / place / digest
            if not (folder / artifacts.JSON_NAME).exists():
                self.store.download(f"versions/{digest}", folder)
        problem = f"version {digest[:SHORT]} of {self.store.address} was altered"
        try:
            found = artifacts.digest(artifacts.verify(folder))
        except artifacts.ArtifactError as error:
            raise RegistryError(f"{problem}: {error}") from None
        if found != digest:
            raise RegistryError(f"{problem}: it is {found[:SHORT]}")
        return folder

    def add(self, folder: str | Path, *, by: str, note: str = "", card: str | Path | None = None) -> Entry:
        """Add an artifact as a candidate. One that is there already is not written again.

        Args:
            folder: Of the artifact, or the name of a shipped one.
            by: Who adds it.
            note: Remark for the log.
            card: Its loss card, an HTML file, to be kept with it.

        Returns:
            The new entry of the log.

        Raises:
            ValueError: If there is no valid artifact, or the log was altered.
            OSError: If the registry cannot be written.
        """
        source = artifacts.locate(folder)
        content = artifacts.verify(source)
        digest, stages = artifacts.digest(content), self.stages()
        names = [str(one["file"]) for one in content["files"].values()]
        files = [(name, (source / name).read_bytes()) for name in (*names, artifacts.JSON_NAME)]
        if card is not None:
            files.insert(0, (CARD, Path(card).read_bytes()))
        for name, data in files:
            try:
                self.store.create(f"versions/{digest}/{name}", data)
            except FileExistsError:
                if self.store.read(f"versions/{digest}/{name}") != data and name != CARD:
                    message = f"version {digest[:SHORT]} is in {self.store.address}, but its {name} was altered"
                    raise RegistryError(message) from None
        return self._append("add", digest, "candidate", by, note, before=stages.get("candidate", ""))

    def record(
        self,
        version: str,
        stage: str,
        *,
        by: str,
        gates: Mapping[str, Any],
        passed: bool,
        before: str,
        note: str = "",
    ) -> Entry:
        """Record a promotion, or its refusal.

        Args:
            version: Digest of the version.
            stage: "staging" or "production".
            by: Who promotes it.
            gates: What was measured, as plain values.
            passed: Whether the gates are met.
            before: The version in that stage when they were measured.
            note: Remark for the log.

        Returns:
            The new entry.

        Raises:
            RegistryError: If the stage has another version by now, or the version is not in the stage before it.
            OSError: If the registry cannot be written.
        """
        self.check_step(version, stage)
        return self._append("promote" if passed else "refuse", version, stage, by, note, before, gates)

    def check_step(self, version: str, stage: str) -> None:
        """Check that a version can be promoted to a stage from where it is.

        Args:
            version: Digest of the version.
            stage: The stage.

        Raises:
            RegistryError: If it cannot.
        """
        if stage not in STAGES[1:]:
            raise RegistryError(f"a version is promoted to {' or '.join(STAGES[1:])}, not to {stage!r}")
        stages = self.stages()
        if stages.get(stage) == version:
            raise RegistryError(f"version {version[:SHORT]} is in {stage} already")
        if stage == "production" and stages.get("staging") != version:
            raise RegistryError(f"version {version[:SHORT]} is not in staging; promote it to staging first")

    def rollback(self, *, by: str, stage: str = "production", to: str | None = None, note: str = "") -> Entry:
        """Bring back a version that was in a stage before.

        Args:
            by: Who does it.
            stage: "staging" or "production".
            to: The version; None means the one before the present one.
            note: Why.

        Returns:
            The new entry.

        Raises:
            RegistryError: If there was no such version in that stage.
            OSError: If the registry cannot be written.
        """
        held = held_by(self.entries(), stage)
        earlier = {version for version in held if version != held[-1]}
        if not earlier:
            raise RegistryError(f"{stage} of {self.store.address} has held no other version before")
        before = held[-1]
        version = _before(held) if to is None else self.resolve(to)
        if version not in earlier:
            raise RegistryError(f"version {version[:SHORT]} was not in {stage} before")
        self.fetch(version)
        return self._append("rollback", version, stage, by, note, before)

    def _append(
        self, action: str, version: str, stage: str, by: str, note: str, before: str = "",
        gates: Mapping[str, Any] | None = None,
    ) -> Entry:  # fmt: skip
        with self._alone():
            return self._append_alone(action, version, stage, by, note, before, gates or {})

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of a folder; other stores have none, and there only one process can create an entry."""
        folder = self.store.folder
        if folder is None:
            return contextlib.nullcontext()
        busy = f"another process has been writing to {folder} for {LOCK_WAIT:.0f} seconds; run this again"
        return locked(folder / ".lock", folder, busy, LOCK_WAIT)

    def _append_alone(
        self, action: str, version: str, stage: str, by: str, note: str, before: str, gates: Mapping[str, Any]
    ) -> Entry:
        entries, previous = self._read_log()
        now = stages_of(entries).get(stage, "")
        if action != "add" and now != before:
            last = next(entry for entry in reversed(entries) if entry.stage == stage and entry.action != "refuse")
            raise RegistryError(f"{stage} was changed meanwhile ({last}); look at it and run this again")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(len(entries) + 1, at, by, action, version, stage, before, note, dict(gates), previous)
        data = json.dumps(asdict(entry), indent=1, ensure_ascii=False, allow_nan=False).encode()
        _ENTRY(parse_json(data.decode()), "the entry")
        try:
            self.store.create(f"log/{entry.number:06}.json", data)
        except FileExistsError:
            raise RegistryError(
                f"{self.store.address} was changed by another process meanwhile; run this again"
            ) from None
        self._move_head(entry.number, hashlib.sha256(data).hexdigest())
        return entry

    def _move_head(self, number: int, sha256: str) -> None:
        """Let the head name an entry, unless another process has moved it further."""
        try:
            further = parse_json(self.store.read("log/head.json").decode())["number"] >= number
        except FileNotFoundError:
            further = False
        if not further:
            self.store.replace("log/head.json", json.dumps({"number": number, "sha256": sha256}).encode())


def stages_of(entries: list[Entry]) -> dict[str, str]:
    """Versions by stage after some entries."""
    found: dict[str, str] = {}
    for entry in entries:
        if entry.action != "refuse":
            found[entry.stage] = entry.version
    return found


def held_by(entries: list[Entry], stage: str) -> list[str]:
    """The versions that a stage has held, in order."""
    return [entry.version for entry in entries if entry.stage == stage and entry.action != "refuse"]


def _before(held: list[str]) -> str:
    """The version that the present one replaced; after a rollback, the one before the version that came back."""
    first = held.index(held[-1])
    return held[first - 1] if first else held[-2]
