"""Answers over HTTP: one version in operation, micro-batches, limits, and a reload that loses no request."""

import asyncio
import base64
import contextlib
import hmac
import ipaddress
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elekit.datasets.strict_json import parse_json
from elekit.graphs import _schema as schema
from elekit.graphs._optional import extra
from elekit.operation.batching import Answered, Batcher, FullError
from elekit.operation.pages import render
from elekit.operation.predictor import Json, Predictor, kind_of
from elekit.operation.registry import CARD, SHORT
from elekit.operation.request_log import RequestLog

MAX_BODY = 1_000_000  # bytes
MAX_DRAINED, DRAIN_SECONDS = 512_000_000, 20.0  # of a body that is too large: read on, so that the client hears why
MAX_INPUTS = 256  # of a request
MAX_LENGTH = 20_000  # characters of an input
MAX_BUDGET = 60_000  # milliseconds
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, of the histogram
LOOPBACK = "127.0.0.1"
_FIELDS = {
    "input": schema.anything, "inputs": schema.items(schema.anything, 10**6, 1),
    "budget_ms": schema.maybe(schema.number(1, MAX_BUDGET)), "trace": schema.one_of(True, False),
}  # fmt: skip
_REQUEST = schema.fields({}, _FIELDS)
_TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_INPUTS}
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "input": {"type": "string", "description": "one input of h, or use inputs"},
                    "inputs": {**_TEXTS, "description": "several inputs"},
                    "budget_ms": {
                        "type": "number", "minimum": 1, "maximum": MAX_BUDGET,
                        "description": "milliseconds after which the best answers so far are returned",
                    },
                    "trace": {"type": "boolean", "description": "also how each answer was found"},
                },
            }
        }
    },
}  # fmt: skip
Load = Callable[[], Predictor | None]


@dataclass(frozen=True)
class ServerConfig:
    """Settings of a server.

    Args:
        token: What clients must send as `Authorization: Bearer TOKEN`; None for none (on loopback only).
        max_body: Bytes of a request.
        max_inputs: Inputs of a request.
        max_waiting: Inputs that may wait; further requests are refused with 429.
        batch: Inputs that are answered together.
        poll: Seconds between looks at the registry.
    """

    token: str | None
    max_body: int = MAX_BODY
    max_inputs: int = MAX_INPUTS
    max_waiting: int = 1_000
    batch: int = 64
    poll: float = 5.0


