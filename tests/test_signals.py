"""Ctrl-C, SIGTERM and SIGHUP, closed streams, and processes that end with their parent."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from test_training import fit, graphs, same  # noqa: F401 - a fixture

from elekit.cli import process
from elekit.model.contrastive import info_nce
from elekit.training import checkpoints

ROOT = Path(__file__).resolve().parents[1]
STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers():
    """Python's own handlers, which must be back after each test."""
    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert after == own


@pytest.fixture
def at_step(contrastive_loss):
    """Call an action in one step of a fit."""

    def prepare(step, action):
        calls = iter(range(10_000))

        def loss(*given):
            if next(calls) == step:
                action()
            return info_nce(*given)

        contrastive_loss(loss)

    return prepare


def saved_step(path):
    return checkpoints.read(path, 10**8)[0]["step"]


@pytest.fixture(scope="module")
def whole(graphs):  # noqa: F811
    return fit(graphs)


def test_a_signal_in_a_command_keeps_the_progress(graphs, whole, tmp_path, at_step):  # noqa: F811
    path = tmp_path / "run.pt"
    at_step(7, lambda: signal.raise_signal(signal.SIGTERM))
    with process.interrupting_signals():
        cut = fit(graphs, checkpoint=path)
    assert cut.history[-1]["interrupted"] and cut.history[-1]["step"] == saved_step(path) == 7
    assert same(fit(graphs, checkpoint=path), whole)


SCRIPT = """
import signal, sys
import elekit as ele
from elekit.training.loop import TrainerConfig
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
graphs = ele.graphs.from_smiles(["C" * n + "O" for n in range(1, 7)])
loop = TrainerConfig(steps=20, learning_rate=1e-3, validate_every=1, checkpoint_every=5)
ele.fit_embedding(
    graphs, training=ele.EmbeddingTraining(loop=loop, batch_size=4), checkpoint=sys.argv[1], progress=False,
    callback=lambda step, psi: signal.raise_signal(signal.SIGHUP) if step == 7 else None,
)
"""


def test_a_script_ends_by_the_signal_after_saving(tmp_path):
    path = tmp_path / "run.pt"
    ran = subprocess.run([sys.executable, "-c", SCRIPT, path], cwd=ROOT, capture_output=True, timeout=120)
    assert ran.returncode == -signal.SIGHUP and saved_step(path) == 7


@pytest.mark.parametrize("more", [1, 2])
def test_a_second_signal_waits_for_the_checkpoint_and_a_third_leaves_the_old_one(
    graphs, tmp_path, at_step, monkeypatch, capsys, more  # noqa: F811
):  # fmt: skip
    path, write = tmp_path / "run.pt", checkpoints.write_atomically

    def interrupted(target, content):
        def twice(partial):
            for _ in range(more if interrupting else 0):
                signal.raise_signal(signal.SIGINT)
            content(partial)

        write(target, twice)

    def interrupt():
        interrupting.append(True)
        signal.raise_signal(signal.SIGINT)

    interrupting: list[bool] = []
    monkeypatch.setattr(checkpoints, "write_atomically", interrupted)
    at_step(7, interrupt)
    if more == 1:
        assert fit(graphs, checkpoint=path).history[-1]["interrupted"]
    else:
        with pytest.raises(KeyboardInterrupt):
            fit(graphs, checkpoint=path)
    assert capsys.readouterr().err.count("saving, one moment") == 1
    assert saved_step(path) == (7 if more == 1 else 5) and len(list(tmp_path.iterdir())) == 1


def test_a_handler_of_the_user_may_go_on(graphs, at_step):  # noqa: F811
    received = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    at_step(7, lambda: [signal.raise_signal(signal.SIGTERM) for _ in range(3)])
    assert fit(graphs).history[-1]["step"] == 12 and received == [signal.SIGTERM] * 3
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_an_ignored_signal_stays_ignored(graphs, at_step):  # noqa: F811
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    at_step(7, lambda: signal.raise_signal(signal.SIGHUP))
    with process.interrupting_signals():
        assert fit(graphs).history[-1]["step"] == 12
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_an_interrupt_that_is_swallowed_still_stops(graphs, at_step):  # noqa: F811
    def swallow():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    at_step(7, swallow)
    history = fit(graphs).history
    assert history[-1]["interrupted"] and history[-1]["step"] == 8


def test_an_interrupt_that_was_lost_before_the_training_starts_none(graphs):  # noqa: F811
    with process.interrupting_signals():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            fit(graphs)


def test_another_thread_trains_without_handlers(graphs, whole):  # noqa: F811
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(graphs)))
    thread.start()
    thread.join()
    assert same(found[0], whole)


