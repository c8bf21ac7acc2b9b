"""Files by URL: what is fetched, and what never is."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from addons.media_fetch import MediaFetcher, is_public, parts_at
from config.settings import Media
from tests.support.pitfalls import PNG, C, G, cross, parse
from translators import PROTOCOLS, ir
from translators.base import Target
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses

HOST = "files.example"
ON = Media(fetch_remote=True, allow_private=True, max_bytes=10_000)
PICTURE = base64.b64decode(PNG)


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


PAGES = {
    "/cat.png": reply(200, PICTURE, "content-type: image/png"),
    "/chunked": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    + f"{len(PICTURE):x}\r\n".encode()
    + PICTURE
    + b"\r\n0\r\n\r\n",
    "/page": reply(200, b"<html>hello</html>", "content-type: text/html"),
    "/big": reply(200, b"x" * 10_001, "content-type: image/png"),
    "/long": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\nconnection: close\r\n\r\n"
    + b"x" * 10_001,
    "/moved": reply(302, b"", "location: /cat.png"),
    "/loop": reply(302, b"", "location: /loop"),
    "/plain": reply(302, b"", "location: http://files.example/cat.png"),
    "/inward": reply(302, b"", "location: https://metadata.internal/"),
    "/gone": reply(404),
    "/cut": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 500\r\n\r\nabc",
    "/noise": b"this is not HTTP\r\n\r\n",
}


@dataclass(frozen=True)
class Files:
    """A file server on loopback."""

    port: int
    trust: ssl.SSLContext

    def url(self, path: str) -> str:
        """Where a page is."""
        return f"https://{HOST}:{self.port}{path}"


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(HOST), x509.DNSName("metadata.internal")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(
        cadata=made.public_bytes(serialization.Encoding.PEM).decode()
    )
    return server, client


def with_files[T](directory: Path, use: Callable[[Files], Awaitable[T]]) -> T:
    """Run something beside a file server."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGES[head.split(b" ")[1].decode()])
        writer.close()

    async def main() -> T:
        inside, outside = certificate(directory)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=inside)
        async with server:
            return await use(Files(server.sockets[0].getsockname()[1], outside))

    return asyncio.run(main())


async def loopback(_host: str, _port: int) -> list[str]:
    """Everything is here."""
    return ["127.0.0.1"]


def asking(url: str) -> ir.Request:
    """A request with one picture."""
    part = {"type": "image_url", "image_url": {"url": url}}
    return parse(
        C, {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}
    )


REFUSAL = GatewayError(ErrorKind.UNTRANSLATABLE, "no URLs", path="messages[0].content[1]")


def fetch(tmp_path: Path, path: str, settings: Media = ON) -> ir.Request | None:
    """Fetch one page of the file server."""

    async def use(files: Files) -> ir.Request | None:
        return await MediaFetcher(files.trust, loopback).inline(
            asking(files.url(path)), REFUSAL, settings
        )

    return with_files(tmp_path, use)


@pytest.mark.parametrize("path", ["/cat.png", "/chunked", "/moved"])
def test_med_01_a_picture_is_fetched_and_put_inside(tmp_path: Path, path: str) -> None:
    request = fetch(tmp_path, path)
    assert request is not None
    target = Target(provider="p", model="gemini-3-pro")
    body = PROTOCOLS[G].render_request(request, target, Losses()).body
    assert body["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/page", "type text/html"),
        ("/big", "larger than"),
        ("/long", "larger than"),
        ("/loop", "too many redirects"),
        ("/plain", "only plain https"),
        ("/gone", "status 404"),
        ("/cut", "could not be fetched"),
        ("/noise", "could not be fetched"),
    ],
)
def test_med_01_what_is_not_to_be_had_is_a_clear_400(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as caught:
        fetch(tmp_path, path)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.path == "messages[0].content[1]"


def test_med_01_off_means_that_nothing_is_fetched(tmp_path: Path) -> None:
    assert fetch(tmp_path, "/cat.png", Media()) is None


def test_med_01_private_addresses_are_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="not on the public internet"):
        fetch(tmp_path, "/cat.png", Media(fetch_remote=True))


def test_med_01_a_redirect_is_checked_like_the_first_address(tmp_path: Path) -> None:
    async def names(host: str, _port: int) -> list[str]:
        return ["127.0.0.1"] if host == HOST else ["169.254.169.254"]

    async def use(files: Files) -> None:
        await MediaFetcher(files.trust, names).inline(
            asking(files.url("/inward")),
            REFUSAL,
            Media(fetch_remote=True, allow_private=True, hosts=(HOST,)),
        )

    with pytest.raises(GatewayError, match="of this host are not fetched"):
        with_files(tmp_path, use)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "224.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url", ["https://user:pw@files.example/x", "https://files.example:99999/x"]
)
def test_odd_addresses_are_refused_before_any_connection(url: str) -> None:
    with pytest.raises(GatewayError):
        asyncio.run(MediaFetcher(None, loopback).inline(asking(url), REFUSAL, ON))


def test_only_what_was_refused_is_fetched() -> None:
    assert parts_at(asking("https://files.example/x"), "messages[0].content[0]") == []
    with pytest.raises(GatewayError):
        cross(C, G, {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://files.example/x"}}]}]})  # fmt: skip
