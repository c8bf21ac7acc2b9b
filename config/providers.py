"""Providers: where requests go, with which keys, and what each model there accepts.

A preset and a provider entry have the same shape, so that a provider nobody has heard of is one YAML
entry; `config.runtime` merges the two.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, field_validator, model_validator

from config.payload import PayloadRule
from config.profiles import ProfilePatch
from config.secrets import SecretText, SecretValue
from config.section import (
    FilePath,
    HeaderName,
    HttpUrl,
    Name,
    Positive,
    ProtocolName,
    ProxyUrl,
    Seconds,
    Section,
    Strings,
    Usd,
    Weight,
)
from config.status_policy import StatusRule
from translators.losses import Mode


class AuthStyle(StrEnum):
    """How the key travels to the provider."""

    BEARER = "bearer"
    """`Authorization: Bearer <key>`"""
    X_API_KEY = "x-api-key"
    API_KEY = "api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    QUERY_KEY = "query-key"
    """`?key=<key>`"""
    NONE = "none"
    """No key is sent."""
    CLIENT = "client"
    """The client's own credential is passed on: the one case in which it leaves the gateway."""


type Headers = Mapping[HeaderName, SecretValue]


class Rates(Section):
    """Prices of the kinds of tokens, in US dollars per million; absent = not known."""

    input: Usd | None = None
    """Input tokens that no cache served."""
    cached_input: Usd | None = None
    """Input tokens read from the provider's cache; absent = the input price."""
    cache_write: Usd | None = None
    """Input tokens written to the cache (the shorter lifetime); absent = the input price."""
    cache_write_1h: Usd | None = None
    """Input tokens written to the cache for longer; absent = the `cache_write` price."""
    output: Usd | None = None
    """Output tokens, reasoning included."""


class PriceTier(Rates):
    """Rates of requests with a long input: they replace the ordinary ones for the whole request."""

    above_input_tokens: Positive
    """Input tokens, cached ones included, above which the tier holds."""


class Prices(Rates):
    """What a model costs, in US dollars per million tokens; absent = not known."""

    tiers: tuple[PriceTier, ...] = ()
    """Other rates for long inputs; the highest threshold that is passed holds."""
    note: str = ""
    """What the numbers leave out (peak hours, promotions)."""
    source: str = ""
    """Where the numbers come from: a public page."""
    date: dt.date | None = None
    """The day they were read."""

    def rates(self, input_tokens: int | None) -> Rates:
        """The rates for a request with this much input; None = the ordinary ones."""
        passed = [tier for tier in self.tiers if (input_tokens or 0) > tier.above_input_tokens]
        return max(passed, key=lambda tier: tier.above_input_tokens, default=self)


class ModelInfo(Section):
    """What is known about one model, or about all models whose name fits a pattern."""

    name: str | None = None
    """The name that the provider knows the model by; absent = the key of this entry."""
    display_name: str | None = None
    """A name for people."""
    context_window: Positive | None = None
    """Input and output together, tokens."""
    max_output_tokens: Positive | None = None
    """The most that one answer can have, tokens."""
    prices: Prices | None = None
    """What it costs; wins over the price table."""
    profile: ProfilePatch = ProfilePatch()
    """What it accepts, where that differs from the provider's other models."""
    fallbacks: Strings = ()
    """Models of the same provider to go down to when this one fails, best first."""
    source: str = ""
    """Where the facts come from."""
    date: dt.date | None = None
    """The day they were read."""


class EndpointConfig(Section):
    """One protocol that a provider speaks natively. A URL alone stands for `{base_url: URL}`."""

    base_url: str
    """Up to and including the version (`https://…/v1`); `{region}` and the like are filled in."""
    paths: Mapping[Literal["generate", "stream", "count_tokens", "list_models"], str] = {}
    """Paths that differ from the protocol's own; `{model}` is the model's name."""
    auth: AuthStyle | None = None
    """How the key travels here, where it differs from the provider's other protocols."""
    headers: Headers = Field(default_factory=dict)
    """Headers added to every request."""
    betas: Strings | None = None
    """Patterns of `anthropic-beta` flags that are passed on; absent = all, [] = none."""
    models: Strings = ()
    """Patterns of the models served over this protocol; [] = all."""
    exclude: Strings = ()
    """Patterns of models that go over another of the provider's protocols."""
    profile: ProfilePatch = ProfilePatch()
    """What this protocol's surface accepts, where it differs."""