@pytest.mark.parametrize("error", [MemoryError, BrokenPipeError])
def test_an_error_keeps_the_progress(graphs, whole, tmp_path, at_step, error):  # noqa: F811
    def fail():
        raise error("not enough")

    at_step(7, fail)
    with pytest.raises(error, match="not enough"):
        fit(graphs, checkpoint=tmp_path / "run.pt")
    assert saved_step(tmp_path / "run.pt") == 7
    assert same(fit(graphs, checkpoint=tmp_path / "run.pt"), whole)


def test_an_error_in_the_middle_of_an_update_saves_no_half_of_it(graphs, tmp_path, monkeypatch):  # noqa: F811
    steps, original = iter(range(100)), torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        original(self, *args, **kwargs)
        if next(steps) == 7:
            raise MemoryError

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(MemoryError):
        fit(graphs, checkpoint=tmp_path / "run.pt")
    assert saved_step(tmp_path / "run.pt") == 5


# -- commands ------------------------------------------------------------------------------------------------------
def status(run, **defaults):
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=lambda args: run(), **defaults)
    return process.run("program", lambda: parser, [])


@pytest.mark.parametrize("number", STOPPING)
def test_exit_status_of_signals(number, capsys):
    assert status(lambda: signal.raise_signal(number), continued="again") == 128 + number
    assert capsys.readouterr().err == "program: interrupted; again\n"


def test_a_signal_that_a_package_turns_into_another_error_is_still_one(capsys):
    def load():
        try:
            exec("signal.raise_signal(signal.SIGTERM)")
        except KeyboardInterrupt:
            raise AttributeError("half of a module") from None

    assert status(load) == 143 and capsys.readouterr().err == "program: interrupted\n"


def test_a_terminal_that_has_gone_is_no_error(monkeypatch):
    class Gone:
        def write(self, text):
            raise OSError(5, "Input/output error")

        flush = write

    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setattr(Gone, "flush", lambda self: None)
    assert status(lambda: signal.raise_signal(signal.SIGHUP)) == 129


CODE = """
import argparse, sys
from elekit.cli import process
parser = argparse.ArgumentParser()
parser.set_defaults(run=lambda args: print("line\\n" * len(sys.stdin.read() + "x")))
sys.exit(process.run("program", lambda: parser, []))
"""


@pytest.mark.parametrize(
    "shell, code, message",
    [
        ("python <&- >/dev/null", 0, ""),
        ("python </dev/null >&-", 0, ""),
        ("python </dev/null 2>&- >/dev/null", 0, ""),
        ("python </dev/null >/dev/full", 1, "program: No space left on device\n"),
        ("python </dev/null | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_streams_that_are_closed_full_or_not_read(shell, code, message):
    shell = shell.replace("python", '"$0" -c "$1"').replace("| true", "| (exec <&-; sleep 0.1)")
    command = ["bash", "-c", shell, sys.executable, CODE]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (code, message)


# -- processes of benchmarks ---------------------------------------------------------------------------------------
# The module alone: `benchmarks` itself loads torch.
PARENT = """
import json, signal, sys, time
sys.path.insert(0, "benchmarks")
import child_process
from elekit.cli.process import interrupting_signals

def work(path):
    try:
        with open(path, "w") as opened:
            opened.write("begun")
        time.sleep(30)
    except KeyboardInterrupt:
        with open(path, "w") as opened:
            opened.write("saved")
        raise

if __name__ == "__main__":
    assert child_process.call(json.dumps, {"a": 1}) == '{"a": 1}'
    for failing, error in ((json.loads, ValueError), (signal.raise_signal, ChildProcessError)):
        try:
            child_process.call(failing, "" if error is ValueError else signal.SIGKILL)
        except error as raised:
            assert "Expecting value" in str(raised) or "exit status -9" in str(raised)
        else:
            sys.exit(3)
    try:
        with interrupting_signals():
            child_process.call(work, sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("number, code", [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_the_process_of_a_run_ends_with_its_parent(tmp_path, number, code):
    script, path = tmp_path / "parent.py", tmp_path / "progress"
    script.write_text(PARENT)

    def until(content):
        for _ in range(1200):
            if path.exists() and path.read_text() == content:
                return
            time.sleep(0.05)
        pytest.fail(f"not {content}")

    parent = subprocess.Popen(
        [sys.executable, script, path], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    until("begun")
    os.killpg(parent.pid, number) if number == signal.SIGINT else parent.send_signal(number)  # a terminal or `kill`
    until("saved")
    assert parent.wait(60) == code
    for _ in range(1200):
        if not alive(parent.pid):
            return
        time.sleep(0.05)
    pytest.fail("the process of the run is still there")


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
