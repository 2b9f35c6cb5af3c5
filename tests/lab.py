"""JupyterLab on a free port and a real Chromium on it, for tests; nothing leaves the machine."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Path of a Chromium on this machine, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def jupyter_lab(folder: Path):
    """The base URL and token of a JupyterLab over `folder`, stopped afterwards."""
    port = free_port()
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", "--allow-root", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
    ]  # fmt: skip
    settings = Path(tempfile.mkdtemp(prefix="lab-settings-"))  # without the pop-up that asks whether to show news
    quiet = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    try:
        with served(command, f"{url}/api?token={token}", {"JUPYTERLAB_SETTINGS_DIR": str(settings)}):
            yield url, token
    finally:
        shutil.rmtree(settings, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def served(command: list[str], url: str, environment: dict[str, str]):
    """A server that is started by this command and answers at this URL, stopped afterwards."""
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        for _ in range(240):
            if server.poll() is not None:
                raise RuntimeError(f"{' '.join(command[:4])} stopped while starting")
            try:
                urllib.request.urlopen(url, timeout=1).read()
                break
            except urllib.error.HTTPError:  # a "no" is an answer
                break
            except OSError:
                time.sleep(0.25)
        yield
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@contextlib.contextmanager
def browser_page(profile: Path):
    """A page of a fresh Chromium, and the list of requests that tried to leave the machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=find_chromium(),
            headless=True,
            args=FLAGS,
            viewport={"width": 1400, "height": 1000},
        )
        strays: list[str] = []

        def watch(request):
            if not request.url.startswith(
                ("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:", "about:")
            ):
                strays.append(request.url)

        context.on("request", watch)
        try:
            yield context.pages[0] if context.pages else context.new_page(), strays
        finally:
            context.close()


RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
CONNECTED = """() => {
  const session = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session;
  return session?.kernel?.connectionStatus === 'connected';
}"""
CELLS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
  return cells.filter(c => c.cell_type === 'code').map(c => ({count: c.execution_count, outputs: c.getOutputs()}));
}"""


def run_notebook(page, url: str, token: str, name: str, timeout: float) -> list[dict]:
    """Open the notebook in the lab, run all cells, wait; the code cells with their outputs."""
    page.goto(f"{url}/lab/tree/{name}?token={token}&reset")
    page.wait_for_function(CONNECTED, timeout=60_000)
    page.evaluate(RUN_ALL)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        cells = page.evaluate(CELLS)
        failed = any(o["output_type"] == "error" for cell in cells for o in cell["outputs"])
        if failed or all(cell["count"] for cell in cells):
            return cells
        page.wait_for_timeout(250)
    raise TimeoutError(f"{name} did not finish within {timeout:.0f} s")


IN_THE_KERNEL = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({code, store_history: false});
  let said = '', failed = '';
  future.onIOPub = ({header, content}) => {
    if (header.msg_type === 'stream' && content.name === 'stdout') said += content.text;
    if (header.msg_type === 'error') failed = content.ename + ': ' + content.evalue;
  };
  await future.done;
  return {said, failed};
}"""
LEAVE = """async () => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  if (panel?.sessionContext) { await panel.sessionContext.shutdown(); panel.context.model.dirty = false; panel.dispose(); }
}"""


@dataclass
class Lab:
    """A JupyterLab over `folder` with one page of a browser, for many notebooks one after the other."""

    url: str
    token: str
    folder: Path
    page: object
    strays: list[str]

    def run(self, *cells: str, name: str = "test", timeout: float = 120) -> None:
        """A new notebook of these code cells, opened and run; its errors are raised."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, self.folder / f"{name}.ipynb")
        for cell in run_notebook(self.page, self.url, self.token, f"{name}.ipynb", timeout):
            for output in cell["outputs"]:
                if output["output_type"] == "error":
                    raise AssertionError("\n".join(output["traceback"]))

    def save(self) -> Path:
        """Save the open notebook; its path."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return self.folder / self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")

    def open(self, name: str) -> None:
        """Open a notebook with a new kernel, and run nothing."""
        self.page.goto(f"{self.url}/lab/tree/{name}?token={self.token}&reset")
        self.page.wait_for_function(CONNECTED, timeout=60_000)

    def python(self, code: str) -> str:
        """What the code prints, run in the kernel of the open notebook; its errors are raised."""
        done = self.page.evaluate(IN_THE_KERNEL, code)
        if done["failed"]:
            raise AssertionError(done["failed"])
        return done["said"].strip()

    def value(self, expression: str):
        """A JSON value out of the kernel of the open notebook."""
        return json.loads(self.python(f"import json; print(json.dumps({expression}))"))

    def eventually(self, expression: str, wanted, seconds: float = 20) -> None:
        """Wait until an expression of the kernel has a value."""
        end = time.monotonic() + seconds
        while (got := self.value(expression)) != wanted:
            if time.monotonic() > end:
                raise AssertionError(f"{expression} is {got!r}, want {wanted!r}")
            self.page.wait_for_timeout(50)

    def screenshot(self, name: str) -> None:
        """A picture in $ELEKIT_SCREENSHOTS, where that is set."""
        if os.environ.get("ELEKIT_SCREENSHOTS"):
            self.page.screenshot(path=os.path.join(os.environ["ELEKIT_SCREENSHOTS"], f"{name}.png"))

    def leave(self) -> None:
        """Close the notebook and its kernel."""
        self.page.evaluate(LEAVE)