def _endpoint(value: Any) -> Any:
    return {"base_url": value} if isinstance(value, str) else value


type Endpoints = Mapping[ProtocolName, Annotated[EndpointConfig, BeforeValidator(_endpoint)]]


class KeyConfig(Section):
    """One key of a pool. A secret alone stands for `{key: SECRET}`."""

    key: SecretValue
    """The provider's key."""
    name: Name | None = None
    """What status pages and logs call it; absent = the provider's name and a number."""
    weight: Weight = 1.0
    """Its share under the `weighted` strategy; 0 = only when no other is left."""
    priority: int = 0
    """Higher ones are used first."""
    prefix: Name | None = None
    """Models reached as `prefix/model` use this key only."""
    headers: Headers = Field(default_factory=dict)
    """Headers added to the requests of this key."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """The outbound proxy of this key."""
    models: Strings = ()
    """Patterns of the models that it may be used for; [] = all."""
    exclude: Strings = ()
    """Patterns of the models that it must not be used for."""


def _key(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


class GoogleServiceAccount(Section):
    """Access tokens from a Google service-account key."""

    type: Literal["google_service_account"]
    file: FilePath | None = None
    """The key file (JSON)."""
    json_key: SecretText | None = Field(default=None, alias="json")
    """The key itself, usually `env:NAME`."""
    scope: str = "https://www.googleapis.com/auth/cloud-platform"
    """What the token may be used for."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.json_key is None):
            raise ValueError("either `file` or `json`")
        return self


class GoogleDefault(Section):
    """Google's application default credentials: the environment, a login, or the metadata server."""

    type: Literal["google_default"]
    file: FilePath | None = None
    """A credentials file of any kind Google knows; absent = what the environment offers."""
    scope: str = "https://www.googleapis.com/auth/cloud-platform"
    """What the token may be used for."""


class GithubCopilot(Section):
    """Copilot tokens, exchanged for a GitHub token of the user's own."""

    type: Literal["github_copilot"]
    token: SecretValue
    """A GitHub token that Copilot accepts."""
    api_base: HttpUrl = "https://api.github.com"
    """GitHub's API, for enterprise hosts."""


class OAuth(Section):
    """Tokens of an OAuth 2 token endpoint; client and address are the user's own.

    With a refresh token by that, else by client credentials. A new refresh token that the endpoint hands out is
    kept in the state directory, for the old one may end with it.
    """

    type: Literal["oauth"]
    store: Name | None = None
    """What the file of a handed-out refresh token is called; absent = the provider's name."""
    client_id: str
    """The client registered with the provider."""
    client_secret: SecretValue | None = None
    """Its secret, if it has one."""
    token_url: HttpUrl
    """Where tokens are got and refreshed."""
    scopes: Strings = ()
    """What to ask for."""
    parameters: Mapping[str, str] = {}
    """Further parameters of token requests (`audience`)."""
    refresh_token: SecretValue | None = None
    """A refresh token to start with; absent = client credentials."""
    refresh_lead_s: Seconds = 300.0
    """How long before its end a token is refreshed."""

    @model_validator(mode="after")
    def _grant(self) -> Self:
        if self.refresh_token is None and self.client_secret is None:
            raise ValueError("`refresh_token`, or `client_secret` for the client credentials grant")
        return self


class AzureEntra(Section):
    """Microsoft Entra tokens by client credentials."""

    type: Literal["azure_entra"]
    tenant: str
    """The directory (tenant) id."""
    client_id: str
    """The application id."""
    client_secret: SecretValue
    """The application's secret."""
    scope: str = "https://cognitiveservices.azure.com/.default"
    """What the token may be used for; Azure Foundry's other surfaces want `https://ai.azure.com/.default`."""
    token_url: HttpUrl | None = None
    """The token endpoint of another cloud; `{tenant}` is filled in."""


