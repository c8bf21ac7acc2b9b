"""Find out what a model can do: one tiny text, stream, tool and image request, through the gateway's own translators.

Nothing is guessed: only a refusal of the request itself says that a model cannot; a rate limit or an outage says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from mitmproxy import http

from addons.client_key import GATEWAY_HEADER
from addons.credentials import add_key
from addons.exchange import Candidate
from addons.failover import upstream_url
from addons.token_fetch import Answer, Caller, fetch
from addons.translate import upstream_path
from config.capabilities import Finding
from config.models import Config
from config.payload import PayloadContext, apply_rules
from config.providers import AuthStyle
from config.runtime import Endpoint, Provider
from translators import PROTOCOLS, ir
from translators.base import Call, Rendered, Target
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses, Mode
from translators.wire import JsonSyntaxError, loads

MAX_TOKENS: Final = 256
TIMEOUT_S: Final = 60.0
PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/"
    "iZk9HQAAAABJRU5ErkJggg=="
)
"""One red pixel."""
TOOL: Final = {
    "type": "function",
    "function": {
        "name": "report",
        "description": "Report a word.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
            "required": ["word"],
        },
    },
}
REQUESTS: Final[Mapping[str, dict[str, Any]]] = {
    "text": {"messages": [{"role": "user", "content": "Say the word ok."}]},
    "stream": {"messages": [{"role": "user", "content": "Say the word ok."}], "stream": True},
    "tools": {
        "messages": [{"role": "user", "content": "Report the word ok with the tool."}],
        "tools": [TOOL],
    },
    "images": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Name this image's colour in one word."},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            }
        ]
    },
}
"""What is asked, as a Chat client would; every protocol gets it by way of the hub."""
NO: Final = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.UNPROCESSABLE,
        ErrorKind.NOT_FOUND,
        ErrorKind.UNTRANSLATABLE,
    }
)
"""Refusals of the request itself."""
_TOO_SMALL: Final = re.compile(r"dimension|small|width|height|pixel|resolution", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """One probe: `works` None = not found out. `why` says what came instead."""

    works: bool | None
    why: str = ""


def probe(config: Config, provider: Provider, endpoint: Endpoint, model: str) -> dict[str, Result]:
    """All probes of a model over one protocol. After a text that failed nothing else is asked."""
    found: dict[str, Result] = {}
    for name, body in REQUESTS.items():
        text = found.get("text")
        if text is not None and not text.works:
            found[name] = Result(None, "not asked")
            continue
        try:
            found[name] = _one(config, provider, endpoint, model, name, body)
        except GatewayError as error:
            found[name] = Result(False if means_no(name, error) else None, error.message[:200])
    return found


def means_no(name: str, error: GatewayError) -> bool:
    """Whether a failure says that the model cannot. Some that see well refuse a picture for being this small."""
    if name == "text" and error.kind is ErrorKind.UNTRANSLATABLE:
        return False
    too_small = name == "images" and _TOO_SMALL.search(error.message) is not None
    return error.kind in NO and not too_small


def finding(
    provider: Provider, endpoint: Endpoint, model: str, found: Mapping[str, Result], at: float
) -> Finding:
    """What is kept of the results."""
    return Finding(
        provider=provider.name,
        base_url=endpoint.base_url,
        protocol=endpoint.protocol,
        model=model,
        at=at,
        **{name: result.works for name, result in found.items()},
    )


def _one(
    config: Config,
    provider: Provider,
    endpoint: Endpoint,
    model: str,
    name: str,
    body: dict[str, Any],
) -> Result:
    candidate = Candidate(
        upstream=provider,
        endpoint=endpoint,
        key=next((key for key in provider.keys if key.serves(model)), provider.keys[0]),
        model=model,
        wire_model=provider.wire_model(model),
    )
    rendered = _rendered(config, candidate, name, body)
    answer = _send(config, candidate, rendered, stream=bool(body.get("stream")))
    upstream = PROTOCOLS[endpoint.protocol]
    if not 200 <= answer.status < 300:
        headers = {key.lower(): value for key, value in answer.headers.items()}
        raise upstream.parse_error(answer.status, headers, answer.data)
    if body.get("stream"):
        return _streamed(rendered, endpoint, answer.data)
    try:
        payload = loads(answer.data)
    except JsonSyntaxError:
        return Result(False, "the answer is not JSON")
    if not isinstance(payload, dict):
        return Result(False, "the answer is no JSON object")
    response = upstream.parse_response(payload, rendered.reading, Losses(Mode.MAX_COMPAT))
    if name == "tools" and not any(isinstance(part, ir.ToolCall) for part in response.parts):
        return Result(None, "the model did not call the tool")
    return Result(True)


def _rendered(config: Config, candidate: Candidate, name: str, body: dict[str, Any]) -> Rendered:
    """The request as the gateway would send it, but for images: whether they pass is the question."""
    profile = config.resolve_profile(candidate.provider, candidate.model, candidate.protocol)
    if name == "images" and not profile.image_types:
        profile = replace(profile, image_types=frozenset({"image/png"}))
    chat = {**body, "model": candidate.model, "max_completion_tokens": MAX_TOKENS}
    request = PROTOCOLS["openai_chat"].parse_request(chat, Call(), None)
    target = Target(provider=candidate.provider, model=candidate.wire_model, profile=profile)
    losses = Losses(Mode.MAX_COMPAT)
    rendered = PROTOCOLS[candidate.protocol].render_request(request, target, losses)
    place = (candidate.provider, candidate.wire_model, candidate.protocol)
    context = PayloadContext(
        provider=place[0], model=place[1], protocol=place[2], client_protocol="openai_chat"
    )
    return replace(rendered, body=apply_rules(rendered.body, config.payload_rules(*place), context))


def _send(config: Config, candidate: Candidate, rendered: Rendered, *, stream: bool) -> Answer:
    upstream, endpoint, key = candidate.upstream, candidate.endpoint, candidate.key
    path = upstream_path(candidate, PROTOCOLS[endpoint.protocol], stream)
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        **rendered.headers,
        **endpoint.headers,
        **key.headers,
    }
    request = http.Request.make(
        "POST",
        upstream_url(candidate, path),
        orjson.dumps(rendered.body),
        http.Headers([(name.encode(), value.encode()) for name, value in headers.items()]),
    )
    proxy = key.proxy or upstream.proxy or config.proxy
    call = Caller(proxy, upstream.ca_file, limit_s=TIMEOUT_S)
    if upstream.credential is not None:
        token = fetch(upstream.credential, upstream.name, call).value
        add_key(request, AuthStyle.BEARER, token)
    elif key.secret is not None:
        add_key(request, endpoint.auth, key.secret.get_secret_value())
    elif endpoint.auth is AuthStyle.CLIENT:
        raise GatewayError(
            ErrorKind.AUTHENTICATION,
            f"this provider takes each client's own key; test it through the gateway with {GATEWAY_HEADER}",
        )
    return call(request.url, "POST", request.content, dict(request.headers.items()))


def _streamed(rendered: Rendered, endpoint: Endpoint, data: bytes) -> Result:
    """A stream is one that has content and comes to its proper end."""
    decoder = PROTOCOLS[endpoint.protocol].decoder(rendered.reading, Losses(Mode.MAX_COMPAT))
    events = [*decoder.feed(data), *decoder.close()]
    last = events[-1] if events else None
    if isinstance(last, ir.StreamFailed):
        raise last.error
    if not any(isinstance(event, ir.PartStart) for event in events):
        return Result(None, "the stream was empty")
    return Result(isinstance(last, ir.Finish))
