"""Get one access token from whoever issues it: Google, an OAuth 2 token endpoint, Microsoft Entra, GitHub.

Blocking, for a thread of its own; nothing here is kept in memory. Client ids, secrets and addresses are the user's
own. No error holds a token, a key, or what an issuer answered beyond its error code and a cut description.

References: https://datatracker.ietf.org/doc/html/rfc6749 (sections 4.4, 5 and 6),
https://developers.google.com/identity/protocols/oauth2/service-account,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (read 2026-11-21)
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from addons.client_key import write_secret
from addons.home import home
from config.providers import (
    AzureEntra,
    Credential,
    GithubCopilot,
    GoogleDefault,
    GoogleServiceAccount,
    OAuth,
)
from translators.errors import ErrorKind, GatewayError

log = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 20.0
MAX_ANSWER_BYTES: Final = 256 * 1024
DEFAULT_LIFETIME_S: Final = 1500.0
"""For issuers that do not say how long a token lives."""
ENTRA_TOKEN_URL: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105
COPILOT_PATH: Final = "/copilot_internal/v2/token"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how many seconds it is good for."""

    value: str = field(repr=False)
    lifetime_s: float


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could carry a secret to somebody else."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an issuer said. The names are those that google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


class Caller:
    """HTTP in a thread, past no proxy but the configured one. `proxy` None = the environment's."""

    def __init__(
        self,
        proxy: str | None = None,
        ca_file: Path | None = None,
        *,
        limit_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._limit_s = limit_s
        proxies: dict[str, str] | None = None if proxy is None else {}
        if proxy not in (None, "direct"):
            proxies = {"http": str(proxy), "https": str(proxy)}
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(str(ca_file))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies),
            urllib.request.HTTPSHandler(context=context),
            _NoRedirects(),
        )

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_more: Any,
    ) -> Answer:
        """One request, bounded in time and size."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310
        request.add_header("User-agent", "llmgate")
        limit_s = min(timeout or self._limit_s, self._limit_s)
        try:
            with self._opener.open(request, timeout=limit_s) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read(MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            raise GatewayError(
                ErrorKind.UNREACHABLE, f"no answer from {urlsplit(url).hostname} ({_why(error)})"
            ) from error

    def form(self, url: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Post a form to a token endpoint; its JSON object."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.json(url, "POST", urlencode(fields).encode(), headers)

    def json(
        self, url: str, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """One request whose answer must be a JSON object with a good status."""
        answer = self(url, method, body, {"accept": "application/json", **headers})
        try:
            found = json.loads(answer.data)
        except ValueError:
            found = None
        if not 200 <= answer.status < 300 or not isinstance(found, dict) or "error" in found:
            raise refused(answer.status, found)
        return found


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {str(reason)[:100]}"


def refused(status: int, answer: object) -> GatewayError:
    """An issuer's refusal; of its answer only the error code and a cut description are told."""
    told = ""
    if isinstance(answer, dict):
        words = (answer.get("error"), answer.get("error_description") or answer.get("message"))
        told = ": ".join(word[:150] for word in words if isinstance(word, str))
    kind = ErrorKind.UPSTREAM_REJECTED
    if status == 429:
        kind = ErrorKind.RATE_LIMITED
    elif status >= 500:
        kind = ErrorKind.SERVER_ERROR
    return GatewayError(
        kind,
        f"the issuer of tokens answered {status}{f' ({told})' if told else ''}",
        upstream_status=status if status >= 400 else None,
    )


def fetch(credential: Credential, provider: str, call: Caller) -> Token:
    """A new token for a credential; GatewayError says who refused it and why."""
    match credential:
        case GoogleServiceAccount():
            return _service_account(credential, call)
        case GoogleDefault():
            return _google_default(credential, call)
        case OAuth():
            return _oauth(credential, credential.store or provider, call)
        case AzureEntra():
            fields = {
                "grant_type": "client_credentials",
                "client_id": credential.client_id,
                "client_secret": credential.client_secret.get_secret_value(),
                "scope": credential.scope,
            }
            url = credential.token_url or ENTRA_TOKEN_URL
            return token_of(call.form(url.replace("{tenant}", quote(credential.tenant)), fields))
        case GithubCopilot():
            return _copilot(credential, call)


def token_of(answer: Mapping[str, Any]) -> Token:
    """The token in a token endpoint's answer."""
    value, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(value, str) or not value or not value.isprintable():
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the issuer's answer has no `access_token`"
        )
    try:
        seconds = float(lifetime) if lifetime is not None else DEFAULT_LIFETIME_S
    except (TypeError, ValueError):
        seconds = DEFAULT_LIFETIME_S
    return Token(value, max(0.0, seconds))


# -- Google


def _service_account(credential: GoogleServiceAccount, call: Caller) -> Token:
    from google.oauth2 import service_account

    info = _document(credential)
    return _refreshed(
        lambda: service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            info, scopes=[credential.scope]
        ),
        call,
    )


