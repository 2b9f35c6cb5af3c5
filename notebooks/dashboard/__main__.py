"""Serve a notebook as a read-only dashboard: `python notebooks/dashboard [NOTEBOOK]`.

Voilà executes the notebook for each viewer in a separate kernel. Viewers can use the widgets but cannot run code.
Sources and cells tagged "lesson" are hidden. The server gives nothing away to other machines and pages:

- The printed address holds a token, which then lives in a cookie. Requests without it are refused, as are those under
  a host name that is not the server's, and those that another web page makes.
- Only the page, its files and the websocket to its kernel are served. Pages load nothing from other machines.
- The number of kernels is bounded. A kernel ends a minute after its viewer has left, and with the server.
"""

import argparse
import asyncio
import hmac
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
import webbrowser
from collections import Counter
from pathlib import Path
from typing import ClassVar

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError, OutputTransform, RequestHandler
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE.parent / "07_explaining_to_stakeholders.ipynb"
LESSON = "lesson"  # tag of cells for learners only
KERNELS = 8  # at once; each takes several hundred MB
ALONE_SECONDS = 60  # a kernel ends after this time without a viewer
UNUSED_SECONDS = 1800  # a kernel ends after this time without a message, if its page is still open
SOCKETS = 4  # per kernel
LOCAL = ("localhost", "127.0.0.1", "::1")
BODY_BYTES, MESSAGE_BYTES = (
    2**14,
    2**22,
)  # of a request; of a message of a widget, such as a selection of 100,000 rows
KERNEL_PATHS = r"(?P<what>api/kernels|voila/api/shutdown)/(?P<id>[0-9a-f-]{36})(?P<socket>/channels)?"
FILE_PATHS = r"voila/(static|labextensions|templates/[\w-]+/static)/(?!.*\.\.)[\w@.+/-]+"
# Pages load everything from their own server. The JavaScript of widgets is text that is imported as a module (blob:).
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        "style-src 'self' 'unsafe-inline' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
WORDS = {
    403: "This dashboard opens under the address that it printed when it started, with its token.",
    404: "There is nothing here.",
    405: "This dashboard is read-only.",
    503: "The dashboard is full. Try again in a minute.",
}


class Refusal(RequestHandler):
    """Answers any request with a status and a plain page."""

    def initialize(self, status: int) -> None:
        self.status = status

    def prepare(self) -> None:
        refuse(self, self.status)


def refuse(handler: RequestHandler, status: int) -> None:
    """Finish the answer of a handler with a plain page."""
    handler.set_status(status)
    handler.set_header("Content-Type", "text/html; charset=utf-8")
    if status == 503:
        handler.set_header("Retry-After", str(ALONE_SECONDS))
    words = WORDS.get(status, "The dashboard could not answer.")
    handler.finish(f"<!doctype html><title>Dashboard</title><p>{words}</p>\n")


class Page(TornadoVoilaHandler):
    """The notebook. Errors are plain pages."""

    def write_error(self, status_code: int, **kwargs) -> None:
        refuse(self, status_code)


class Socket(VoilaKernelWebsocketHandler):
    """The websocket of a page to its kernel."""

    opened: ClassVar[Counter] = Counter()
    received, since = 0, 0.0

    async def get(self, kernel_id: str) -> None:
        if self.opened[kernel_id] >= SOCKETS:
            raise HTTPError(503)
        self.opened[kernel_id] += 1
        try:
            await super().get(kernel_id)  # returns when the connection ends
        finally:
            self.opened[kernel_id] -= 1

    def on_message(self, message: str | bytes) -> None:
        now = time.monotonic()
        if now - self.since > 10:
            self.received, self.since = 0, now
        self.received += len(message)
        if self.received <= 4 * MESSAGE_BYTES:  # in ten seconds; a busy kernel would let them pile up
            super().on_message(message)
        else:
            self.close(1008, "too many messages")

    def write_error(self, status_code: int, **kwargs) -> None:
        refuse(self, status_code)


