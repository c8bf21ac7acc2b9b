"""Fetch media that clients give by URL for upstreams that cannot do it themselves (settings: `media`).

A client chooses the URL, so this is where it could reach into the operator's network: https only, every address
that the name resolves to is checked and the connection goes to that very address, at each redirect anew; size,
time, number and type are limited. It decides nothing about protocols: it inlines what a renderer refused.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import h11

from config.patterns import matches_any
from config.settings import Media
from translators import ir
from translators import media as media_types
from translators.errors import ErrorKind, GatewayError

type Resolver = Callable[[str, int], Awaitable[list[str]]]
type MediaPart = ir.Image | ir.Document | ir.Audio | ir.Video
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_READ_BYTES: Final = 64 * 1024
_KINDS: Final[dict[type, tuple[str, ...]]] = {
    ir.Image: ("image/",),
    ir.Document: ("application/pdf", "text/"),
    ir.Audio: ("audio/",),
    ir.Video: ("video/",),
}
"""What a file must turn out to be, by the part that names it."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """The file is not to be had; the text says why and names no address."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    location: str
    body: bytes


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet; what IPv6 wraps around an IPv4 one does not hide it."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    return all(one.is_global and not one.is_multicast for one in (address, *_embedded(address)))


def _embedded(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    inner += address.teredo or ()
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


def parts_at(request: ir.Request, path: str) -> list[MediaPart]:
    """The parts with a web address that stand at a path of the client's request, or below it."""
    return [
        part
        for message in request.messages
        for outer in message.parts
        for part in (outer.content if isinstance(outer, ir.ToolResult) else (outer,))
        if isinstance(part, ir.Image | ir.Document | ir.Audio | ir.Video)
        and isinstance(part.source, ir.Url)
        and part.source.url[:5].lower() == "https"
        and (part.path == path or part.path.startswith((f"{path}.", f"{path}[")))
    ]


class MediaFetcher:
    """Fetch files; `context` and `resolver` are there for tests."""

    def __init__(self, context: ssl.SSLContext | None = None, resolver: Resolver = resolve) -> None:
        self._context = context
        self._resolver = resolver

    async def inline(
        self, request: ir.Request, refusal: GatewayError, settings: Media
    ) -> ir.Request | None:
        """The request with the media that a renderer refused inside it; None when that is not what was wrong."""
        if not settings.fetch_remote or refusal.path is None:
            return None
        wanted = parts_at(request, refusal.path)
        if not wanted:
            return None
        if len(wanted) > settings.max_files:
            raise _invalid(refusal.path, f"more than {settings.max_files} files to fetch")
        sources = await asyncio.gather(*(self._source(part, settings) for part in wanted))
        return _replaced(request, dict(zip(map(id, wanted), sources, strict=True)))

    async def _source(self, part: MediaPart, settings: Media) -> ir.Inline:
        assert isinstance(part.source, ir.Url)  # noqa: S101 - parts_at said so
        try:
            async with asyncio.timeout(settings.timeout_s):
                answer = await self._fetch(part.source.url, settings)
        except TimeoutError:
            raise _invalid(part.path, "fetching the file took too long") from None
        except (OSError, h11.RemoteProtocolError):
            raise _invalid(part.path, "the file could not be fetched") from None
        except Refused as refused:
            raise _invalid(part.path, str(refused)) from None
        data = base64.b64encode(answer.body).decode()
        kind = media_types.media_type(answer.content_type, data)
        if not kind.startswith(_KINDS[type(part)]):
            raise _invalid(part.path, f"the file is of type {kind}")
        return ir.Inline(media_type=kind, data=data)

    async def _fetch(self, url: str, settings: Media) -> _Answer:
        for _ in range(settings.max_redirects + 1):
            host, port, target = _split(url, settings)
            address = await self._address(host, port, settings)
            answer = await self._get(address, host, port, target, settings.max_bytes)
            if answer.status not in _REDIRECTS or not answer.location:
                break
            url = urljoin(url, answer.location)
        else:
            raise Refused("too many redirects")
        if answer.status != 200:
            raise Refused(f"the file's server answered with status {answer.status}")
        return answer

    async def _address(self, host: str, port: int, settings: Media) -> str:
        addresses = await self._resolver(host, port)
        if not addresses:
            raise Refused("the file's host is not known")
        if not settings.allow_private and not all(map(is_public, addresses)):
            raise Refused("the file's host is not on the public internet")
        return addresses[0]

    async def _get(self, address: str, host: str, port: int, target: str, limit: int) -> _Answer:
        if self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)
        reader, writer = await asyncio.open_connection(
            address, port, ssl=self._context, server_hostname=host
        )
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_READ_BYTES)
            shown = f"[{host}]" if ":" in host else host
            headers = [
                ("host", shown if port == 443 else f"{shown}:{port}"),
                ("accept", "*/*"),
                ("accept-encoding", "identity"),
                ("user-agent", "llmgate"),
                ("connection", "close"),
            ]
            request = h11.Request(method="GET", target=target, headers=headers)
            writer.write(
                (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
            )
            await writer.drain()
            return await _read(connection, reader, limit)
        finally:
            writer.close()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader, limit: int) -> _Answer:
    status, headers, body = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
            }
            if status in _REDIRECTS:
                return _Answer(status, "", headers.get("location", ""), b"")
            if int(headers.get("content-length") or 0) > limit:
                raise Refused(f"the file is larger than {limit} bytes")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > limit:
                raise Refused(f"the file is larger than {limit} bytes")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return _Answer(status, headers.get("content-type", ""), "", bytes(body))


def _split(url: str, settings: Media) -> tuple[str, int, str]:
    """Host, port and request target of a URL that may be fetched."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise Refused("the file's address is not a URL") from None
    if parts.scheme != "https" or not host or parts.username is not None:
        raise Refused("only plain https addresses are fetched")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Refused("the file's address is not a URL")
    if not matches_any(settings.hosts, host):
        raise Refused("files of this host are not fetched")
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _replaced(request: ir.Request, sources: dict[int, ir.Inline]) -> ir.Request:
    def part(one: ir.Part) -> ir.Part:
        if isinstance(one, ir.ToolResult):
            return replace(one, content=tuple(map(part, one.content)))  # type: ignore[arg-type]
        source = sources.get(id(one))
        return one if source is None else replace(one, source=source)  # type: ignore[arg-type]

    messages = tuple(
        replace(message, parts=tuple(map(part, message.parts))) for message in request.messages
    )
    return replace(request, messages=messages)


def _invalid(path: str, reason: str) -> GatewayError:
    return GatewayError(ErrorKind.INVALID_REQUEST, f"{path}: {reason}", path=path)
