"""Media sources: data URLs in every spelling, media types by their first bytes, damaged base64."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.media import (
    data_url,
    filename,
    media_type,
    parse_data_url,
    standard_base64,
    type_of_name,
)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b64(b"\x89PNG\r\n\x1a\n....")
JPEG = b64(b"\xff\xd8\xff\xe0....")


@pytest.mark.parametrize(
    ("url", "kind", "data"),
    [
        pytest.param(f"data:image/png;base64,{PNG}", "image/png", PNG, id="plain"),
        pytest.param(f"DATA:Image/PNG;BASE64,{PNG}", "image/png", PNG, id="capitals"),
        pytest.param(f"data:image/jpg;base64,{JPEG}", "image/jpeg", JPEG, id="image/jpg"),
        pytest.param(f"data:image/png;base64,{JPEG}", "image/jpeg", JPEG, id="a wrong type"),
        pytest.param(f"data:;base64,{PNG}", "image/png", PNG, id="no type"),
        pytest.param("data:text/plain;charset=utf-8,a%20b", "text/plain", b64(b"a b"), id="percent"),
        pytest.param("data:,x", "application/octet-stream", b64(b"x"), id="nothing said"),
        pytest.param("data:audio/L16;rate=24000;base64,AAAA", "audio/l16;rate=24000", "AAAA", id="rate"),
        pytest.param("data:image/webp;base64,_-8", "image/webp", "/+8=", id="URL-safe, no padding"),
        pytest.param("data:image/webp;base64,%2F%2B8%3D", "image/webp", "/+8=", id="escaped base64"),
    ],
)  # fmt: skip
def test_data_urls(url: str, kind: str, data: str) -> None:
    assert parse_data_url(url, "p") == ir.Inline(media_type=kind, data=data)


@pytest.mark.parametrize("url", ["https://example.com/a.png", "gs://b/o", "", "dat"])
def test_other_urls(url: str) -> None:
    assert parse_data_url(url, "p") is None


@pytest.mark.parametrize("url", ["data:image/png;base64,a", "data:image/png", "data:x;base64,é"])
def test_damaged_data_urls_are_refused_with_their_path(url: str) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_data_url(url, "messages[0].content[1]")
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.path == "messages[0].content[1]"


def test_data_url_is_the_inverse() -> None:
    source = ir.Inline(media_type="image/png", data=PNG)
    assert parse_data_url(data_url(source), "p") == source


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param("aGk=", "aGk=", id="standard"),
        pytest.param("aGk", "aGk=", id="no padding"),
        pytest.param("aG\nk=\r\n", "aGk=", id="lines"),
        pytest.param("-_8=", "+/8=", id="URL-safe"),
    ],
)
def test_base64(data: str, expected: str) -> None:
    assert standard_base64(data, "p") == expected


@pytest.mark.parametrize("data", ["", "a", "a===", "aGk=x", "a!b=", "aGk=aGk=", "日本語文"])
def test_damaged_base64(data: str) -> None:
    with pytest.raises(GatewayError):
        standard_base64(data, "p")


@given(st.binary(min_size=1))
def test_every_spelling_of_base64_is_read(data: bytes) -> None:
    loose = base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert standard_base64(loose, "p") == b64(data)


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        pytest.param(None, b"%PDF-1.7", "application/pdf", id="PDF"),
        pytest.param("text/plain", b"%PDF-1.7", "application/pdf", id="a PDF under another name"),
        pytest.param("image/png", b"RIFF1234WEBP", "image/webp", id="WebP"),
        pytest.param("audio/x-wav", b"RIFF1234WAVE", "audio/wav", id="WAV"),
        pytest.param("audio/mpeg", b"xxxx", "audio/mp3", id="MP3"),
        pytest.param(None, b"ID3....", "audio/mp3", id="MP3 by its tag"),
        pytest.param("video/webm", b"OggS....", "video/webm", id="a container proves nothing"),
        pytest.param("image/heif", b"\0\0\0\x18ftypheic", "image/heif", id="HEIF said"),
        pytest.param(None, b"\0\0\0\x18ftypheic", "image/heic", id="HEIC not said"),
        pytest.param(None, b"GIF89a..", "image/gif", id="GIF"),
        pytest.param(None, b"hello", "application/octet-stream", id="unknown"),
        pytest.param("application/octet-stream", b"ID3....", "audio/mp3", id="as good as unknown"),
        pytest.param(" TEXT/Plain ; charset=x", b"hello", "text/plain", id="parameters go"),
    ],
)
def test_media_types(declared: str | None, data: bytes, expected: str) -> None:
    assert media_type(declared, b64(data)) == expected


@pytest.mark.parametrize(
    ("title", "kind", "expected"),
    [
        pytest.param("a.pdf", "application/pdf", "a.pdf", id="its title"),
        pytest.param(None, "application/pdf", "document.pdf", id="PDF"),
        pytest.param("", "text/plain", "file.txt", id="text"),
        pytest.param(None, "text/x-python", "file.py", id="Python"),
        pytest.param(None, "text/csv; charset=utf-8", "file.csv", id="another"),
        pytest.param(None, "", "file.bin", id="nothing known"),
    ],
)
def test_filenames(title: str | None, kind: str, expected: str) -> None:
    assert filename(title, kind) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("/a/b.PNG", "image/png", id="in capitals"),
        pytest.param("a.tar.jpg", "image/jpeg", id="the last extension"),
        pytest.param("clip.mov", "video/quicktime", id="a film"),
        pytest.param("notes.md", "text/markdown", id="a text"),
        pytest.param("a.bin", None, id="nothing in particular"),
        pytest.param("png", None, id="no extension"),
        pytest.param("/v1.2/png", None, id="a dot in a folder"),
    ],
)
def test_a_name_tells_its_type_by_the_extension(name: str, kind: str | None) -> None:
    assert type_of_name(name) == kind