class Kernels(AsyncMappingKernelManager):
    """A bounded number of kernels, which end soon after their viewers have left."""

    limit, starting = KERNELS, 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.buffer_offline_messages = False  # they would pile up
        self.pages: dict[str, asyncio.Task | None] = {}  # the task that still executes the notebook in a kernel
        self.seen: dict[str, float] = {}  # when a kernel last had a viewer

    @property
    def full(self) -> bool:
        return len(self) + self.starting >= self.limit

    async def start_kernel(self, **kwargs) -> str:
        if self.full:
            raise HTTPError(503)
        self.starting += 1
        try:
            kernel_id = await super().start_kernel(**kwargs)
            self.pages[kernel_id] = asyncio.current_task()
            return kernel_id
        finally:
            self.starting -= 1

    async def end_unused(self) -> None:
        """Shut down the kernels that have had no viewer, or no message, for too long."""
        now = time.monotonic()
        for known in (self.pages, self.seen, Socket.opened):
            for kernel_id in set(known) - set(self.list_kernel_ids()):
                del known[kernel_id]
        for kernel_id in self.list_kernel_ids():
            page = self.pages.get(kernel_id)
            if (page and not page.done()) or Socket.opened[kernel_id]:
                self.seen[kernel_id] = now
            active = getattr(self.get_kernel(kernel_id), "last_activity", None)
            unused = time.time() - active.timestamp() if active else 0
            if now - self.seen.setdefault(kernel_id, now) > ALONE_SECONDS or unused > UNUSED_SECONDS:
                try:
                    await self.shutdown_kernel(kernel_id, now=True)
                except Exception:  # such as a page that ended it meanwhile; the others have their turn
                    self.log.warning("Kernel %s was not shut down", kernel_id, exc_info=True)


class Dashboard(Voila):
    """Voilà for one notebook, behind a gate through which every request goes."""

    secret: str = ""
    names: ClassVar[list[str]] = ["localhost"]  # of this server

    def init_handlers(self) -> list:
        """Put the gate before the handlers."""
        ours = {TornadoVoilaHandler: Page, VoilaKernelWebsocketHandler: Socket}
        handlers = [(path, ours.get(handler, handler), *rest) for path, handler, *rest in super().init_handlers()]
        app = self.app
        app.settings.update(websocket_max_message_size=MESSAGE_BYTES, ws_ping_interval=10_000, ws_ping_timeout=10_000)
        app.settings["disable_check_xsrf"] = True  # the gate checks where a request comes from
        self.kernel_manager.allowed_message_types.remove("shutdown_request")
        find, listen, gate = app.find_handler, app.listen, self

        def find_handler(request, **kwargs):
            status = gate.refusal(request)
            if status:
                return app.get_handler_delegate(request, Refusal, {"status": status})
            return find(request, **kwargs)

        class Headers(OutputTransform):
            def __init__(self, request):
                self.cookie = getattr(request, "cookie_to_set", None)

            def transform_first_chunk(self, status_code, headers, chunk, finishing):
                headers.update(HEADERS)
                headers.pop("Server", None)
                if self.cookie:
                    headers.add("Set-Cookie", self.cookie)
                return status_code, headers, chunk

        app.find_handler = find_handler
        app.add_transform(Headers)
        app.listen = lambda *args: listen(
            *args, max_body_size=BODY_BYTES, max_header_size=BODY_BYTES, idle_connection_timeout=20, body_timeout=10
        )
        self.ending = PeriodicCallback(self.kernel_manager.end_unused, 5000)
        self.ending.start()
        return handlers

    def refusal(self, request) -> int:
        """The status with which a request is refused, 0 if it may go on."""
        kernel = re.fullmatch(f"{re.escape(self.server_url)}{KERNEL_PATHS}", request.path)
        leaving = kernel and kernel["what"] == "voila/api/shutdown"  # posted by a page that is closed
        if request.method != ("POST" if leaving else "GET"):
            return 405
        host = request.headers.get("Host", "").lower()
        name = re.fullmatch(r"\[?([\w.:-]+?)\]?(:\d{1,5})?", host, re.ASCII)
        if not name or name[1] not in (*LOCAL, *self.names, self.ip.lower()):
            return 403
        page = request.path == self.server_url
        token = request.query_arguments.get("token", [b""])[-1] if page else b""
        given = hmac.compare_digest(token, self.secret.encode())
        name = f"dashboard-{self.port}"
        cookie = request.cookies[name].value if name in request.cookies else ""
        if not given and not hmac.compare_digest(cookie.encode(), self.secret.encode()):
            return 403
        # A link elsewhere that holds the token may open the page; nothing else may come from another page.
        if not given and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return 403
        origin = request.headers.get("Origin")
        if origin not in (f"http://{host}", f"https://{host}") and (
            origin or leaving or (kernel and kernel["socket"])
        ):
            return 403
        if kernel:
            return 0 if kernel["id"] in self.kernel_manager else 404
        if not page and not re.fullmatch(re.escape(self.server_url) + FILE_PATHS, request.path):
            return 404
        if given:
            request.cookie_to_set = f"{name}={self.secret}; Path={self.server_url}; HttpOnly; SameSite=Strict"
        request.uri, request.query = request.path, ""  # no token in logs, no template or theme from viewers
        request.arguments, request.query_arguments = {}, {}
        return 503 if page and self.kernel_manager.full else 0

    @property
    def display_url(self) -> str:
        return f"{self._url(self.names[-1])}?token={self.secret}"

    def launch_browser(self) -> None:
        """Open a local file that leads to the dashboard: command lines, which everyone can read, hold no token."""
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False) as file:
            file.write(f'<meta http-equiv="refresh" content="0; url={self.display_url}">')
        threading.Thread(target=webbrowser.open, args=[Path(file.name).as_uri()], daemon=True).start()


