"""Every notebook runs, within its minute, without errors; and in a real browser nothing leaves the machine."""

import os
import re
import shutil
import time

import nbformat
import pytest
from lab import NOTEBOOKS, browser_page, find_chromium, jupyter_lab, run_notebook
from nbclient import NotebookClient

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
MINUTE = 60  # seconds a notebook may take on two quiet cores; three times that on a busy machine


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def test_there_are_notebooks():
    assert "00_start_here.ipynb" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_is_thin_and_stripped(name):
    for cell in read(name).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "strip outputs before committing"
            assert not re.search(r"^\s*(def|class) ", cell.source, re.M), "machinery belongs in the package"
            assert len(cell.source.splitlines()) <= 14


@pytest.mark.parametrize("name", NAMES)
def test_runs_within_its_minute(name):
    notebook = read(name)
    started = time.perf_counter()
    NotebookClient(notebook, timeout=3 * MINUTE, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    assert time.perf_counter() - started < 3 * MINUTE
    pictures = [
        o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})
    ]
    assert pictures


@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES)
def test_runs_in_a_real_browser_offline(name, tmp_path):
    if find_chromium() is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found; .ci/run installs it")
        pytest.skip("no Chromium found")
    folder = tmp_path / "notebooks"
    shutil.copytree(NOTEBOOKS, folder)
    with jupyter_lab(folder) as (url, token), browser_page(tmp_path / "profile") as (page, strays):
        cells = run_notebook(page, url, token, name, timeout=3 * MINUTE)
        errors = [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]
        assert not errors
        page.wait_for_selector(".jp-RenderedImage img")
        drawn = page.eval_on_selector_all(
            ".jp-RenderedImage img", "all => all.map(i => i.complete && i.naturalWidth)"
        )
        assert drawn and all(drawn)
        assert strays == []
        if os.environ.get("ELEKIT_SCREENSHOTS"):
            page.screenshot(path=os.path.join(os.environ["ELEKIT_SCREENSHOTS"], f"{name}.png"))
