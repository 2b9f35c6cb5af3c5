"""Every notebook is thin, runs within its minute without errors, and in a real browser nothing leaves the machine."""

import os
import re
import shutil
import time

import nbformat
import pytest
from lab import NOTEBOOKS, find_chromium, run_notebook
from nbclient import NotebookClient

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
MINUTE = 60  # seconds a notebook may take on two quiet cores; three times that on a busy machine
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def of_kind(outputs, kind):
    return [output for output in outputs if kind in output.get("data", {})]


def test_there_are_notebooks():
    assert NAMES[0] == "00_start_here.ipynb"


@pytest.mark.parametrize("name", NAMES)
def test_is_thin_and_stripped(name):
    notebook = read(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "strip outputs before committing"
            assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE), "machinery belongs in the package"
            assert len(cell.source.splitlines()) <= 14
    assert "widgets" not in notebook.metadata, "strip the widgets' state before committing"


@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES)
def test_runs_within_its_minute(name, request):
    """In a real browser; where there is none, and this is not CI, without its widgets being drawn."""
    started = time.perf_counter()
    if find_chromium() is None and not os.environ.get("CI"):
        notebook = read(name)
        NotebookClient(notebook, timeout=3 * MINUTE, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
        assert of_kind([o for c in notebook.cells if c.cell_type == "code" for o in c.outputs], "image/png")
    else:
        lab = request.getfixturevalue("lab")
        shutil.copy(NOTEBOOKS / name, lab.folder)
        cells = run_notebook(lab.page, lab.url, lab.token, name, 3 * MINUTE)
        is_drawn(lab, name, [output for cell in cells for output in cell["outputs"]])
    assert time.perf_counter() - started < 3 * MINUTE


def is_drawn(lab, name, outputs):
    """No errors; every picture and every widget is there to be seen."""
    page = lab.page
    assert [o for o in outputs if o["output_type"] == "error"] == []
    pictures = [o for o in of_kind(outputs, "image/png") if WIDGET not in o["data"]]
    assert pictures
    # cells far below are drawn when they come into view
    for place in page.locator(".jp-Cell").all():
        place.scroll_into_view_if_needed()
    page.wait_for_selector(".jp-RenderedImage img")
    drawn = page.eval_on_selector_all(".jp-RenderedImage img", "all => all.map(i => i.complete && i.naturalWidth)")
    assert len(drawn) == len(pictures) and all(drawn)
    widgets = len(of_kind(outputs, WIDGET))
    if widgets:
        page.wait_for_function("count => document.querySelectorAll('.elekit').length >= count", arg=widgets)
        assert page.locator(".elekit-problem:not([hidden])").all_text_contents() == []
    lab.screenshot(name)
