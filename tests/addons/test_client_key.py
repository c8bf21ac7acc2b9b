"""The client's credential: five places, conflicts, removal, the token file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from mitmproxy import http

from addons import client_key
from translators.errors import ErrorKind, GatewayError


def request(path: str = "/v1/messages", **headers: str) -> http.Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    made = http.Request.make("POST", "http://gate/", b"{}", http.Headers(pairs))
    made.path = path
    return made


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (request(authorization="Bearer k1"), "k1"),
        (request(authorization="bearer  k1 "), "k1"),
        (request(x_api_key="k1"), "k1"),
        (request(api_key="k1"), "k1"),
        (request(x_goog_api_key="k1"), "k1"),
        (request("/v1beta/models/m:generateContent?key=k1&alt=sse"), "k1"),
        (request(authorization="Bearer k1", x_api_key="k1"), "k1"),
        pytest.param(request(authorization="Bearer Bearer k1"), "k1", id="AUTH-05 doubled Bearer"),
        pytest.param(request(x_api_key="k1", x_goog_api_key=""), "k1", id="PRV-20 an empty one"),
        pytest.param(request(), None, id="none"),
    ],
)
def test_hdr_05_every_form_is_accepted(sent: http.Request, key: str | None) -> None:
    assert client_key.presented_key(sent) == key


@pytest.mark.parametrize(
    "sent",
    [
        request(authorization="Bearer k1", x_api_key="k2"),
        request("/x?key=k1", x_goog_api_key="k2"),
        request(authorization="Basic dTpw"),
    ],
)
def test_conflicting_or_foreign_credentials_are_refused(sent: http.Request) -> None:
    with pytest.raises(GatewayError) as caught:
        client_key.presented_key(sent)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert "k1" not in caught.value.message
    assert "k2" not in caught.value.message


def test_hdr_07_every_credential_is_removed_and_the_rest_of_the_query_stays() -> None:
    sent = request(
        "/v1beta/m?alt=sse&key=SECRET&x=%2F",
        authorization="Bearer SECRET",
        x_api_key="SECRET",
        cookie="SECRET",
        accept="*/*",
    )
    client_key.remove_key(sent)
    assert sent.path == "/v1beta/m?alt=sse&x=%2F"
    assert dict(sent.headers) == {"accept": "*/*", "content-length": "2"}


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        pytest.param("key=SECRET", "", id="alone"),
        pytest.param("k%65y=SECRET&a=1", "?a=1", id="an escaped name, which is read as well"),
        pytest.param(
            "a=b%20c+d&key=SECRET&key=SECRET", "?a=b%20c+d", id="twice, the rest as it was"
        ),
        pytest.param("alt=\udcff&key=SECRET", "?alt=\udcff", id="beside bytes that are no text"),
        pytest.param("monkey=1", "?monkey=1", id="another name"),
    ],
)
def test_no_form_of_the_query_parameter_stays(query: str, rest: str) -> None:
    sent = request(f"/v1beta/m?{query}")
    assert client_key.presented_key(sent) == ("SECRET" if "SECRET" in query else None)
    client_key.remove_key(sent)
    assert sent.path == f"/v1beta/m{rest}"


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    token, made = client_key.ensure_token(home)
    assert made
    assert client_key.ensure_token(home) == (token, False)
    assert stat.S_IMODE((home / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [path.name for path in home.iterdir()] == ["token"]
