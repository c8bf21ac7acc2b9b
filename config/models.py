"""`Config`: the frozen snapshot of everything that was configured, which a request keeps to its end.

Look-ups that requests need are computed once and kept; nothing here reads files or the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator

from config.capabilities import Findings
from config.memo import keep
from config.patterns import by_specificity, is_pattern, matches
from config.payload import PayloadRule, could_apply
from config.presets import load_presets
from config.prices import price_table
from config.profiles import ProfilePatch, merge
from config.providers import Caching, Prices, ProviderConfig
from config.routing import ClientKey, ModelConfig, RouteConfig, Strategy, Tenant, When
from config.runtime import Provider, build_provider, secrets_of, url_passwords
from config.secrets import UNRESOLVED, Secret, SecretValue
from config.section import Name, ProxyUrl, Section
from config.settings import (
    Admin,
    Affinity,
    Budgets,
    Cooldowns,
    HeaderLists,
    Hook,
    HostedTools,
    Limits,
    Logging,
    Media,
    ModelsList,
    Privacy,
    Retry,
    Streaming,
    Timeouts,
    Tls,
    WebSocket,
)
from config.status_policy import StatusPolicy
from translators.losses import Mode
from translators.profile import DEFAULT_PROFILE, ModelProfile

__all__ = [
    "ClientKey",
    "Config",
    "ModelConfig",
    "Prices",
    "Provider",
    "ProviderConfig",
    "RouteConfig",
    "Section",
    "Strategy",
    "When",
]

DEFAULT_LISTEN: Final = "127.0.0.1:8080"
CUSTOM_PRESET: Final = "custom"
"""What is known of a provider that names no preset."""


def _listen(value: Any) -> Any:
    """`:8080` and `8080` mean loopback."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"127.0.0.1:{value}"
    if isinstance(value, str) and value.lstrip(":").isdecimal():
        return f"127.0.0.1:{value.lstrip(':')}"
    return value


