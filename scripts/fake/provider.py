"""The fake provider: four protocols on one port, strict about what comes in, scripted in what goes out.

`FakeProvider` is an async context manager; `FakeProvider.running()` runs one in a thread for code that is not
async. It listens on loopback only and trusts nobody: every request is checked as the real provider would.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import threading
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any, Final, Self

import orjson

from scripts.fake import bench, sdk_types, speak_responses
from scripts.fake.delivery import STALL_S, deliver
from scripts.fake.dialects import Call, Dialect, locate
from scripts.fake.http import Connection, Reply, Request
from scripts.fake.read_gemini import camel
from scripts.fake.record import Record, Recorded
from scripts.fake.rejection import MESSAGES, OVERLOADED, Rejection
from scripts.fake.scenarios import (
    SCENARIOS,
    Options,
    Play,
    compose,
    estimate,
    from_header,
    from_model,
    play,
)
from scripts.fake.view import Turn, View

DEFAULT_KEY: Final = "fake-key"
DEFAULT_MODELS: Final = ("fake-text", "fake-tool", "fake-parallel", "fake-reasoning-tool")
_JSON: Final = "application/json"


class FakeProvider:
    """One fake provider; `base_url` is known once it has started.

    `key` is what every protocol's credential must be ("" accepts any). `default` is played when neither header
    nor model name picks a scenario. `window_tokens` makes longer prompts overflow. `sdk_types` adds what the
    official SDKs' request types say to the notes of each record (the SDKs must be installed).
    """

    def __init__(
        self,
        *,
        key: str = DEFAULT_KEY,
        default: str | Play = "text",
        models: tuple[str, ...] = DEFAULT_MODELS,
        window_tokens: int | None = None,
        sdk_types: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.key = key
        self.models = models
        self.window_tokens = window_tokens
        self.sdk_types = sdk_types
        self.record = Record()
        self.base_url = ""
        self.port = port
        self._host = host
        self._default = play(default) if isinstance(default, str) else default
        self._failures: Counter[str] = Counter()
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections), self._host, self.port, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://{self._host}:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.shut()
            await self._server.wait_closed()

    @classmethod
    @contextlib.contextmanager
    def running(cls, **settings: Any) -> Iterator[Self]:
        """Run one in a thread of its own, for code that is not async."""
        fake = cls(**settings)
        ready = threading.Event()
        failed: list[BaseException] = []
        stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def serve() -> None:
            over = asyncio.Event()
            stop.append((asyncio.get_running_loop(), over))
            async with fake:
                ready.set()
                await over.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except OSError as error:
                failed.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="fake-provider", daemon=True)
        thread.start()
        ready.wait()
        if failed:
            raise failed[0]
        try:
            yield fake
        finally:
            loop, over = stop[0]
            loop.call_soon_threadsafe(over.set)
            thread.join()

    def play(self, name: str, **options: Any) -> None:
        """Make this the scenario of requests that name none, and count failures anew."""
        self._default = play(name, **options)
        self._failures.clear()

    def reset(self) -> None:
        """Forget requests and counted failures."""
        self.record.clear()
        self._failures.clear()

    def _handle(self, request: Request, reply: Reply) -> Awaitable[None] | None:
        if bench.asks(request):
            return bench.answer(request, reply)
        if request.path.startswith("/__fake/"):
            self._control(request, reply)
            return None
        return self._serve(request, reply)

    async def _serve(self, request: Request, reply: Reply) -> None:
        called = locate(request)
        item = Recorded(
            called.dialect.name if called else "",
            called.operation if called else "",
            request.method,
            request.path,
            dict(request.query),
            request.raw_headers,
            request.body,
        )
        self.record.add(item)
        reply.on_end = item.ended
        if called is None:
            item.verdict, item.status, item.reason = "rejected", 404, "no such path"
            reply.send(404, {"content-type": _JSON}, b'{"error":{"message":"Not Found"}}')
            return
        try:
            await self._dispatch(called, request, reply, item)
        except Rejection as rejection:
            item.verdict, item.reason = "rejected", rejection.message
            self._refuse(called, rejection, reply, item, request)
        except Exception as error:
            # A bug of the fake: show it to whoever tests against it instead of leaving the client waiting.
            item.verdict, item.status = "rejected", 500
            item.reason = f"fake provider crashed: {error!r}"
            reply.close()
            raise
        except asyncio.CancelledError:
            item.outcome = item.outcome or "client_left"
            raise

    async def _dispatch(self, called: Call, request: Request, reply: Reply, item: Recorded) -> None:
        dialect = called.dialect
        if "upgrade" in request.headers:
            # As the real API without a WebSocket: 426 makes Codex fall back to HTTP at once.
            item.status, item.reason = 426, "no WebSocket here"
            reply.send(426, {"content-type": _JSON}, b'{"error":{"message":"Upgrade Required"}}')
            return
        self._authenticate(dialect, request)
        if called.operation == "models":
            self._list_models(called, request, reply, item)
            return
        if request.method != "POST":
            raise Rejection(405, f"Not allowed to {request.method} on {request.path}.")
        body = self._parse(request, called, item)
        model = called.model or body.get("model", "")
        item.model = model if isinstance(model, str) else ""
        dialect.validate(body, item.model, request, called.operation)
        if self.sdk_types and called.operation == "create":
            item.notes += sdk_types.complaints(dialect.name, body)
        view = self._view(called, request, body, item.model)
        item.tool_results = len(view.results)
        item.reasoning_returned = view.reasoning_returned
        if called.operation == "count":
            self._send(reply, item, 200, dialect.count(estimate(view)), dialect)
            return
        if called.operation == "compact":
            self._send(reply, item, 200, speak_responses.compaction(view, estimate(view)), dialect)
            return
        await self._answer(dialect, view, request, reply, item)

    def _authenticate(self, dialect: Dialect, request: Request) -> None:
        given = dialect.key(request)
        if (self.key and given != self.key) or not given:
            raise dialect.bad_key(given)

    def _parse(self, request: Request, called: Call, item: Recorded) -> dict[str, Any]:
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise Rejection(
                400, f"We could not parse the JSON body of your request: {error}"
            ) from None
        if not isinstance(body, dict):
            raise Rejection(400, "The body must be a JSON object.")
        item.body = body
        return camel(body, item.notes) if called.dialect.name == "gemini" else body

    def _view(self, called: Call, request: Request, body: dict[str, Any], model: str) -> View:
        nested = body.get("generateContentRequest")
        stream = called.stream or bool(body.get("stream"))
        view = called.dialect.read(
            nested or body,
            model,
            digest=hashlib.sha256(request.body).hexdigest(),
            size=len(request.body),
            stream=stream,
        )
        return replace(view, as_array=called.stream and request.query.get("alt") != "sse")

    def _choose(self, request: Request, view: View) -> Play:
        header = request.headers.get("x-fake-scenario")
        try:
            if header:
                return from_header(header)
            return from_model(view.model) or self._default
        except ValueError as error:
            raise Rejection(400, f"fake provider: {error}") from None

    async def _answer(
        self, dialect: Dialect, view: View, request: Request, reply: Reply, item: Recorded
    ) -> None:
        chosen = self._choose(request, view)
        item.scenario = chosen.scenario.name
        if self.window_tokens is not None and estimate(view) > self.window_tokens:
            await self._overflow(dialect, view, reply, item)
            return
        if not self._fails(chosen, view):
            chosen = self._after_failure(chosen)
        options = chosen.options
        if options.first_delay_ms:
            await asyncio.sleep(options.first_delay_ms / 1000)
        if options.failure == "status":
            self._fail(dialect, options.status, options.retry_after_s, reply, item)
            return
        if options.failure == "overflow":
            await self._overflow(dialect, view, reply, item)
            return
        if options.failure == "drop":
            reply.close()
            return
        turn = compose(chosen, view)
        item.status = 200
        if not view.stream:
            await self._unary(dialect, turn, view, options, reply, item)
            return
        await deliver(dialect, turn, view, options, reply, item, self._headers(dialect))

    async def _unary(
        self,
        dialect: Dialect,
        turn: Turn,
        view: View,
        options: Options,
        reply: Reply,
        item: Recorded,
    ) -> None:
        """A whole answer; what breaks a stream breaks this one before it is complete."""
        if options.failure in ("error-first", "error-mid"):
            self._fail(dialect, options.status, options.retry_after_s, reply, item)
        elif options.failure == "stall":
            await asyncio.sleep(STALL_S)
        elif options.failure == "cut":
            reply.raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"
            )
            (reply.reset if options.how == "reset" else reply.close)()
        elif options.gzip:
            data = orjson.dumps(dialect.unary(turn, view))
            item.frames.append(data)
            headers = {"content-type": _JSON, "content-encoding": "gzip", **self._headers(dialect)}
            reply.send(200, headers, gzip.compress(data))
        else:
            self._send(reply, item, 200, dialect.unary(turn, view), dialect)

    def _fails(self, chosen: Play, view: View) -> bool:
        """Whether this request is one of the first `times` of its conversation, which fail."""
        options = chosen.options
        if not options.failure or max(len(view.results), view.resumed) < options.at:
            return False
        place: tuple[str, ...] = (chosen.scenario.name, str(bool(view.offers)))
        if options.failure != "full":  # which compacting undoes, and with it the first prompt
            place += (view.first_prompt,)
        key = hashlib.sha256("\0".join(place).encode()).hexdigest()
        self._failures[key] += 1
        return not options.times or self._failures[key] <= options.times

    def _after_failure(self, chosen: Play) -> Play:
        options = chosen.options
        if not options.failure:
            return chosen
        follower = SCENARIOS.get(options.then, chosen.scenario)
        return play(
            follower.name,
            failure="",
            text=options.text,
            tool=options.tool,
            command=options.command,
            piece_chars=options.piece_chars,
        )

    def _fail(
        self,
        dialect: Dialect,
        status: int,
        retry_after_s: float | None,
        reply: Reply,
        item: Recorded,
    ) -> None:
        message = MESSAGES.get(status, "The request failed.")
        rejection = Rejection(status, message, retry_after_s=retry_after_s)
        item.status, item.reason = status, f"scenario: {message}"
        self._send(reply, item, status, dialect.error(rejection), dialect, rejection)

    async def _overflow(self, dialect: Dialect, view: View, reply: Reply, item: Recorded) -> None:
        """Refuse the prompt; Responses says so inside a stream when one was asked for."""
        rejection = dialect.overflow(view)
        item.reason = f"scenario: {rejection.message}"
        if not (view.stream and dialect.name == "openai_responses"):
            item.status = rejection.status
            body = self._error_body(dialect, rejection, view.as_array)
            self._write(reply, rejection.status, body, dialect, rejection)
            return
        item.status = 200
        reply.start(200, {"content-type": "text/event-stream", **self._headers(dialect)})
        for frame in dialect.stream_error(rejection, view, 0):
            await reply.write(frame)
        reply.end()

    def _refuse(
        self, called: Call, rejection: Rejection, reply: Reply, item: Recorded, request: Request
    ) -> None:
        item.status = rejection.status
        as_array = called.stream and request.query.get("alt") != "sse"
        body = self._error_body(called.dialect, rejection, as_array)
        self._write(reply, rejection.status, body, called.dialect, rejection)

    @staticmethod
    def _error_body(dialect: Dialect, rejection: Rejection, as_array: bool) -> bytes:
        body = dialect.error(rejection)
        return orjson.dumps([body] if as_array else body)

    def _send(
        self,
        reply: Reply,
        item: Recorded,
        status: int,
        body: Any,
        dialect: Dialect,
        rejection: Rejection | None = None,
    ) -> None:
        item.status = status
        data = orjson.dumps(body)
        item.frames.append(data)
        self._write(reply, status, data, dialect, rejection)

    def _write(
        self,
        reply: Reply,
        status: int,
        data: bytes,
        dialect: Dialect,
        rejection: Rejection | None = None,
    ) -> None:
        headers = {"content-type": _JSON, **self._headers(dialect)}
        if rejection is not None and rejection.retry_after_s is not None:
            headers["retry-after"] = f"{rejection.retry_after_s:g}"
        # 529 is Anthropic's own; the others say 503.
        if status == OVERLOADED and dialect.name != "anthropic":
            status = 503
        reply.send(status, headers, data)

    @staticmethod
    def _headers(dialect: Dialect) -> dict[str, str]:
        return {dialect.request_id: "req_011CSfakefakefakefake"} if dialect.request_id else {}

    def _list_models(self, called: Call, request: Request, reply: Reply, item: Recorded) -> None:
        if request.method not in ("GET", "HEAD"):
            raise Rejection(405, f"Not allowed to {request.method} on {request.path}.")
        dialect = called.dialect
        if not called.model:
            self._send(reply, item, 200, dialect.models(self.models), dialect)
            return
        if called.model not in self.models:
            raise dialect.not_found(called.model)
        self._send(reply, item, 200, dialect.model(called.model), dialect)

    def _control(self, request: Request, reply: Reply) -> None:
        """`GET /__fake/record`, `POST /__fake/play?name=…&option=…`, `POST /__fake/reset`."""
        answer: Any = {"ok": True}
        status = 200
        match request.method, request.path:
            case "GET", "/__fake/record":
                answer = [item.summary() for item in self.record]
            case "POST", "/__fake/play":
                options = ";".join(f"{k}={v}" for k, v in request.query.items() if k != "name")
                try:
                    self._default = from_header(f"{request.query.get('name', '')};{options}")
                    self._failures.clear()
                except ValueError as error:
                    status, answer = 400, {"error": str(error)}
            case "POST", "/__fake/reset":
                self.reset()
            case _:
                status, answer = 404, {"error": "unknown control path"}
        reply.send(status, {"content-type": _JSON}, orjson.dumps(answer))