def _document(credential: GoogleServiceAccount) -> dict[str, Any]:
    """The key file's content; its errors never quote it."""
    where = "`json`" if credential.file is None else str(credential.file)
    try:
        if credential.json_key is not None:
            text = credential.json_key.get_secret_value()
        else:
            text = _read(credential.file)
        info = json.loads(text)
    except OSError as error:
        raise _misconfigured(f"the key file {where} cannot be read ({error.strerror})") from error
    except ValueError:
        raise _misconfigured(f"the service-account key in {where} is not JSON") from None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise _misconfigured(
            f'the key in {where} is not a service account\'s: "type" is not "service_account"; '
            "for other kinds use credential type google_default"
        )
    return info


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    if file.stat().st_mode & 0o077:
        log.warning("the key file %s can be read by others: chmod 600", file)
    return file.read_text()


def _google_default(credential: GoogleDefault, call: Caller) -> Token:
    import google.auth

    def load() -> Any:
        scopes = [credential.scope]
        if credential.file is not None:
            return google.auth.load_credentials_from_file(str(credential.file), scopes=scopes)[0]  # type: ignore[no-untyped-call]
        return google.auth.default(scopes=scopes, request=_transport(call))[0]

    return _refreshed(load, call)


def _transport(call: Caller) -> Any:
    """The caller as google-auth's transport, whose failures google-auth understands."""
    from google.auth import exceptions

    def request(url: str, method: str = "GET", *rest: Any, **more: Any) -> Answer:
        try:
            return call(url, method, *rest, **more)
        except GatewayError as error:
            raise exceptions.TransportError(error.message) from None  # type: ignore[no-untyped-call]

    return request


def _refreshed(load: Callable[[], Any], call: Caller) -> Token:
    """Load Google credentials and have a token made; google-auth's errors in our own kinds."""
    from google.auth import exceptions

    try:
        credentials = load()
    except (exceptions.GoogleAuthError, ValueError, OSError) as error:
        # Parsers quote what they could not read, and that is a key.
        raise _misconfigured(
            f"Google credentials cannot be loaded ({type(error).__name__}); give a key file, or run "
            "`gcloud auth application-default login`"
        ) from None
    try:
        credentials.refresh(_transport(call))
    except exceptions.RefreshError as error:
        detail = next((one for one in error.args if isinstance(one, dict)), None)
        raise refused(400 if detail else 401, detail) from None
    except exceptions.TransportError as error:
        raise GatewayError(
            ErrorKind.UNREACHABLE,
            f"no answer from Google's token endpoint ({type(error).__name__})",
        ) from None
    except (exceptions.GoogleAuthError, ValueError) as error:
        raise _misconfigured(
            f"Google credentials cannot be used ({type(error).__name__})"
        ) from None
    left_s = DEFAULT_LIFETIME_S
    if credentials.expiry is not None:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        left_s = (credentials.expiry.replace(tzinfo=None) - now).total_seconds()
    return token_of({"access_token": credentials.token, "expires_in": left_s})


def _misconfigured(message: str) -> GatewayError:
    return GatewayError(ErrorKind.MISCONFIGURED, message)


# -- OAuth 2


def _oauth(credential: OAuth, store: str, call: Caller) -> Token:
    """By refresh token where there is one (the stored one is newer than the configured), else client credentials."""
    fields = {"client_id": credential.client_id}
    if credential.client_secret is not None:
        fields["client_secret"] = credential.client_secret.get_secret_value()
    path = home() / "credentials" / f"{store}.json"
    refresh_token = _stored(credential, path)
    if refresh_token is not None:
        fields |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    else:
        fields["grant_type"] = "client_credentials"
    if credential.scopes:
        fields["scope"] = " ".join(credential.scopes)
    answer = call.form(credential.token_url, fields | dict(credential.parameters))
    token = token_of(answer)
    renewed = answer.get("refresh_token")
    if isinstance(renewed, str) and renewed and renewed != refresh_token:
        _store(credential, path, renewed)
    return token


def _origin(credential: OAuth) -> str:
    """Which configured login a stored token descends from: a new one in the configuration starts afresh."""
    given = credential.refresh_token
    return f"{credential.client_id} {given.fingerprint if given is not None else ''}"


def _stored(credential: OAuth, path: Path) -> str | None:
    given = credential.refresh_token
    try:
        saved = json.loads(path.read_text())
    except (OSError, ValueError):
        saved = {}
    if isinstance(saved, dict) and saved.get("origin") == _origin(credential):
        token = saved.get("refresh_token")
        if isinstance(token, str) and token:
            return token
    return given.get_secret_value() if given is not None else None


def _store(credential: OAuth, path: Path, refresh_token: str) -> None:
    """Keep a refresh token that replaced the one before: without it the login is lost at the next start."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {"origin": _origin(credential), "refresh_token": refresh_token}
        write_secret(path, json.dumps(content) + "\n")
    except OSError as error:
        log.error("the new refresh token cannot be kept in %s: %s", path, error.strerror)


# -- GitHub


def _copilot(credential: GithubCopilot, call: Caller) -> Token:
    """A Copilot token for a GitHub token of the user's own. The gateway says who it is, and imitates nobody."""
    headers = {"authorization": f"token {credential.token.get_secret_value()}"}
    answer = call.json(credential.api_base + COPILOT_PATH, "GET", None, headers)
    ends = answer.get("expires_at")
    now = dt.datetime.now(dt.UTC).timestamp()
    left_s = ends - now if isinstance(ends, int | float) else answer.get("refresh_in")
    return token_of({"access_token": answer.get("token"), "expires_in": left_s})
