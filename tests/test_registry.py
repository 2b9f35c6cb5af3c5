"""A registry: immutable versions, stages that its log alone decides, and a log that cannot be changed unnoticed."""

import json
import shutil
import threading

import pytest

from elekit.model import artifact as artifacts
from elekit.operation.registry import Registry, RegistryError

SHIPPED = ("molecules7", "molecules7-corrected", "faults")
DIGESTS = [artifacts.digest(artifacts.verify(artifacts.locate(name))) for name in SHIPPED]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three versions; the first was in production, the second is; the third is in staging."""
    registry = Registry(tmp_path_factory.mktemp("registry") / "losses")
    for name in SHIPPED:
        registry.add(name, by="A. Nalyst")
    for version, stage in ((0, "staging"), (0, "production"), (1, "staging"), (1, "production"), (2, "staging")):
        before = registry.stages().get(stage, "")
        registry.record(DIGESTS[version], stage, by="B. Oss", gates={}, passed=True, before=before)
    return registry.store.folder


@pytest.fixture
def registry(made, tmp_path, monkeypatch):
    monkeypatch.setattr("elekit.operation.registry.PAUSE", 0.0)  # nobody else writes
    return Registry(shutil.copytree(made, tmp_path / "copy"))


def test_stages_and_versions_are_what_the_log_says(registry):
    assert registry.versions() == DIGESTS
    assert registry.stages() == {"candidate": DIGESTS[2], "staging": DIGESTS[2], "production": DIGESTS[1]}
    assert [entry.number for entry in registry.entries()] == list(range(1, 9))
    assert registry.resolve("production") == DIGESTS[1] == registry.resolve(DIGESTS[1][:8])
    folder = registry.fetch("production")
    assert artifacts.load(folder).digest == DIGESTS[1] and folder.name == DIGESTS[1]


def test_rollback_goes_back_and_is_logged(registry):
    entry = registry.rollback(by="C. Risis", note="too many wrong answers")
    assert (entry.action, entry.version, entry.before) == ("rollback", DIGESTS[0], DIGESTS[1])
    assert registry.stages()["production"] == DIGESTS[0]
    assert registry.rollback(by="C. Risis").version == DIGESTS[1]  # and forth again
    with pytest.raises(RegistryError, match="was not in production before"):
        registry.rollback(by="C. Risis", to=DIGESTS[2])
    with pytest.raises(RegistryError, match="has held no other version"):
        Registry(registry.store.folder.parent / "new").rollback(by="C. Risis")


def test_a_version_enters_production_from_staging_alone(registry):
    with pytest.raises(RegistryError, match="is not in staging"):
        registry.record(DIGESTS[0], "production", by="x", gates={}, passed=True, before=DIGESTS[1])
    with pytest.raises(RegistryError, match="in production already"):
        registry.check_step(DIGESTS[1], "production")
    with pytest.raises(RegistryError, match="not to 'candidate'"):
        registry.check_step(DIGESTS[1], "candidate")


def test_a_refusal_changes_no_stage(registry):
    before = registry.stages()
    gates = {"failed": ["exact"]}
    entry = registry.record(DIGESTS[2], "production", by="x", gates=gates, passed=False, before=before["production"])
    assert entry.action == "refuse" and registry.entries()[-1].gates == gates
    assert registry.stages() == before


def entries(registry):
    return sorted((registry.store.folder / "log").glob("0*.json"))


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("harm", ["change", "remove", "blank", "swap"])
def test_any_changed_or_removed_entry_is_detected(registry, number, harm):
    files = entries(registry)
    if harm == "change":
        edit(files[number], lambda values: values.update(by="Nobody"))
    elif harm == "remove":
        files[number].unlink()
    elif harm == "blank":
        files[number].write_text(files[number].read_text() + " ")
    else:
        other = files[(number + 1) % len(files)]
        one, two = files[number].read_bytes(), other.read_bytes()
        files[number].write_bytes(two)
        other.write_bytes(one)
    with pytest.raises(RegistryError, match="altered|removed"):
        registry.entries()
    with pytest.raises(RegistryError):  # and nothing is built on it
        registry.rollback(by="x")


def test_a_removed_or_altered_head_is_detected(registry):
    head = registry.store.folder / "log" / "head.json"
    held = head.read_text()
    head.unlink()
    with pytest.raises(RegistryError, match="head.json of .* is missing"):
        registry.entries()
    head.write_text(held.replace('"number": 8', '"number": 5'))
    with pytest.raises(RegistryError, match="does not fit entry 5"):
        registry.entries()


def test_a_writer_that_was_killed_before_the_head_leaves_a_valid_log(registry):
    head = registry.store.folder / "log" / "head.json"
    held = head.read_bytes()
    registry.rollback(by="x")
    head.write_bytes(held)  # as if it had been killed
    assert len(registry.entries()) == 9
    registry.rollback(by="y")
    assert len(registry.entries()) == 10


@pytest.mark.parametrize("kind", ["json", "weights"])
def test_an_altered_version_is_not_used(registry, kind):
    folder = registry.store.folder / "versions" / DIGESTS[1]
    path = folder / artifacts.JSON_NAME if kind == "json" else next(folder.glob("*.safetensors"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"molecules7", b"molecules8", 1) if kind == "json" else content[:-1] + b"x")
    with pytest.raises(RegistryError, match="was altered"):
        registry.fetch("production")


def test_adding_again_writes_nothing_anew(registry):
    path = next((registry.store.folder / "versions" / DIGESTS[0]).glob("*.safetensors"))
    before = path.stat().st_mtime_ns
    assert registry.add("molecules7", by="x").number == 9
    assert path.stat().st_mtime_ns == before and registry.versions() == DIGESTS


def test_of_two_promotions_at_once_one_is_told(registry, monkeypatch):
    """Both have measured their gates against the same version in operation."""
    registry.record(DIGESTS[2], "production", by="first", gates={}, passed=True, before=DIGESTS[1])
    registry.record(DIGESTS[0], "staging", by="second", gates={}, passed=True, before=DIGESTS[2])
    with pytest.raises(RegistryError, match=r"production was changed meanwhile \(.*first.*run this again"):
        registry.record(DIGESTS[0], "production", by="second", gates={}, passed=True, before=DIGESTS[1])


def test_threads_that_write_at_once_lose_nothing(registry, monkeypatch):
    monkeypatch.setattr("elekit.operation.registry.PAUSE", 0.05)
    problems, barrier = [], threading.Barrier(6)

    def write(name):
        barrier.wait()
        for _ in range(5):
            try:
                registry.add("faults", by=name)
            except RegistryError as error:
                problems.append(str(error))

    threads = [threading.Thread(target=write, args=(f"writer {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("run this again" in problem for problem in problems)
    assert len(registry.entries()) == 8 + 30 - len(problems)


def test_any_address_of_fsspec(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    registry = Registry("memory://losses")
    registry.add("faults", by="x", note="first")
    registry.record(DIGESTS[2], "staging", by="x", gates={}, passed=True, before="")
    assert registry.stages()["staging"] == DIGESTS[2]
    folder = registry.fetch("staging")
    assert artifacts.load(folder).digest == DIGESTS[2] and tmp_path in folder.parents
    with pytest.raises(ValueError, match="nosuch://x is no folder and no address"):
        Registry("nosuch://x")


def test_names_that_fit_no_version(registry):
    for name in ("0" * 12, "abc", ""):
        with pytest.raises(RegistryError, match="no version"):
            registry.resolve(name)
    with pytest.raises(RegistryError, match="has no version in production"):
        Registry(registry.store.folder.parent / "empty").resolve("production")
