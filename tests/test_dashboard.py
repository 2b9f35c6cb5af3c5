"""The dashboard: what viewers see, and that they can use the widgets but run no code."""

import asyncio
import http.client
import sys
from collections import Counter
from urllib.parse import urlsplit

import dashboard.__main__ as dashboard
import nbformat
import pytest
from dashboard.__main__ import NOTEBOOK
from lab import free_port, served

DASHBOARD, TOKEN = dashboard.__file__, "a-token-of-the-test"

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


@pytest.fixture(scope="session")  # tests with a browser come last, long after those without one
def address(tmp_path_factory):
    """Address of a small notebook as a dashboard."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, metadata={"tags": list(tags)}) for cell, tags in CELLS.items()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path, port = tmp_path_factory.mktemp("dashboard") / "small.ipynb", free_port()
    nbformat.write(notebook, path)
    command = [sys.executable, DASHBOARD, str(path), "--no-browser", f"--port={port}", f"--token={TOKEN}"]
    url = f"http://127.0.0.1:{port}"
    with served([*command, "--kernels=2", "--host=dash.example"], f"{url}/api/kernels", {}):
        yield url


def asked(address, method="GET", path="/", token=TOKEN, **headers):
    """Status and headers of the answer to a request; of a page, its body is left."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    cookie = {"cookie": f"dashboard-{place.port}={token}"} if token else {}
    for name, value in {"host": place.netloc, **cookie, **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.headers


KERNEL = "/api/kernels/00000000-0000-0000-0000-000000000000"
SOCKET = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13", "sec_websocket_key": "eA=="}
REFUSED = {
    "no token": (403, {"token": ""}),
    "another token": (403, {"token": "x"}),
    "another token in the address": (403, {"token": "", "path": "/?token=x"}),
    "a name that an attacker points at this machine": (403, {"host": "evil.example"}),
    "the same, with the token": (403, {"host": "evil.example", "path": f"/?token={TOKEN}"}),
    "a name that only begins well": (403, {"host": "localhost.evil.example"}),
    "a name that only ends well": (403, {"host": "evil.example:localhost"}),
    "another page": (403, {"sec_fetch_site": "cross-site"}),
    "another port of this machine": (403, {"sec_fetch_site": "same-site"}),
    "another origin": (403, {"origin": "http://evil.example"}),
    "a hidden origin": (403, {"origin": "null"}),
    "a websocket of another page": (403, {"path": f"{KERNEL}/channels", "origin": "http://evil.example", **SOCKET}),
    "a websocket of no page": (403, {"path": f"{KERNEL}/channels", **SOCKET}),
    "a kernel ended by another page": (403, {"method": "POST", "path": KERNEL.replace("/api/kernels", "/voila/api/shutdown")}),
    **{method: (405, {"method": method}) for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")},
    **{path: (404, {"path": path}) for path in (
        KERNEL, "/api/kernels", "/api/contents", "/api/sessions", "/api/terminals", "/tree", "/login", "/small.ipynb",
        "/voila/files/small.ipynb", "/voila/tree", "/voila/static/", "/voila/static/../app.py", "/voila/templates/x",
        "/voila/labextensions/", "/voila/static/%2e%2e/app.py",
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_page_of_a_viewer_is_refused(address, name):
    status, request = REFUSED[name]
    answer, headers = asked(address, **request)
    assert answer == status
    assert (
        headers["x-content-type-options"] == "nosniff" and "connect-src 'self';" in headers["content-security-policy"]
    )


@pytest.fixture
def viewers(lab, address):
    """Two open pages of the dashboard; `lab` checks that nothing leaves the machine."""
    pages = [lab.page.context.new_page() for _ in range(2)]
    for page in pages:  # both kernels start at the same time
        answer = page.goto(f"{address}/?token={TOKEN}", wait_until="commit")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'") and "http" not in policy and "*" not in policy
    for page in pages:
        page.wait_for_selector(".elekit svg:visible", timeout=120_000)
        page.wait_for_selector("input[type=number]")
    yield pages
    for page in pages:
        page.close()


@pytest.mark.browser
def test_viewers_use_widgets_and_run_no_code(viewers, address, tmp_path):
    first, second = viewers
    shown = first.inner_text("body")
    assert "from the original" in shown
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

    # A third viewer has to wait until one has left, whose kernel ends with the page.
    status, headers = asked(address)
    assert status == 503 and headers["retry-after"] and headers["x-content-type-options"] == "nosniff"
    assert asked(address, path=f"/api/kernels/{config['kernelId']}")[0] == 200
    second.goto("about:blank")
    for _ in range(100):
        if asked(address, path=f"/api/kernels/{config['kernelId']}")[0] == 404:
            break
        first.wait_for_timeout(100)
    assert asked(address, host="dash.example")[0] == 200  # a name that was given, and a kernel that is free
    assert TOKEN not in first.evaluate("document.cookie")  # no script reads it


def test_a_kernel_ends_a_minute_after_its_viewer_has_left(monkeypatch):
    now, ended = [1000.0], []
    running = ["looked at", "executing the page", "left alone"]
    kernels = dashboard.Kernels()
    kernels.pages = {name: asyncio.Future(loop=asyncio.new_event_loop()) for name in running}
    for name in ("looked at", "left alone"):
        kernels.pages[name].cancel()

    async def shutdown(name, now):
        ended.append(name)
        running.remove(name)

    monkeypatch.setattr(dashboard.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(dashboard.Socket, "opened", Counter({"looked at": 1}))
    monkeypatch.setattr(kernels, "list_kernel_ids", lambda: list(running))
    monkeypatch.setattr(kernels, "get_kernel", lambda name: None)
    monkeypatch.setattr(kernels, "shutdown_kernel", shutdown)
    for seconds, wanted in ((0, []), (55, []), (65, ["left alone"]), (500, ["left alone"])):
        now[0] = 1000.0 + seconds
        asyncio.run(kernels.end_unused())
        assert ended == wanted
    dashboard.Socket.opened.clear()
    kernels.pages["executing the page"].cancel()
    for seconds in (505, 570):
        now[0] = 1000.0 + seconds
        asyncio.run(kernels.end_unused())
    assert set(ended) == {"left alone", "looked at", "executing the page"} and running == [] and not kernels.full


def test_a_wrong_argument_is_one_line_of_error(capsys):
    for wrong in ("no/such.ipynb", "--kernels=0", "--token=a;b"):
        assert dashboard.main([wrong]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert wrong.split("=")[0] in line


def test_the_default_notebook_is_that_for_stakeholders():
    assert dashboard.__doc__ and NOTEBOOK.name == "07_explaining_to_stakeholders.ipynb"
