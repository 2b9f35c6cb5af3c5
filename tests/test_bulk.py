"""Answers to files: each row once, whatever happens to the process, and the same as one by one."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from elekit import datasets
from elekit.operation import PredictorSpec, predict_file
from elekit.operation import bulk as bulks

pq = pytest.importorskip("pyarrow.parquet")
SPEC = PredictorSpec("molecules7", surrogate="smiles", candidates="none", settings={"method": "rounded"})
BAD = ["c1ccc", "CCCCCCCCCCCCCC", "[Xe]", "", "nothing at all"]


@pytest.fixture(scope="module")
def smiles():
    """300 molecules, some twice, and some inputs that are none."""
    some = datasets.load("molecules7").test.frame["smiles"].tolist()[:120]
    rows = [*some, *some[:60], *BAD, *some[60:]]
    return rows * 2


@pytest.fixture(scope="module")
def predictor():
    return SPEC.load()


@pytest.fixture(scope="module")
def expected(predictor, smiles):
    return dict(enumerate(bulks.answer_rows(predictor, [text or "?" for text in smiles])))


@pytest.fixture
def table(smiles, tmp_path):
    path = tmp_path / "big.parquet"
    names = [f"m{i}" for i in range(len(smiles))]
    pd.DataFrame({"name": names, "smiles": smiles}).to_parquet(path, row_group_size=77)
    return path


def check(output, smiles, expected):
    """Each row is there once, in order, with the answer that it gets alone."""
    found = rows_of(output)
    assert [row["row"] for row in found] == list(range(len(smiles)))
    assert [row["input"] for row in found] == smiles
    for row in found:
        one = expected[row["row"]]
        if not row["input"]:
            assert row["failed"] == "empty input"
        elif "refused" in one:
            assert row["refused"] == one["refused"] and row["smiles"] is None
        else:
            assert row["smiles"] == one["smiles"] and row["loss"] == pytest.approx(one["loss"], abs=1e-5)
            assert row["unsure"] == one.get("unsure") and row["refused"] is None and row["failed"] is None
    return found


def rows_of(output):
    return pq.read_table(output).to_pylist()


@pytest.mark.parametrize("part_rows", [1_000, 50])
def test_answers_are_those_of_single_inputs_in_order(table, smiles, expected, tmp_path, part_rows):
    report = predict_file(
        SPEC, table, tmp_path / "out.parquet", keep=["name"], part_rows=part_rows, workers=1, progress=False
    )
    found = check(report.output, smiles, expected)
    assert [row["name"] for row in found] == [f"m{i}" for i in range(len(smiles))]
    assert report.rows == len(smiles) and report.resumed == 0 and report.failed == 2
    assert report.refused == sum("refused" in one for one in expected.values()) - 2
    assert report.answered == report.rows - report.refused - report.failed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.parquet", "out.parquet"]


def test_several_processes_give_the_same(table, smiles, expected, tmp_path):
    told = []
    predict_file(SPEC, table, tmp_path / "out.parquet", part_rows=100, workers=2, progress=False, tell=told.append)
    check(tmp_path / "out.parquet", smiles, expected)
    assert len(told) == 1 and "for the other" in told[0] and "ms a row" in told[0]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt", ".smi", ".csv.gz"])
def test_files_of_text(smiles, expected, tmp_path, ending):
    path, some = tmp_path / f"some{ending}", smiles[:40]
    frame = pd.DataFrame({"id": range(40), "smiles": some})
    if ending == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif ending in (".txt", ".smi"):
        path.write_text("\n".join(some))
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    predict_file(SPEC, path, tmp_path / "out.parquet", workers=1, progress=False)
    check(tmp_path / "out.parquet", some, expected)


def test_a_row_that_cannot_be_read_is_written_with_its_reason(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("smiles,id\nCCO,1\nCC,2,3,4\nCO,3\n")
    report = predict_file(SPEC, path, tmp_path / "out.parquet", workers=1, progress=False)
    found = rows_of(report.output)
    assert found[1]["failed"] == "it has 4 fields, the header has 2" and report.failed == 1
    assert [row["smiles"] for row in found[::2]] == ["CCO", "CO"]
    path = tmp_path / "some.jsonl"
    path.write_text('{"smiles": "CCO"}\n{"smiles": \n{"other": 1}\n')
    found = rows_of(predict_file(SPEC, path, tmp_path / "out2.parquet", workers=1, progress=False).output)
    assert [row["failed"] for row in found] == [None, "it is no JSON object", "it lacks 'smiles'"]


def test_an_error_of_one_row_keeps_no_other_from_its_answer(predictor, monkeypatch):
    whole = type(predictor).answers

    def answers(self, inputs, **options):
        if "CCO" in inputs:
            raise RuntimeError("boom")
        return whole(self, inputs, **options)

    monkeypatch.setattr(type(predictor), "answers", answers)
    found = bulks.answer_rows(predictor, ["CC", "CCO", "CO", "CN"])
    assert found[1] == {"input": "CCO", "failed": "boom"}
    assert [one["smiles"] for one in (found[0], *found[2:])] == ["CC", "CO", "CN"]


KILLED = """
import os, sys
from elekit.operation import PredictorSpec, predict_file, bulk
from elekit.operation.predictor import Predictor

whole = Predictor.answers
def answers(self, inputs, **options):
    if "C#C" in inputs:
        os._exit(9)
    return whole(self, inputs, **options)
Predictor.answers = answers
if __name__ == "__main__":
    spec = PredictorSpec("molecules7", surrogate="smiles", candidates="none", settings={"method": "rounded"})
    print(predict_file(spec, sys.argv[1], sys.argv[2], part_rows=4, workers=2, progress=False))
