"""Every notebook has short cells and no outputs, runs without errors, and in a real browser nothing leaves the machine."""

import os
import re
import shutil

import nbformat
import pytest
from lab import NOTEBOOKS, find_chromium, run_notebook
from nbclient import NotebookClient

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
TIMEOUT = 1200  # seconds of a notebook; a guard against kernels that hang, not a measurement
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def outputs_of(outputs, kind):
    return [output for output in outputs if kind in output.get("data", {})]


def test_there_are_notebooks():
    assert NAMES[0] == "00_start_here.ipynb"


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short_and_have_no_outputs(name):
    notebook = read(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "strip outputs before committing"
            assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE), (
                "definitions belong in the package or in notebooks/checks"
            )
            assert len(cell.source.splitlines()) <= 14
    assert "widgets" not in notebook.metadata, "strip the widgets' state before committing"


@pytest.mark.browser
@pytest.mark.timeout(TIMEOUT + 100)
@pytest.mark.parametrize("name", NAMES)
def test_runs_without_errors(name, request):
    """In a real browser; outside CI, and without Chromium, in a kernel only, which draws no widgets."""
    if find_chromium() is None and not os.environ.get("CI"):
        notebook = read(name)
        NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
        assert outputs_of([o for c in notebook.cells if c.cell_type == "code" for o in c.outputs], "image/png")
    else:
        lab = request.getfixturevalue("lab")
        place = copy_of_checkout(lab.folder)
        shutil.copy(NOTEBOOKS / name, place)
        cells = run_notebook(lab.page, lab.url, lab.token, f"{place.name}/{name}", TIMEOUT)
        assert_folded(lab.page, read(name).cells)
        assert_drawn(lab, name, [output for cell in cells for output in cell["outputs"]])


def copy_of_checkout(folder):
    """A folder for notebooks with what they import, found as in a checkout: `checks` beside them, `../data/build`."""
    place = folder / "notebooks"
    place.mkdir(exist_ok=True)
    for link, target in ((place / "checks", NOTEBOOKS / "checks"), (folder / "data", NOTEBOOKS.parent / "data")):
        if not link.exists():
            link.symlink_to(target)
    return place


def assert_folded(page, cells):
    """The results of guesses are folded, also after Run All; then unfold them."""
    results = [cell.source[5:] for cell in cells if cell.source.startswith("#### Result")]
    for cell in page.locator(".jp-Cell").all():  # a cell is drawn when it scrolls into view
        if cell.is_visible():
            cell.scroll_into_view_if_needed()
    folded = page.locator(".jp-MarkdownCell:has(.jp-showHiddenCellsButton)").all_text_contents()
    assert [any(result in text for text in folded) for result in results] == [True] * len(results)
    page.evaluate("window.jupyterapp.commands.execute('notebook:expand-all-headings')")


def assert_drawn(lab, name, outputs):
    """There are no errors, and every picture and every widget is visible."""
    page = lab.page
    assert [o for o in outputs if o["output_type"] == "error"] == []
    pictures = [o for o in outputs_of(outputs, "image/png") if WIDGET not in o["data"]]
    assert pictures
    for cell in page.locator(".jp-Cell").all():  # a cell is drawn when it scrolls into view
        cell.scroll_into_view_if_needed()
    page.wait_for_selector(".jp-RenderedImage img", state="attached")  # hidden where its widget lives
    drawn = page.eval_on_selector_all(".jp-RenderedImage img", "all => all.map(i => i.complete && i.naturalWidth)")
    assert len(drawn) == len(pictures) and all(drawn)
    shown = [o["data"].get("text/plain") for o in outputs_of(outputs, WIDGET)]
    widgets = sum("of a widget" in str(words) for words in shown)  # not the progress bars of a slow machine
    if widgets:
        page.wait_for_function("count => document.querySelectorAll('.elekit').length >= count", arg=widgets)
        assert page.locator(".elekit-problem:not([hidden])").all_text_contents() == []
    lab.screenshot(name)