class _Metrics:
    """Counters in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats)."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.buckets: Counter[float] = Counter()
        self.seconds, self.count, self.reloads, self.reload_errors = 0.0, 0, 0, 0

    def time(self, seconds: float) -> None:
        self.seconds, self.count = self.seconds + seconds, self.count + 1
        for bucket in BUCKETS:
            self.buckets[bucket] += seconds <= bucket

    def count_answers(self, answers: list[Json]) -> None:
        for answer in answers:
            kind = next((kind for kind in ("refused", "failed") if kind in answer), "answered")
            self.outcomes[kind] += 1
            self.outcomes["unsure"] += "unsure" in answer

    def text(self, waiting: int, version: str) -> str:
        lines = ["# TYPE elekit_requests_total counter"]
        lines += [f'elekit_requests_total{{code="{code}"}} {n}' for code, n in sorted(self.requests.items())]
        lines += ["# TYPE elekit_inputs_total counter"]
        kinds = ("answered", "unsure", "refused", "failed")
        lines += [f'elekit_inputs_total{{outcome="{kind}"}} {self.outcomes[kind]}' for kind in kinds]
        lines += ["# TYPE elekit_request_seconds histogram"]
        lines += [f'elekit_request_seconds_bucket{{le="{bucket:g}"}} {self.buckets[bucket]}' for bucket in BUCKETS]
        lines += [f'elekit_request_seconds_bucket{{le="+Inf"}} {self.count}']
        lines += [f"elekit_request_seconds_sum {self.seconds:.6f}", f"elekit_request_seconds_count {self.count}"]
        lines += ["# TYPE elekit_waiting_inputs gauge", f"elekit_waiting_inputs {waiting}"]
        lines += ["# TYPE elekit_reloads_total counter", f"elekit_reloads_total {self.reloads}"]
        lines += ["# TYPE elekit_reload_errors_total counter", f"elekit_reload_errors_total {self.reload_errors}"]
        lines += ["# TYPE elekit_version_info gauge", f'elekit_version_info{{version="{version}"}} 1']
        return "\n".join(lines) + "\n"


def make_app(
    predictor: Predictor, config: ServerConfig, *, load: Load | None = None, log: RequestLog | None = None,
    card: Callable[[], Path | None] | None = None,
) -> Any:  # fmt: skip
    """Make the application.

    Args:
        predictor: The version in operation.
        config: Settings.
        load: Called at intervals; returns the predictor of a newly promoted version, or None if there is none.
        log: Where answers are logged for monitoring; None for nowhere.
        card: Returns the loss card of the version in operation; None if there is none.

    Returns:
        A FastAPI application.
    """
    with extra("serve"):
        from fastapi import FastAPI, Request
        from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

    metrics, began = _Metrics(), time.monotonic()
    batcher: Batcher
    trouble = ""

    async def watch() -> None:
        nonlocal trouble
        loop = asyncio.get_running_loop()
        while load is not None:
            await asyncio.sleep(config.poll)
            try:
                new = await loop.run_in_executor(None, load)
                trouble = ""
            except Exception as error:  # a registry that cannot be read now; the version in operation stays
                trouble, new = f"{type(error).__name__}: {error}"[:500], None
                metrics.reload_errors += 1
            if new is not None:
                batcher.replace(new)
                metrics.reloads += 1

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        nonlocal batcher
        batcher = Batcher(predictor, most=config.batch, waiting=config.max_waiting)
        batcher.start()
        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
            await batcher.stop()

    about = "Answers of a learned loss. Send `Authorization: Bearer TOKEN` with each request."
    app = FastAPI(title="elekit", description=about, lifespan=lifespan, docs_url=None, redoc_url=None)

    def respond(code: int, content: Json, headers: dict[str, str] | None = None) -> JSONResponse:
        metrics.requests[code] += 1
        return JSONResponse(content, code, headers)

    def refusal(code: int, why: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return respond(code, {"error": why}, headers)

    def unauthorized(request: Request) -> JSONResponse | None:
        if config.token is None or _token_fits(request.headers.get("authorization", ""), config.token):
            return None
        headers = {"WWW-Authenticate": 'Bearer, Basic realm="elekit (the token is the password)"'}
        return refusal(
            401, "no valid token; send Authorization: Bearer TOKEN, as printed when the server began", headers
        )

    @app.post("/predict", summary="Answer one or several inputs", openapi_extra={"requestBody": _BODY})
    async def predict(request: Request) -> Response:
        began_request = time.monotonic()
        if refused := unauthorized(request):
            return refused
        body = await _body(request, config.max_body)
        if body is None:
            return refusal(413, f"the body is larger than {config.max_body:,} bytes; send fewer inputs at a time")
        try:
            requested = parse_json(body.decode())
            _REQUEST(requested, "the request")
            if ("input" in requested) == ("inputs" in requested):
                raise ValueError("the request needs input or inputs")
        except (ValueError, RecursionError) as error:
            return refusal(400, f"the body is no request: {error}")
        inputs = requested.get("inputs", [requested.get("input")])
        if len(inputs) > config.max_inputs:
            return refusal(413, f"{len(inputs):,} inputs, at most {config.max_inputs} are answered at a time")
        problems = {i: why for i, one in enumerate(inputs) if (why := _problem(one, batcher.predictor))}
        fit = [one for i, one in enumerate(inputs) if i not in problems]
        milliseconds = requested.get("budget_ms")
        budget = None if milliseconds is None else milliseconds / 1_000
        found = Answered(batcher.predictor.version, [])
        if fit:
            try:
                found = await batcher.answer(fit, budget=budget, traces=requested.get("trace", False))
            except FullError as full:
                return refusal(429, str(full), {"Retry-After": str(full.retry_after)})
        rest = iter(found.answers)
        answers = [
            {"input": _short(one), "refused": problems[i]} if i in problems else next(rest)
            for i, one in enumerate(inputs)
        ]
        name = secrets.token_hex(8)
        metrics.count_answers(answers)
        if log is not None:
            with contextlib.suppress(OSError):  # a full disk does not keep users from answers
                log.write(found.version, name, answers)
        metrics.time(time.monotonic() - began_request)
        return respond(200, {"id": name, "version": found.version, "answers": answers})

    @app.get("/healthz", summary="Whether the server answers, and which version")
    async def health() -> Response:
        state = {"status": "ok", "version": batcher.predictor.version, "waiting": batcher.waiting}
        state |= {"seconds": round(time.monotonic() - began, 1), "trouble": trouble}
        return respond(200, state)

    @app.get("/metrics", summary="Figures for Prometheus")
    async def figures(request: Request) -> Response:
        return unauthorized(request) or PlainTextResponse(
            metrics.text(batcher.waiting, batcher.predictor.version[:SHORT])
        )

    @app.get("/card", summary="The loss card of the version in operation")
    async def show_card(request: Request) -> Response:
        if refused := unauthorized(request):
            return refused
        path = card() if card is not None else None
        if path is None or not path.is_file():
            return refusal(404, f"this version has no card; add it to the registry with --card {CARD}")
        return HTMLResponse(path.read_text(encoding="utf-8"))

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return HTMLResponse(render("api.html.j2", api=app.openapi(), version=batcher.predictor.version))

    return app


def serve(app: Any, host: str, port: int) -> None:
    """Serve an application until SIGTERM or Ctrl-C; requests that were accepted are answered first.

    Args:
        app: As `make_app` returns it.
        host: Address to listen at.
        port: Port; 0 for any free one.

    Raises:
        OSError: If the address is in use or not of this machine.
    """
    import socket

    with extra("serve"):
        import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:  # uvicorn would log the error and end without raising it
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(error.errno or 0, f"cannot listen at {host}, port {port}: {error.strerror}") from None
    options: Json = {"log_level": "warning", "timeout_graceful_shutdown": 60, "server_header": False}
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again after all is answered
        uvicorn.Server(uvicorn.Config(app, host=host, port=port, **options)).run()


def check_exposure(host: str, token: str | None) -> None:
    """Raise a ValueError if a server without a token would be reachable from other machines."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if token is None and not local:
        raise ValueError(f"{host} can be reached from other machines, so a token is needed; leave out --no-token")


