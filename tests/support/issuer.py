"""An issuer of access tokens on loopback, strict about what it is asked: Google's, OAuth 2's and GitHub's way."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT_ID = "my-own-client"
CLIENT_SECRET = "my-own-secret"
GITHUB_TOKEN = "gho_my-own-token"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """What it hands out and what it was asked. `refuse` is an answer that it gives instead of tokens."""

    tokens: list[str]
    url: str = ""
    expires_in: float = 3600
    next_refresh_token: str | None = None
    refresh_token: str = "refresh-1"
    refuse: tuple[int, dict[str, Any]] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def service_account(self) -> dict[str, str]:
        """A key file for this issuer."""
        pem = KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "key-1",
            "private_key": pem.decode(),
            "client_email": "svc@p.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }

    def token(self) -> str:
        """The next token; the last one again and again."""
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The answer of the token endpoint."""
        self.asked.append(form)
        if self.refuse is not None:
            return self.refuse
        grant = form.get("grant_type")
        checks = {
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self._by_key,
            "refresh_token": self._by_refresh_token,
            "client_credentials": self._by_client,
        }
        if grant not in checks or not checks[grant](form):
            return 400, {"error": "invalid_grant", "error_description": "not what was expected"}
        found = {
            "access_token": self.token(),
            "expires_in": self.expires_in,
            "token_type": "Bearer",
        }
        if grant == "refresh_token" and self.next_refresh_token is not None:
            found["refresh_token"] = self.refresh_token = self.next_refresh_token
        return 200, found

    def _by_key(self, form: dict[str, str]) -> bool:
        head, claims, signature = form["assertion"].split(".")
        KEY.public_key().verify(
            _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        said = json.loads(_decoded(claims))
        return (
            said["aud"] == "https://oauth2.googleapis.com/token"
            and said["iss"] == "svc@p.iam.gserviceaccount.com"
            and said["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            and said["exp"] - said["iat"] <= 3600
        )

    def _by_refresh_token(self, form: dict[str, str]) -> bool:
        return form["refresh_token"] == self.refresh_token and form["client_id"] == CLIENT_ID

    def _by_client(self, form: dict[str, str]) -> bool:
        return form["client_id"] == CLIENT_ID and form["client_secret"] == CLIENT_SECRET


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def issuing(*tokens: str) -> Iterator[Issuer]:
    """Run an issuer that hands out these tokens one after the other."""
    issuer = Issuer(list(tokens))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(*issuer.answer(dict(parse_qsl(body))))

        def do_GET(self) -> None:
            issuer.asked.append({"path": self.path})
            known = self.headers["authorization"] == f"token {GITHUB_TOKEN}"
            if self.path != "/copilot_internal/v2/token" or not known:
                self._send(401, {"message": "Bad credentials"})
                return
            self._send(200, {"token": issuer.token(), "refresh_in": issuer.expires_in})

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
