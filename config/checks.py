"""Checks that look at more than one key: names that lead nowhere, loops, rules that never match.

Each yields an `Issue` with the key path that it is about; the loader adds file and line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from config.certificates import problem_with
from config.models import Config
from config.patterns import is_pattern, matches
from config.presets import Preset, load_presets
from config.problems import KeyPath
from config.providers import AuthStyle, ProviderConfig
from config.routing import CandidateConfig, RouteConfig, Tenant, When
from config.runtime import MissingVariableError, Provider, build_provider
from config.secrets import UNRESOLVED

KEYLESS: Final = (AuthStyle.NONE, AuthStyle.CLIENT)
OPERATION_PATHS: Final = ("/chat/completions", "/completions", "/responses", "/messages")
"""Where requests go below a base URL; `/models` is not here, for Azure's base URLs end so."""
CREDENTIALS: Final[Mapping[str, str]] = {
    "google": "`credential: {type: google_service_account, file: FILE}`, or `credential: {type: google_default}` "
    "after `gcloud auth application-default login`",
    "github_copilot": "`credential: {type: github_copilot, token: env:NAME}` with a GitHub token that Copilot accepts",
}
"""What presets without plain keys want."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding at a key path."""

    path: KeyPath
    found: str
    expected: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a tenant's file says although it did not validate: names that exist, and list positions.

    `routes` gives the position in the file of each validated route.
    """

    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    client_keys: tuple[str, ...] = ()
    routes: tuple[int, ...] = ()
    has_client_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenConfig:
    """The same for the whole configuration."""

    top: Written = Written()
    namespaces: Mapping[str, Written] = field(default_factory=dict)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or "" when nothing is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def check(config: Config, written: WrittenConfig) -> Iterator[Issue]:
    """Everything that is wrong across keys, in the order of the file's sections."""
    if not config.is_loopback and not written.top.has_client_keys:
        yield Issue(
            ("listen",),
            f'"{config.listen}" without client_keys',
            "a loopback address, or client_keys",
            "anyone who can connect could use your provider keys",
        )
    yield from _check_tenant(config, (), written.top)
    for name, tenant in config.namespaces.items():
        path = ("namespaces", name)
        known = written.namespaces.get(name, Written())
        if not config.is_loopback and not known.has_client_keys:
            yield Issue(
                path, "no client_keys", "client_keys, as `listen` is not a loopback address"
            )
        yield from _check_tenant(tenant, path, known)


def _check_tenant(tenant: Tenant, path: KeyPath, written: Written) -> Iterator[Issue]:
    yield from _check_client_keys(tenant, path)
    presets = load_presets()
    spelled: dict[str, str] = {}
    for name in written.providers or tenant.providers:
        if (other := spelled.setdefault(name.casefold(), name)) != name:
            path_here = (*path, "providers", name)
            yield Issue(path_here, f'a second "{other}"', "names that differ by more than case")
    for name, entry in tenant.providers.items():
        here = (*path, "providers", name)
        preset = presets.get(entry.preset) if entry.preset is not None else None
        if entry.preset is not None and preset is None:
            hint = did_you_mean(entry.preset, presets) or _listing("presets", presets)
            yield Issue((*here, "preset"), f'"{entry.preset}"', "a known preset", hint)
        else:
            yield from _check_provider(entry, preset, here)
    yield from _check_prefixes(tenant, path, {*written.providers, *tenant.providers})
    names = _Names(tenant, written)
    for name, model in tenant.models.items():
        for index, candidate in enumerate(model.candidates):
            here = (*path, "models", name, "candidates", index)
            yield from names.check(candidate, here)
    yield from _check_loops(tenant, path, names)
    yield from _check_routes(tenant, path, written, names)


def _check_client_keys(tenant: Tenant, path: KeyPath) -> Iterator[Issue]:
    names = Counter(key.name for key in tenant.client_keys)
    values = Counter(key.key.digest for key in tenant.client_keys)
    for index, key in enumerate(tenant.client_keys):
        here = (*path, "client_keys", index)
        if names[key.name] > 1:
            yield Issue((*here, "name"), f'"{key.name}" given twice', "a name of its own")
        if values[key.key.digest] > 1 and key.key.get_secret_value() != UNRESOLVED:
            yield Issue((*here, "key"), "the key of another entry", "a key of its own")