def _token_fits(header: str, token: str) -> bool:
    kind, _, given = header.partition(" ")
    if kind.lower() == "basic":  # what a browser sends after it showed a prompt for a password
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


async def _body(request: Any, most: int) -> bytes | None:
    """The body; None if it is too large. The rest of such a body is read and dropped, within limits."""
    body, size, began = bytearray(), 0, time.monotonic()
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            body += chunk
        elif size > MAX_DRAINED or time.monotonic() - began > DRAIN_SECONDS:
            break
        else:
            body.clear()
    return bytes(body) if size <= most else None


def _problem(value: Any, predictor: Predictor) -> str:
    """Why a value is no input of this h; "" if it may be one."""
    if kind_of(predictor.h) == "vector":
        numbers = isinstance(value, list) and all(type(one) in (int, float) for one in value)
        width = len(getattr(predictor.h.reader, "mean", ())) or None
        if not numbers or (width is not None and len(value) != width):
            return f"an input is a list of {width or 'some'} numbers"
        return ""
    if not isinstance(value, str):
        return f"an input is a text, got {_kind_of_json(value)}"
    if not value.strip():
        return "an empty input"
    return f"{len(value):,} characters, at most {MAX_LENGTH:,} are read" if len(value) > MAX_LENGTH else ""


def _kind_of_json(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: Any) -> Any:
    """A value as it is repeated in an answer."""
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= 200 else f"{text[:200]}..."