"""


def test_a_row_that_ends_its_worker_is_named_and_the_others_are_answered(tmp_path):
    some = ["CCO", "CC", "C#C", "CO", "CN", "C", "CCC", "CCN"]
    (tmp_path / "in.txt").write_text("\n".join(some))
    (tmp_path / "run.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "run.py", tmp_path / "in.txt", tmp_path / "out.parquet"]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = rows_of(tmp_path / "out.parquet")
    assert [row["input"] for row in found] == some
    assert [row["failed"] is not None for row in found] == [text == "C#C" for text in some]
    assert "a worker process ended on this row" in found[2]["failed"]


def test_no_row_is_lost_or_doubled_by_kills(table, smiles, expected, tmp_path):
    output = tmp_path / "out.parquet"
    arguments = [
        "--artifact",
        "molecules7",
        "--surrogate",
        "smiles",
        "--candidates",
        "none",
        "--method",
        "rounded",
        "--input",
        table,
    ]
    arguments += ["--output", output, "--part-rows", 20, "--workers", 1]
    parts, seen = tmp_path / "out.parquet.parts", -1
    for _ in range(12):
        began = time.monotonic()
        started = subprocess.Popen(
            [sys.executable, "-m", "elekit.cli", "predict", *map(str, arguments)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while started.poll() is None and time.monotonic() - began < 120:
            count = len(list(parts.glob("0*.parquet"))) if parts.exists() else 0
            if count > max(seen, 0) + 8:  # some new parts are there
                started.send_signal(signal.SIGKILL)
                seen = count
                break
            time.sleep(0.002)
        if started.wait() == 0:
            break
        assert started.returncode == -signal.SIGKILL, started.stderr.read()[-1000:]
    check(output, smiles, expected)
    assert not parts.exists()


def test_what_is_done_is_not_done_again(table, smiles, expected, tmp_path, monkeypatch):
    output, calls = tmp_path / "out.parquet", []
    whole = bulks.answer_rows

    def interrupted(predictor, inputs, **options):
        calls.append(len(inputs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(predictor, inputs, **options)

    monkeypatch.setattr(bulks, "answer_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_file(SPEC, table, output, part_rows=100, workers=1, progress=False)
    assert not output.exists()
    damaged = tmp_path / "out.parquet.parts" / "000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:50])  # as if the disk had failed
    report = predict_file(SPEC, table, output, part_rows=100, workers=1, progress=False)
    check(output, smiles, expected)
    assert report.rows == len(smiles) and len(calls) == 3 + -(-len(smiles) // 100) - 1


def refused(*arguments, **options):
    with pytest.raises((ValueError, OSError)) as error:
        predict_file(*arguments, **{"workers": 1, "progress": False, **options})
    message = str(error.value)
    assert "\n" not in message
    return message


def test_what_cannot_be_done_is_refused_in_one_line(table, tmp_path, monkeypatch):
    out = tmp_path / "out.parquet"
    assert "no column 'text'; it has name, smiles" in refused(SPEC, table, out, column="text")
    assert "a column 'loss' of its own" in refused(SPEC, table, out, keep=["loss"])
    assert "no file" in refused(SPEC, tmp_path / "none.parquet", out)
    assert "parquet file, got" in refused(SPEC, table, tmp_path / "out.csv")
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    assert "is not a parquet file" in refused(SPEC, tmp_path / "x.parquet", out)
    (tmp_path / "x.xlsx").write_bytes(b"nothing")
    assert "no ending that is read here" in refused(SPEC, tmp_path / "x.xlsx", out)
    (tmp_path / "empty.csv").write_text("")
    assert "is empty" in refused(SPEC, tmp_path / "empty.csv", out)
    out.write_bytes(b"precious")
    assert "exists; name another output" in refused(SPEC, table, out)
    assert out.read_bytes() == b"precious"


def test_an_unfinished_run_with_other_settings_is_not_continued(table, tmp_path):
    out, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    parts.mkdir()
    (parts / "run.json").write_text(json.dumps({"part_rows": 7}))
    message = refused(SPEC, table, out)
    assert "unfinished run with another" in message and "part_rows" in message
    (parts / "run.json").write_text("{")
    assert "is damaged" in refused(SPEC, table, out)


def test_a_full_disk_keeps_what_is_done(table, tmp_path, monkeypatch):
    whole = bulks.write_atomically

    def full(path, write):
        if path.name == "000002.parquet":
            raise OSError(28, f"cannot write {path}: No space left on device")
        return whole(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(bulks, "write_atomically", full)
        assert "No space left" in refused(SPEC, table, tmp_path / "out.parquet", part_rows=100)
    assert len(list((tmp_path / "out.parquet.parts").glob("0*"))) == 2
    assert (
        predict_file(SPEC, table, tmp_path / "out.parquet", part_rows=100, workers=1, progress=False).resumed == 200
    )


def test_vectors_and_texts_that_are_compressed(tmp_path):
    path = tmp_path / "some.txt.gz"
    with gzip.open(path, "wt") as opened:
        opened.write("CCO\nCC\n")
    assert predict_file(SPEC, path, tmp_path / "out.parquet", workers=1, progress=False).answered == 2


def test_a_dask_cluster_gives_the_same(table, smiles, expected, tmp_path):
    pytest.importorskip("distributed")
    predict_file(SPEC, table, tmp_path / "out.parquet", part_rows=200, workers=1, dask="local", progress=False)
    check(tmp_path / "out.parquet", smiles, expected)