def _check_provider(entry: ProviderConfig, preset: Preset | None, path: KeyPath) -> Iterator[Issue]:
    try:
        name = str(path[-1])
        provider = build_provider(name, entry, preset)
    except MissingVariableError as error:
        known = error.name in ProviderConfig.model_fields
        yield Issue(
            path,
            f"no `{error.name}`",
            f"`{error.name}`, which the base URL needs"
            if known
            else f"a base URL without `{{{error.name}}}`",
        )
        return
    if not provider.endpoints:
        yield Issue(
            path,
            "no base_url" if entry.protocol is None else f"protocol {entry.protocol}",
            "`base_url`"
            if entry.protocol is None
            else "`base_url` for this protocol, or one of the preset's",
        )
        return
    if entry.ca_file is not None and (problem := problem_with(entry.ca_file)) is not None:
        yield Issue((*path, "ca_file"), problem, "a file with CA certificates in PEM")
    optional = preset is not None and preset.key_optional
    needs_key = any(endpoint.auth not in KEYLESS for endpoint in provider.endpoints.values())
    has_key = entry.api_key is not None or entry.api_keys or entry.credential is not None
    if preset is not None and needs_key and not optional and not has_key:
        example = f"env:{preset.key_env}" if preset.key_env else "env:NAME"
        usual = f"`api_key: {example}`, `api_keys` or `credential`"
        yield Issue(path, "no key", CREDENTIALS.get(preset.credential_type or "", usual))
    yield from _check_urls(entry, path)
    yield from _check_keys(entry, provider, path)


def _check_urls(entry: ProviderConfig, path: KeyPath) -> Iterator[Issue]:
    """A base URL that was copied with the path of a request: every request would meet a 404."""
    urls = [(entry.base_url, (*path, "base_url"))]
    urls += [
        (endpoint.base_url, (*path, "endpoints", protocol, "base_url"))
        for protocol, endpoint in entry.endpoints.items()
    ]
    for url, here in urls:
        end = next((end for end in OPERATION_PATHS if (url or "").rstrip("/").endswith(end)), None)
        if end is not None:
            yield Issue(here, f"a URL that ends in `{end}`", "a base URL, which ends before that")


def _check_keys(entry: ProviderConfig, provider: Provider, path: KeyPath) -> Iterator[Issue]:
    """Each key of a pool once, under a name of its own."""
    names = Counter(key.name for key in provider.keys)
    for index, key in enumerate(provider.keys):
        if names[key.name] > 1:
            yield Issue(
                (*path, "api_keys", index, "name"), f'"{key.name}" given twice', "a name of its own"
            )
    values = Counter(key.key.digest for key in entry.api_keys)
    for index, one in enumerate(entry.api_keys):
        if values[one.key.digest] > 1 and one.key.get_secret_value() != UNRESOLVED:
            yield Issue((*path, "api_keys", index), "the same key twice", "each key once")


def _check_prefixes(tenant: Tenant, path: KeyPath, names: set[str]) -> Iterator[Issue]:
    """A prefix leads to one place: it is no provider's name, and no other one's prefix."""
    owners: dict[str, KeyPath] = {}
    for name, entry in tenant.providers.items():
        here = (*path, "providers", name)
        found = [(entry.model_prefix, (*here, "model_prefix"))]
        found += [
            (key.prefix, (*here, "api_keys", index, "prefix"))
            for index, key in enumerate(entry.api_keys)
        ]
        for prefix, place in found:
            if prefix is None or prefix == name:
                continue
            if prefix in names:
                yield Issue(place, f'"{prefix}", which is a provider', "a prefix of its own")
            elif owners.setdefault(prefix, here) != here:
                yield Issue(place, f'"{prefix}", which another provider has', "a prefix of its own")