def command(notebook: Path, options: list[str]) -> list[str]:
    """The options of Voilà for a notebook; `options` come last and override the defaults."""
    return [
        str(notebook),
        "--template=offline", "--theme=light",
        "--strip_sources=True", "--show_tracebacks=False",
        "--TagRemovePreprocessor.enabled=True", f"--TagRemovePreprocessor.remove_cell_tags={LESSON}",
        *options,
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return 1 if the notebook does not exist or an option is wrong."""
    parser = argparse.ArgumentParser(
        prog="python notebooks/dashboard",
        allow_abbrev=False,
        description="Serve a notebook as a read-only dashboard: viewers use its widgets and cannot run code.",
        epilog="Further options are passed to Voilà, such as --port=8866, --Voila.ip=0.0.0.0 and --no-browser.",
    )
    parser.add_argument("notebook", type=Path, nargs="?", default=NOTEBOOK, help="default: %(default)s")
    parser.add_argument("--kernels", type=int, default=KERNELS, help="viewers at once; default: %(default)s")
    parser.add_argument("--host", action="append", default=[], help="a name of this server, beside localhost")
    parser.add_argument("--token", default="", help="the token of the address; default: a new one")
    args, options = parser.parse_known_args(arguments)
    if not args.notebook.is_file():
        sys.stderr.write(f"error: no notebook at {args.notebook}\n")
        return 1
    if not re.fullmatch(r"[\w.~-]*", args.token, re.ASCII):
        sys.stderr.write("error: --token may hold letters, digits and - . _ ~ only\n")
        return 1
    if args.kernels < 1:
        sys.stderr.write(f"error: --kernels must be at least 1, got {args.kernels}\n")
        return 1
    paths = [str(HERE / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the kernels of all viewers share the cores
    Kernels.limit = args.kernels
    Dashboard.secret = args.token or secrets.token_urlsafe(32)
    Dashboard.names = ["localhost", *(name.lower() for name in args.host)]
    app = Dashboard(config=Config(VoilaConfiguration={"multi_kernel_manager_class": Kernels}))
    app.initialize(command(args.notebook, options))
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a closed terminal ends it as SIGTERM does
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    app.start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
