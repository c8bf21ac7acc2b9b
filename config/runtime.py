"""Providers ready for use: a preset and a provider entry merged, URLs filled in, keys numbered.

Built once per configuration; a request only looks things up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from config.memo import keep
from config.patterns import matches, matches_any, specificity
from config.payload import PayloadRule
from config.presets import Preset
from config.profiles import ProfilePatch
from config.providers import (
    AuthStyle,
    Caching,
    Credential,
    EndpointConfig,
    KeyConfig,
    ModelInfo,
    Prices,
    ProviderConfig,
    ProviderFacts,
)
from config.secrets import Secret
from config.section import ProtocolName
from config.status_policy import StatusPolicy, StatusRule
from translators.losses import Mode

USUAL_AUTH: Final[Mapping[ProtocolName, AuthStyle]] = {
    "openai_chat": AuthStyle.BEARER,
    "openai_responses": AuthStyle.BEARER,
    "anthropic": AuthStyle.X_API_KEY,
    "gemini": AuthStyle.X_GOOG_API_KEY,
}
"""How a protocol's own vendor wants the key."""
UNKNOWN_MODEL: Final = ModelInfo()
SECRET_HEADERS: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


class MissingVariableError(ValueError):
    """A URL needs a value that neither the entry nor the preset gives."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One protocol of a provider. `betas` None = every `anthropic-beta` flag may pass.

    `paths` replace those of the protocol, by operation; `{model}` is still to be filled in.
    """

    protocol: ProtocolName
    base_url: str
    auth: AuthStyle
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: Mapping[str, str] = field(default_factory=dict)
    betas: tuple[str, ...] | None = None
    models: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    profiles: tuple[ProfilePatch, ...] = ()

    def serves(self, model: str) -> bool:
        """Whether this model is offered over this protocol."""
        allowed = not self.models or matches_any(self.models, model)
        return allowed and not matches_any(self.exclude, model)

    def path(self, operation: str, model: str, usual: str) -> str:
        """The path below the base URL: the configured one for `generate`, `stream`, … else the usual one."""
        configured = self.paths.get(operation)
        if configured is None:
            return usual
        return configured.replace("{model}", quote(model, safe="@"))

    def passes_beta(self, flag: str) -> bool:
        """Whether an `anthropic-beta` flag of the client may be passed on."""
        return self.betas is None or matches_any(self.betas, flag)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """One key of a provider's pool; `secret` None = no key is needed, or a credential gives it."""

    name: str
    secret: Secret | None = None
    weight: float = 1.0
    priority: int = 0
    prefix: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def serves(self, model: str) -> bool:
        """Whether the key may be used for this model."""
        allowed = not self.models or matches_any(self.models, model)
        return allowed and not matches_any(self.exclude, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Everything that is needed to send requests to one provider."""

    name: str
    preset: str | None
    endpoints: Mapping[ProtocolName, Endpoint]
    keys: tuple[ProviderKey, ...]
    credential: Credential | None
    query: Mapping[str, str]
    forward_headers: tuple[str, ...]
    facts: tuple[ProviderFacts, ...]
    """What preset and entry say about models and profile, the preset first."""
    default_model: str | None
    payload: tuple[PayloadRule, ...]
    status_rules: tuple[StatusRule, ...]
    status_policy: StatusPolicy
    http2: bool
    list_prices: bool
    caching: Caching | None
    proxy: str | None = field(repr=False)
    ca_file: Path | None
    model_prefix: str | None
    weight: float
    priority: int
    compatibility_mode: Mode | None
    enabled: bool
    _infos: dict[str, tuple[ModelInfo, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _merged: dict[str, ModelInfo] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def primary(self) -> Endpoint:
        """The endpoint for clients whose protocol it does not speak."""
        return next(iter(self.endpoints.values()))

    def endpoint_for(self, client_protocol: str, model: str | None = None) -> Endpoint:
        """The client's own protocol if it is spoken here (for this model), else the primary one."""
        fitting = [
            endpoint
            for endpoint in self.endpoints.values()
            if model is None or endpoint.serves(model)
        ]
        for endpoint in fitting:
            if endpoint.protocol == client_protocol:
                return endpoint
        return fitting[0] if fitting else self.primary

    def infos(self, model: str) -> tuple[ModelInfo, ...]:
        """What is known of a model: from preset to entry, in each from the general to the particular."""
        found = self._infos.get(model)
        if found is None:
            found = tuple(
                facts.models[name]
                for facts in self.facts
                for name in sorted(
                    (name for name in facts.models if matches(name, model)), key=specificity
                )
            )
            keep(self._infos, model, found)
        return found

    def model_info(self, model: str) -> ModelInfo:
        """What is known of a model, merged; the profile is that of the last word only."""
        merged = self._merged.get(model)
        if merged is None:
            values: dict[str, object] = {}
            for info in self.infos(model):
                values.update({name: getattr(info, name) for name in info.model_fields_set})
            # What nobody knows is one and the same: names come from clients, and each kept costs memory.
            merged = ModelInfo.model_construct(**values) if values else UNKNOWN_MODEL  # type: ignore[arg-type]
            keep(self._merged, model, merged)
        return merged

    def wire_model(self, model: str) -> str:
        """The name that the provider knows a model by."""
        return self.model_info(model).name or model

    def prices(self, model: str) -> Prices | None:
        """What preset or entry say that a model costs."""
        return next((i.prices for i in reversed(self.infos(model)) if i.prices is not None), None)

    @property
    def known_models(self) -> tuple[str, ...]:
        """The models that are listed by name, in order."""
        names = (
            name for facts in reversed(self.facts) for name in facts.models if specificity(name)[0]
        )
        return tuple(dict.fromkeys(names))


def build_provider(
    name: str,
    config: ProviderConfig,
    preset: Preset | None,
    rules: Iterable[StatusRule] = (),
) -> Provider:
    """Merge a provider entry over its preset; `rules` is the general status table.

    `MissingVariableError` when a URL needs a value that nobody gives.
    """
    facts: tuple[ProviderFacts, ...] = (config,) if preset is None else (preset, config)
    status_rules = (*config.status_policy, *(preset.status_policy if preset else ()))
    return Provider(
        name=name,
        preset=config.preset,
        endpoints=_endpoints(config, preset),
        keys=_keys(name, config),
        credential=config.credential,
        query={key: value for one in facts for key, value in one.query.items()},
        forward_headers=tuple(
            dict.fromkeys(pattern for one in facts for pattern in one.forward_headers)
        ),
        facts=facts,
        default_model=config.default_model or (preset.default_model if preset else None),
        payload=tuple(rule for one in facts for rule in one.payload),
        status_rules=status_rules,
        status_policy=StatusPolicy((*status_rules, *rules)),
        http2=_first(config.http2, preset.http2 if preset else None, True),
        list_prices=preset is None or preset.list_prices,
        caching=config.caching or (preset.caching if preset else None),
        proxy=config.proxy,
        ca_file=config.ca_file,
        model_prefix=config.model_prefix,
        weight=config.weight,
        priority=config.priority,
        compatibility_mode=config.compatibility_mode,
        enabled=config.enabled,
    )


def _first(*values: bool | None) -> bool:
    return next(value for value in values if value is not None)


def _endpoints(config: ProviderConfig, preset: Preset | None) -> Mapping[ProtocolName, Endpoint]:
    """The protocols in order: those of the entry replace the preset's URLs, key by key."""
    values = variables(config, preset)
    base = dict(preset.endpoints) if preset else {}
    own = dict(config.endpoints)
    if config.base_url is not None:
        only = config.protocol if config.protocol is not None else _first_of(base)
        own = {only: EndpointConfig(base_url=config.base_url)}
        # Another host: what the preset knows of other protocols' URLs no longer holds.
        base = {only: base[only]} if only in base else {}
    elif config.protocol is not None:
        base = {key: value for key, value in base.items() if key == config.protocol}
    order = [*own, *(key for key in base if key not in own)] if preset is None else [
        *base, *(key for key in own if key not in base)
    ]  # fmt: skip
    return {
        protocol: _endpoint(protocol, own.get(protocol), base.get(protocol), config, preset, values)
        for protocol in order
    }


def _first_of(endpoints: Mapping[ProtocolName, EndpointConfig]) -> ProtocolName:
    return next(iter(endpoints), "openai_chat")


def _endpoint(
    protocol: ProtocolName,
    own: EndpointConfig | None,
    base: EndpointConfig | None,
    config: ProviderConfig,
    preset: Preset | None,
    values: Mapping[str, str],
) -> Endpoint:
    given = [one for one in (base, own) if one is not None]
    last = given[-1]
    auth = _auth(protocol, own, base, config, preset)
    headers: dict[str, str] = {}
    for source in (preset, base, config, own):
        if source is not None:
            headers.update(_plain(source.headers))
    patches = (
        preset.profile if preset else None,
        base.profile if base else None,
        config.profile,
        own.profile if own else None,
    )
    return Endpoint(
        protocol=protocol,
        base_url=fill(last.base_url, values).rstrip("/"),
        auth=auth,
        headers=headers,
        paths={
            operation: fill(path, values) for one in given for operation, path in one.paths.items()
        },
        betas=next((one.betas for one in reversed(given) if one.betas is not None), None),
        models=next((one.models for one in reversed(given) if one.models), ()),
        exclude=next((one.exclude for one in reversed(given) if one.exclude), ()),
        profiles=tuple(patch for patch in patches if patch is not None and patch.values),
    )


def _auth(
    protocol: ProtocolName,
    own: EndpointConfig | None,
    base: EndpointConfig | None,
    config: ProviderConfig,
    preset: Preset | None,
) -> AuthStyle:
    """The most particular style that is given; none at all where no key is given and none is needed."""
    given = (one.auth for one in (own, config, base, preset) if one is not None)
    style = next((one for one in given if one is not None), USUAL_AUTH[protocol])
    has_key = config.api_key is not None or config.api_keys or config.credential is not None
    if style is AuthStyle.CLIENT or has_key:
        return style
    return AuthStyle.NONE if preset is None or preset.key_optional else style


def _plain(headers: Mapping[str, Secret]) -> dict[str, str]:
    return {name.lower(): value.get_secret_value() for name, value in headers.items()}


def variables(config: ProviderConfig, preset: Preset | None) -> Mapping[str, str]:
    """What the placeholders of URLs stand for."""
    values = {name: value for name, value in (preset.variables if preset else {}).items() if value}
    for name in ("project", "region", "resource", "deployment"):
        given = getattr(config, name)
        if given is not None:
            values[name] = given
    region = values.get("region")
    if preset is not None and region is not None:
        fitting = sorted((key for key in preset.hosts if matches(key, region)), key=specificity)
        if fitting:
            values["host"] = fill(preset.hosts[fitting[-1]], values)
    return values


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders filled in; `{model}` is left for later."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "model":
            return match[0]
        if name not in values:
            raise MissingVariableError("region" if name == "host" else name)
        return values[name]

    return _VARIABLE.sub(value, template)


def _keys(name: str, config: ProviderConfig) -> tuple[ProviderKey, ...]:
    configs = config.api_keys
    if config.api_key is not None:
        configs = (KeyConfig(key=config.api_key),)
    if not configs:
        return (ProviderKey(name=name),)
    numbered = len(configs) > 1
    return tuple(
        ProviderKey(
            name=key.name or (f"{name}-{number}" if numbered else name),
            secret=key.key,
            weight=key.weight,
            priority=key.priority,
            prefix=key.prefix,
            headers=_plain(key.headers),
            proxy=key.proxy,
            models=key.models,
            exclude=key.exclude,
        )
        for number, key in enumerate(configs, start=1)
    )


def secrets_of(config: ProviderConfig) -> list[str]:
    """Every secret of an entry: keys, credentials, proxy passwords, and headers that look like one."""
    found = [key.key for key in config.api_keys]
    if config.api_key is not None:
        found.append(config.api_key)
    if config.credential is not None:
        values = (getattr(config.credential, name) for name in type(config.credential).model_fields)
        found.extend(value for value in values if isinstance(value, Secret))
    sections = [config.headers, *(endpoint.headers for endpoint in config.endpoints.values())]
    sections.extend(key.headers for key in config.api_keys)
    for headers in sections:
        for header, secret in headers.items():
            if secret.origin != "literal" or SECRET_HEADERS.search(header):
                found.append(secret)
    proxies = (config.proxy, *(key.proxy for key in config.api_keys))
    return [
        *(secret.get_secret_value() for secret in found),
        *(password for proxy in proxies for password in url_passwords(proxy)),
    ]


def url_passwords(url: str | None) -> list[str]:
    """The password inside a URL, as it is written there and as it is meant."""
    password = urlsplit(url).password if url else None
    return list(dict.fromkeys((password, unquote(password)))) if password else []