type Credential = Annotated[
    GoogleServiceAccount | GoogleDefault | GithubCopilot | OAuth | AzureEntra,
    Discriminator("type"),
]


def _named(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return value


class Caching(Section):
    """Prompt caching done for clients that do not ask for it."""

    inject_marks: bool = True
    """Towards Anthropic upstreams: mark tools, system text and the last turn, at most 4 marks in all."""
    cache_key: bool = True
    """Towards OpenAI upstreams that take one: a `prompt_cache_key` made from the session."""


class ProviderFacts(Section):
    """What a preset and a provider entry both can say."""

    endpoints: Endpoints = Field(default_factory=dict)
    """Base URL per protocol that it speaks natively; the first one is used for foreign clients."""
    auth: AuthStyle | None = None
    """How the key travels; absent = the protocol's usual way."""
    headers: Headers = Field(default_factory=dict)
    """Headers added to every request."""
    query: Mapping[str, str] = {}
    """Query parameters added to every request (`api-version`)."""
    forward_headers: Strings = ()
    """Patterns of client headers passed on to this provider, beside the global ones; `!name` keeps one back."""
    models: Annotated[Mapping[str, ModelInfo], BeforeValidator(_named)] = {}
    """What is known of its models, by name or pattern; all that fit are merged, the most specific last.
    A list of names says only that they exist."""
    default_model: str | None = None
    """The model for clients that name none of it."""
    profile: ProfilePatch = ProfilePatch()
    """What it accepts, where that differs from the defaults."""
    payload: tuple[PayloadRule, ...] = ()
    """Changes to the body of every request that goes there."""
    status_policy: tuple[StatusRule, ...] = ()
    """What to do about its failures, before the general table."""
    http2: bool | None = None
    """Whether HTTP/2 may be used; absent = yes."""
    caching: Caching | None = None
    """Prompt caching done for its clients; absent = the general setting."""


class ProviderConfig(ProviderFacts):
    """One provider: a preset, or a protocol with a base URL, and the keys to use there."""

    preset: str | None = None
    """The known provider that this is; everything below adds to it or overrides it."""
    protocol: ProtocolName | None = None
    """The protocol of `base_url`; with a preset: the only one to use of those it offers."""
    base_url: HttpUrl | None = None
    """Where it is, up to and including the version (`https://…/v1`)."""
    api_key: SecretValue | None = None
    """The key."""
    api_keys: tuple[Annotated[KeyConfig, BeforeValidator(_key)], ...] = ()
    """Several keys: pooled, rotated, cooled down one by one."""
    credential: Credential | None = None
    """A credential that is not a plain key."""
    project: str | None = None
    """The cloud project, for presets whose URL holds it."""
    region: str | None = None
    """The cloud region, for presets whose URL holds it."""
    resource: str | None = None
    """The resource or account name, for presets whose URL holds it."""
    deployment: str | None = None
    """The deployment, for URLs that hold it."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """The outbound proxy; `direct` = none, whatever the global one is."""
    ca_file: FilePath | None = None
    """Certificates to trust there, beside the system's (PEM)."""
    model_prefix: Name | None = None
    """Its models are also reached as `prefix/model`."""
    weight: Weight = 1.0
    """Its share under the `weighted` strategy; 0 = only when no other is left."""
    priority: int = 0
    """Higher ones are used first when a model names no order."""
    compatibility_mode: Mode | None = None
    """How much a translation for it may give up; absent = the global setting."""
    enabled: bool = True
    """False = known, but never used."""

    @field_validator("api_keys", mode="before")
    @classmethod
    def _one_key(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.base_url is not None and self.endpoints:
            raise ValueError("either `base_url` or `endpoints`")
        if self.preset is None and not self.endpoints:
            if self.base_url is None:
                raise ValueError("`preset`, or `protocol` with `base_url`, or `endpoints`")
            if self.protocol is None:
                raise ValueError("`protocol` beside `base_url`")
        given = [self.api_key is not None, bool(self.api_keys), self.credential is not None]
        if sum(given) > 1:
            raise ValueError("only one of `api_key`, `api_keys` and `credential`")
        return self