class _Names:
    """Where a candidate's target leads."""

    def __init__(self, tenant: Tenant, written: Written) -> None:
        self.providers = dict.fromkeys((*written.providers, *tenant.providers))
        self.models = dict.fromkeys((*written.models, *tenant.models))
        self.disabled = {name for name, entry in tenant.providers.items() if not entry.enabled}

    def alias(self, target: str) -> str | None:
        """The entry of `models` that a target means, None when it names a provider (or nothing)."""
        head = target.partition("/")[0]
        if "/" in target and head in self.providers:
            return None
        return target if target in self.models else None

    def check(self, candidate: CandidateConfig, path: KeyPath) -> Iterator[Issue]:
        """Problems of one candidate."""
        target = candidate.target
        head, slash, model = target.partition("/")
        if slash and head in self.providers:
            if not model:
                yield Issue(path, f'"{target}"', f'a model after "{head}/"')
            elif head in self.disabled:
                yield Issue(
                    path, f'"{target}"', "an enabled provider", f"{head} has enabled: false"
                )
            elif is_pattern(model) and model != "*":
                yield Issue(path, f'"{target}"', f'a model, or "{head}/*" for the name asked for')
            return
        if target in self.models:
            if is_pattern(target):
                yield Issue(path, f'"{target}"', "a name, not a pattern")
            return
        if slash:
            hint = did_you_mean(head, self.providers) or _listing("providers", self.providers)
            yield Issue(path, f'"{target}"', "a provider's name before the slash", hint)
        else:
            hint = did_you_mean(target, self.models)
            yield Issue(path, f'"{target}"', "`provider/model` or a name of `models`", hint)


def _listing(what: str, names: Iterable[str]) -> str:
    shown = ", ".join(list(names)[:8])
    return f"{what}: {shown}" if shown else f"there are no {what}"


def _check_loops(tenant: Tenant, path: KeyPath, names: _Names) -> Iterator[Issue]:
    """Aliases that lead back to themselves; each loop is told once."""
    reported: set[str] = set()
    for start in tenant.models:
        trail: list[str] = []
        pending = [(start, 0)]
        while pending:
            name, depth = pending.pop()
            del trail[depth:]
            if name in trail:
                loop = [*trail[trail.index(name) :], name]
                if not reported.intersection(loop):
                    reported.update(loop)
                    yield Issue(
                        (*path, "models", loop[0]),
                        f"the loop {' -> '.join(loop)}",
                        "a way that ends at `provider/model`",
                    )
                continue
            trail.append(name)
            model = tenant.models.get(name)
            if model is None or name in reported:
                continue
            following = [names.alias(candidate.target) for candidate in model.candidates]
            pending.extend((alias, depth + 1) for alias in following if alias is not None)


def _check_routes(
    tenant: Tenant, path: KeyPath, written: Written, names: _Names
) -> Iterator[Issue]:
    positions = written.routes or tuple(range(len(tenant.routes)))
    earlier: list[tuple[int, RouteConfig]] = []
    key_names = {*written.client_keys, *(key.name for key in tenant.client_keys)}
    for position, route in zip(positions, tenant.routes, strict=False):
        here = (*path, "routes", position)
        for index, candidate in enumerate(route.use):
            yield from names.check(candidate, (*here, "use", index))
        for reason in route.when.contradictions():
            yield Issue((*here, "when"), reason, "conditions that can hold together")
        for pattern in route.when.client_key:
            if not any(matches(pattern, name) for name in key_names):
                yield Issue(
                    (*here, "when", "client_key"),
                    f'"{pattern}", which is no client key',
                    "the name of a client key",
                    did_you_mean(pattern, key_names),
                )
        for number, other in earlier:
            if _covers(other.when, route.when):
                yield Issue(
                    here,
                    "a rule that can never match",
                    f"a rule that routes[{number}] does not already catch",
                )
                break
        earlier.append((position, route))


def _covers(first: When, second: When) -> bool:
    """Whether everything that fits the second fits the first: no conditions, or only ones that both have."""
    wide, narrow = first.expanded, second.expanded
    given = [
        name
        for name in When.model_fields
        if name != "scene" and getattr(wide, name) != When.model_fields[name].default
    ]
    return all(getattr(wide, name) == getattr(narrow, name) for name in given)