class Config(Tenant):
    """All settings. Every key has a default; an empty file is a gateway without providers."""

    listen: Annotated[str, BeforeValidator(_listen)] = DEFAULT_LISTEN
    """Address and port of `llmgate serve`. Anything but loopback needs `client_keys`."""
    tls: Tls | None = None
    """The listener's certificate; absent = plain HTTP."""
    compatibility_mode: Mode = Mode.MAX_COMPAT
    """How much a translation may give up: `strict`, `balanced` or `max_compat`."""
    namespaces: Mapping[Name, Tenant] = {}
    """Tenants under `/namespaces/<name>/…`, each with keys, providers, models and routes of its own."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """The outbound proxy for all providers, http or https; absent = none."""
    timeouts: Timeouts = Timeouts()
    """How long to wait."""
    retry: Retry = Retry()
    """How much to try."""
    limits: Limits = Limits()
    """Sizes and numbers."""
    cooldowns: Cooldowns = Cooldowns()
    """When failing keys rest."""
    budgets: Budgets = Budgets()
    """What all clients together may use."""
    affinity: Affinity = Affinity()
    """Keeping sessions in one place."""
    caching: Caching = Caching()
    """Prompt caching done for clients."""
    media: Media = Media()
    """Media given by URL."""
    privacy: Privacy = Privacy()
    """What is kept of what clients say."""
    logging: Logging = Logging()
    """Log lines and records."""
    hooks: tuple[Hook, ...] = ()
    """Addresses that get a record of every request."""
    admin: Admin = Admin()
    """The operator's side."""
    headers: HeaderLists = HeaderLists()
    """Which headers pass through."""
    hosted_tools: HostedTools = HostedTools()
    """Tools that providers run themselves."""
    chat_reasoning: str | None = "reasoning_content"
    """The field in which Chat Completions clients get the model's thinking; null = they get none."""
    token_encoding: str | None = "o200k_base"  # noqa: S105 - the name of an encoding
    """The tiktoken encoding of local token counts, fetched behind the scenes where missing; null = estimates only."""
    streaming: Streaming = Streaming()
    """How answers stream to which clients."""
    websocket: WebSocket = WebSocket()
    """The Responses API over a WebSocket."""
    payload: tuple[PayloadRule, ...] = ()
    """Changes to upstream bodies, after those of the provider."""
    models_list: ModelsList = ModelsList()
    """What model lists say."""
    database_url: SecretValue | None = None
    """An SQLAlchemy URL for logs, usage, cooldowns and logins; absent = SQLite in the state directory."""
    redis_url: SecretValue | None = None
    """Shares cooldowns, rate limits and sessions among replicas; absent = each for itself."""

    _sources: tuple[str, ...] = PrivateAttr(default=())
    _findings: Findings = PrivateAttr(default_factory=dict)

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise ValueError("an address and port such as `127.0.0.1:8080`")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError("an IPv6 address in brackets, such as `[::1]:8080`")
        return value

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that it was read from, the most important first."""
        return self._sources

    def with_sources(self, sources: Iterable[str]) -> Self:
        """Remember where it came from; for the loader."""
        self._sources = tuple(sources)
        return self

    def with_findings(self, findings: Findings) -> Self:
        """Remember what probes found out about models; before the first look-up."""
        self._findings = findings
        return self

    # -- where to listen

    @property
    def listen_host(self) -> str:
        """The address without the port, brackets removed."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.listen_host == "localhost":
            return True
        try:
            return ip_address(self.listen_host).is_loopback
        except ValueError:
            return False

    # -- who asks

    @cached_property
    def _clients(self) -> Mapping[bytes, ClientKey]:
        return {key.key.digest: key for key in self.client_keys}

    def client_for(self, secret: str) -> ClientKey | None:
        """The client key with this value; compared by digest, so timing tells nothing."""
        return self._clients.get(sha256(secret.encode("utf-8", "surrogatepass")).digest())

    def namespace(self, name: str) -> Config | None:
        """The configuration of a tenant: the general settings with its own keys, providers, models, routes."""
        return self._tenants.get(name)

    @cached_property
    def _tenants(self) -> Mapping[str, Config]:
        shared = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: Config.model_construct(
                **{
                    **shared,
                    **{part: getattr(tenant, part) for part in Tenant.model_fields},
                    "namespaces": {},
                }
            )
            .with_sources(self._sources)
            .with_findings(self._findings)
            for name, tenant in self.namespaces.items()
        }

    # -- providers

    @cached_property
    def status_policy(self) -> StatusPolicy:
        """The general table: own rules, then the built-in ones."""
        return StatusPolicy((*self.cooldowns.rules, *self.cooldowns.table))

    @cached_property
    def upstreams(self) -> Mapping[str, Provider]:
        """The enabled providers, ready for use, in the order of the file."""
        presets = load_presets()
        return {
            name: build_provider(
                name,
                entry,
                presets[entry.preset or CUSTOM_PRESET],
                self.status_policy.rules,
            )
            for name, entry in self.providers.items()
            if entry.enabled
        }

    def provider(self, name: str) -> Provider:
        """One provider; KeyError when there is none of this name, or it is disabled."""
        return self.upstreams[name]

    def endpoint(
        self, provider: str, client_protocol: str, model: str | None = None
    ) -> tuple[str, str]:
        """Protocol and base URL: the client's own protocol where the provider speaks it, else its first."""
        endpoint = self.provider(provider).endpoint_for(client_protocol, model)
        return endpoint.protocol, endpoint.base_url

    def resolve_profile(
        self, provider: str, model: str, protocol: str | None = None
    ) -> ModelProfile:
        """What a model accepts at a provider; `protocol` None = the provider's first one.

        From the general to the particular: preset, provider, then the model as preset and provider
        entry know it.
        """
        key = (provider, model, protocol or "")
        profile = self._profiles.get(key)
        if profile is None:
            profile = self._merge_profile(self.provider(provider), model, protocol)
            keep(self._profiles, key, profile)
        return profile

    def _merge_profile(self, provider: Provider, model: str, protocol: str | None) -> ModelProfile:
        endpoint = next(
            (one for name, one in provider.endpoints.items() if name == protocol), provider.primary
        )
        infos = provider.infos(model)
        limits = [info.max_output_tokens for info in infos if info.max_output_tokens is not None]
        known = ProfilePatch({"max_output_tokens": limits[-1]} if limits else {})
        profile = merge((known, *endpoint.profiles, *(info.profile for info in infos)))
        return self._found_out(profile, provider, endpoint.base_url, model)

    def _found_out(
        self, profile: ModelProfile, provider: Provider, base_url: str, model: str
    ) -> ModelProfile:
        """The profile with what a probe knows better than a preset; what the user's own entry says stands."""
        finding = self._findings.get((provider.name, base_url, model))
        if finding is None or finding.images is None or finding.images == bool(profile.image_types):
            return profile
        entry = self.providers[provider.name]
        own = [entry.profile, *(one.profile for one in entry.endpoints.values())]
        own += [info.profile for name, info in entry.models.items() if matches(name, model)]
        if any("image_types" in patch.values for patch in own):
            return profile
        types = DEFAULT_PROFILE.image_types if finding.images else frozenset()
        return replace(profile, image_types=types)

    def prices(self, provider: str, model: str) -> Prices | None:
        """What the upstream's model costs: by the entry, else the preset, else the price table."""
        upstream = self.upstreams.get(provider)
        if upstream is None:
            return price_table().find(model)
        own = upstream.prices(model)
        return own if own is not None or not upstream.list_prices else price_table().find(model)

    def payload_rules(self, provider: str, model: str, protocol: str) -> tuple[PayloadRule, ...]:
        """The rules that may apply to bodies for this target: the provider's, then the general ones."""
        key = (provider, model, protocol)
        rules = self._rules.get(key)
        if rules is None:
            every = (*self.provider(provider).payload, *self.payload)
            rules = tuple(rule for rule in every if could_apply(rule, protocol, provider, model))
            keep(self._rules, key, rules)
        return rules

    # -- what was looked up; not PrivateAttr, which pydantic finds by its slowest way

    @cached_property
    def _profiles(self) -> dict[tuple[str, str, str], ModelProfile]:
        return {}

    @cached_property
    def _models_found(self) -> dict[str, tuple[str, ModelConfig] | None]:
        return {}

    @cached_property
    def _rules(self) -> dict[tuple[str, str, str], tuple[PayloadRule, ...]]:
        return {}

    # -- model names

    @cached_property
    def _patterns(self) -> tuple[str, ...]:
        return by_specificity(name for name in self.models if is_pattern(name))

    def model_for(self, name: str) -> tuple[str, ModelConfig] | None:
        """The entry of `models` for a name that a client asked for, with its key; None = no entry fits.

        The literal name wins, then the pattern with the most literal characters.
        """
        if name in self.models:
            return name, self.models[name]
        if name not in self._models_found:
            found = next((one for one in self._patterns if matches(one, name)), None)
            entry = None if found is None else (found, self.models[found])
            keep(self._models_found, name, entry)
            return entry
        return self._models_found[name]

    # -- what must not be shown

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret, the longest first: what a redactor replaces."""
        secrets: list[Secret | None] = [key.key for key in self.client_keys]
        entries = [*self.providers.values()]
        for tenant in self.namespaces.values():
            secrets.extend(key.key for key in tenant.client_keys)
            entries.extend(tenant.providers.values())
        secrets.extend(hook.authorization for hook in self.hooks)
        secrets.extend((self.admin.key, self.database_url, self.redis_url))
        values = {secret.get_secret_value() for secret in secrets if secret is not None}
        values.update(value for entry in entries for value in secrets_of(entry))
        values.update(url_passwords(self.proxy))
        return tuple(sorted(values - {UNRESOLVED}, key=lambda value: (-len(value), value)))
