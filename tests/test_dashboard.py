"""The dashboard: what viewers see, and that they can use the widgets but run no code."""

import subprocess
import sys

import dashboard.__main__ as dashboard
import nbformat
import pytest
from dashboard.__main__ import NOTEBOOK
from lab import free_port, served

DASHBOARD = dashboard.__file__

CELLS = {
    "import os, elekit as ele": (),
    "raise ValueError('only for learners')": ("lesson",),
    "artifact, data = ele.load('molecules7'), ele.datasets.load('molecules7')": (),
    "ele.widgets.inspect_loss(artifact.psi, 'CC(=O)NC', among=data.test.sample(50))": (),
    "from ipywidgets import Button, IntText, Label, VBox\nnumber, text = IntText(0), Label()": (),
    "number.observe(lambda c: setattr(text, 'value', f'{c.new} in {os.getpid()}'), 'value')\n"
    "VBox([number, text, Button(description='with an icon', icon='check')])": (),
}
RUN_CODE = """async ([socket, code]) => {
  const channel = new WebSocket(socket), heard = [];
  await new Promise(done => { channel.onopen = done; channel.onerror = done; });
  channel.onmessage = ({data}) => { if (typeof data === 'string') heard.push(JSON.parse(data).msg_type ?? JSON.parse(data).header.msg_type); };
  const header = {msg_id: 'x', msg_type: 'execute_request', username: 'viewer', session: 'x', version: '5.3'};
  const content = {code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false};
  channel.send(JSON.stringify({header, parent_header: {}, metadata: {}, content, channel: 'shell', buffers: []}));
  await new Promise(done => setTimeout(done, 1000));
  const state = channel.readyState; channel.close();
  return {state, heard};
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory, chromium):
    """Address of a small notebook as a dashboard."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, metadata={"tags": list(tags)}) for cell, tags in CELLS.items()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path, port = tmp_path_factory.mktemp("dashboard") / "small.ipynb", free_port()
    nbformat.write(notebook, path)
    command = [sys.executable, DASHBOARD, str(path), "--no-browser", f"--port={port}"]
    url = f"http://127.0.0.1:{port}"
    with served(command, f"{url}/api/kernels", {}):
        yield url


@pytest.fixture
def viewers(lab, address):
    """Two open pages of the dashboard; `lab` checks that nothing leaves the machine."""
    pages = [lab.page.context.new_page() for _ in range(2)]
    for page in pages:  # both kernels start at the same time
        policy = page.goto(address, wait_until="commit").headers["content-security-policy"]
        assert policy.startswith("default-src 'self'") and "http" not in policy and "*" not in policy
    for page in pages:
        page.wait_for_selector(".elekit svg:visible", timeout=60_000)
        page.wait_for_selector("input[type=number]")
    yield pages
    for page in pages:
        page.close()


@pytest.mark.browser
def test_viewers_use_widgets_and_run_no_code(viewers, address, tmp_path):
    first, second = viewers
    shown = first.inner_text("body")
    assert "Loss to the original" in shown
    assert "only for learners" not in shown and "import os" not in shown  # neither executed nor displayed

    values = []
    for page, number in ((first, "3"), (second, "5")):  # each viewer has a separate kernel
        page.fill("input[type=number]", number)
        page.keyboard.press("Tab")
        page.wait_for_function("n => document.body.innerText.includes(n + ' in ')", arg=number)
        values.append(page.evaluate("document.body.innerText.match(/([0-9]+) in ([0-9]+)/).slice(1)"))
    (value, kernel), (other_value, other_kernel) = values
    assert (value, other_value) == ("3", "5") and kernel != other_kernel
    assert f"3 in {kernel}" in first.inner_text("body")  # not the 5 of the second viewer

    config = second.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent)")
    written = tmp_path / "written"
    socket = f"{address.replace('http', 'ws')}/api/kernels/{config['kernelId']}/channels?session_id=x"
    answer = second.evaluate(RUN_CODE, [socket, f"open({str(written)!r}, 'w').write('x')"])
    assert answer["state"] == 1  # the channel is open, and the server dropped the request
    assert "execute_input" not in answer["heard"] and "execute_reply" not in answer["heard"] and not written.exists()
    for path in ("api/kernels", "api/contents", "api/sessions", "voila/files/small.ipynb", "voila/tree"):
        assert second.request.get(f"{address}/{path}").status in (403, 404), path


def test_a_missing_notebook_is_one_line_of_error():
    run = subprocess.run([sys.executable, DASHBOARD, "no/such.ipynb"], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1 and "no/such.ipynb" in run.stderr


def test_the_default_notebook_is_that_for_stakeholders():
    assert dashboard.__doc__ and NOTEBOOK.name == "07_explaining_to_stakeholders.ipynb"
