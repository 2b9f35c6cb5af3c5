"""Answers over HTTP: no request lost, none answered by a wrong version, and each refusal clear."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from elekit.model import artifact as artifacts
from elekit.operation import Client, Registry
from elekit.operation.client import ServerError

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
TOKEN = "a-token"
DIGEST = {
    name: artifacts.digest(artifacts.verify(artifacts.locate(name)))
    for name in ("molecules7", "molecules7-corrected")
}
OPTIONS = [
    "--candidates",
    "none",
    "--method",
    "gradient",
    "--starts",
    "1",
    "--iterations",
    "3",
    "--surrogate",
    "description",
]


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


class Server:
    """`elekit serve` in a process of its own."""

    def __init__(self, *arguments, token=TOKEN):
        self.port = free_port()
        command = [sys.executable, "-m", "elekit.cli", "serve", "--port", str(self.port), *map(str, arguments)]
        environment = {**os.environ, "ELEKIT_TOKEN": token, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.client = Client(f"http://127.0.0.1:{self.port}", token)
        for _ in range(1_200):
            try:
                self.client.health()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError(self.process.stderr.read()) from None
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def ask(self, path, body=None, **headers):
        """Status, headers and text."""
        headers = {"Authorization": f"Bearer {TOKEN}", **headers}
        request = urllib.request.Request(self.client.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    held = Registry(tmp_path_factory.mktemp("registry"))
    for name in DIGEST:
        held.add(name, by="x")
    for stage in ("staging", "production"):
        held.record(DIGEST["molecules7"], stage, by="x", gates={}, passed=True, before="")
    return held


@pytest.fixture(scope="module")
def server(registry, tmp_path_factory):
    log = tmp_path_factory.mktemp("log")
    started = Server(
        "--registry", registry.store.folder, "--poll", "0.3", "--max-waiting", "300", "--log", log, *OPTIONS
    )
    started.log = log
    yield started
    assert started.stop() == 0


def test_one_and_many_inputs_have_the_answers_of_the_command_line(server, capsys):
    from elekit import cli

    texts = ["The molecule is an ether.", "The molecule is a primary alcohol."]
    assert cli.main(["decode", "--artifact", "molecules7", *OPTIONS, "--json", *texts]) == 0
    expected = json.loads(capsys.readouterr().out)["decoded"]
    found = server.client.predict(texts)
    for one, other in zip(found, expected):
        one.pop("nearest", None)
        assert one == other
    assert server.client.version == DIGEST["molecules7"]
    assert server.client.predict(texts[0])[0]["input"] == texts[0]


def test_malformed_inputs_are_refused_one_by_one(server):
    inputs = ["The molecule is an ether.", 5, "", None, ["x"], {"a": 1}, True, "x" * 30_000, "methane", " "]
    found = server.client.predict(inputs)
    assert [("refused" in one) for one in found] == [False, True, True, True, True, True, True, True, False, True]
    assert found[1]["refused"] == "an input is a text, got a number"
    assert len(found[7]["input"]) < 300


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", 400, "no request"), (b"{", 400, "no request"), (b"[]", 400, "must be an object"),
        (b"{}", 400, "needs input or inputs"), (b'{"input": "x", "inputs": ["x"]}', 400, "needs input or inputs"),
        (b'{"inputs": []}', 400, "1 to"), (b'{"inputs": "x"}', 400, "must be a list"), (b"\xff", 400, "no request"),
        (b'{"input": "x", "budget_ms": 0}', 400, "budget_ms"), (b'{"input": "x", "budget_ms": NaN}', 400, "no request"),
        (b'{"input": "x", "mode": 1}', 400, "mode"), (b"[" * 100_000, 400, "no request"),
        (json.dumps({"inputs": ["x"] * 300}).encode(), 413, "at most 256"),
        (b'{"input": "' + b"x" * 2_000_000 + b'"}', 413, "larger than 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_bodies_that_are_no_requests(server, body, code, words):
    found, _, text = server.ask("/predict", body)
    assert found == code and words in json.loads(text)["error"], text


def test_a_body_of_100_mb_is_refused_and_does_not_fill_the_memory(server):
    def memory():
        with open(f"/proc/{server.process.pid}/statm") as opened:
            return int(opened.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = memory()
    code, _, text = server.ask("/predict", b"x" * 100_000_000)
    assert code == 413 and "larger than" in text
    assert memory() - before < 30e6


def test_nobody_is_answered_without_the_token(server):
    for header in ("", "Bearer wrong", "Basic !!", f"Digest {TOKEN}"):
        for path in ("/predict", "/metrics", "/card"):
            code, headers, _ = server.ask(path, b"{}" if path == "/predict" else None, Authorization=header)
            assert code == 401 and "Bearer" in headers["WWW-Authenticate"]
    assert server.ask("/healthz", Authorization="")[0] == 200


def test_a_trace_and_a_budget(server):
    (one,) = server.client.predict("The molecule is an ether.", trace=True, budget_ms=1_000)
    assert len(one["trace"]["descent"]["loss"]) >= 2 and "stopped" in one["trace"]["descent"]


def test_the_page_and_the_figures(server):
    code, _, text = server.ask("/", Authorization="")
    assert code == 200 and "/predict" in text and "budget_ms" in text and not re.search(r"(src|href)=.https?:", text)
    code, _, text = server.ask("/openapi.json", Authorization="")
    assert code == 200 and "/predict" in json.loads(text)["paths"]
    code, _, text = server.ask("/metrics")
    assert 'elekit_requests_total{code="400"}' in text and 'elekit_inputs_total{outcome="answered"}' in text
    assert 'elekit_request_seconds_bucket{le="+Inf"}' in text
    for line in text.splitlines():
        assert re.fullmatch(r'(# TYPE \w+ \w+)|(\w+(\{\w+="[^"]*"\})? [-\d.e+]+)', line), line


def test_too_many_waiting_inputs_are_refused_with_a_time(server):
    """A few hundred requests at once: some are refused, with Retry-After; the others are answered."""
    body = json.dumps({"inputs": [f"The molecule is an ether number {i}." for i in range(40)]}).encode()
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda _: server.ask("/predict", body), range(24)))
    codes = [code for code, _, _ in found]
    assert set(codes) == {200, 429}, codes
    for code, headers, text in found:
        if code == 429:
            assert int(headers["Retry-After"]) >= 1 and "waiting" in json.loads(text)["error"]
        else:
            assert len(json.loads(text)["answers"]) == 40


def test_a_client_that_goes_away_harms_nobody(server):
    body = json.dumps({"inputs": ["The molecule is an ether."] * 20}).encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as opened:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
            opened.sendall(head.encode() + body[: len(body) // 2 if _ % 2 else len(body)])
    assert len(server.client.predict(["methane"])) == 1


def test_a_reload_loses_no_request_and_mixes_no_versions(server, registry):
    """Each answer carries the version that gave it; after the promotion no request has the old one for long."""
    stop, found, problems = threading.Event(), [], []

    def ask():
        client = Client(server.client.url, TOKEN)
        while not stop.is_set():
            began = time.monotonic()
            try:
                answers = client.predict(["The molecule is an ether.", "The molecule is an alcohol."])
                found.append((began, client.version, len(answers)))
            except (OSError, ServerError) as error:
                problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    for stage in ("staging", "production"):
        before = registry.stages()[stage]
        registry.record(DIGEST["molecules7-corrected"], stage, by="x", gates={}, passed=True, before=before)
    promoted = time.monotonic()
    while server.client.health()["version"] != DIGEST["molecules7-corrected"] and time.monotonic() - promoted < 90:
        time.sleep(0.05)
    loaded = time.monotonic()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == [] and all(count == 2 for *_, count in found)
    versions = {version for _, version, _ in found}
    assert versions == set(DIGEST.values())
    assert all(version == DIGEST["molecules7"] for began, version, _ in found if began < promoted - 1)
    assert all(version == DIGEST["molecules7-corrected"] for began, version, _ in found if began > loaded)


def test_what_was_accepted_is_answered_before_the_end():
    server = Server("--artifact", "molecules7", *OPTIONS)
    texts = [f"The molecule is an ether number {i}." for i in range(200)]
    found = []
    asking = threading.Thread(target=lambda: found.extend(server.client.predict(texts)))
    asking.start()
    time.sleep(0.3)
    assert server.stop() == 0
    asking.join()
    assert len(found) == 200
    with pytest.raises(OSError):
        server.client.health()


def test_the_log_holds_no_input_and_no_answer(server):
    lines = [json.loads(line) for path in server.log.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) > 50
    content = " ".join(path.read_text() for path in server.log.glob("*.jsonl"))
    assert "ether" not in content and "molecule" not in content
    assert {len(line["input"]) for line in lines} == {16}
    assert oct((server.log / "key").stat().st_mode)[-3:] == "600"


def refused(capsys, *arguments):
    from elekit import cli

    assert cli.main(["serve", *map(str, arguments)]) == 1
    return capsys.readouterr().err.strip()


def test_what_is_not_served(capsys, tmp_path, server, monkeypatch):
    assert "name a loss with --artifact" in refused(capsys)
    assert "a token is needed" in refused(capsys, "--artifact", "molecules7", "--no-token", "--host", "0.0.0.0")
    assert "has no version in production" in refused(capsys, "--registry", tmp_path / "new")
    message = refused(capsys, "--artifact", "molecules7", *OPTIONS, "--port", server.port)
    assert f"cannot listen at 127.0.0.1, port {server.port}" in message
