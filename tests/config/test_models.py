"""`Config`: look-ups that requests make, tenants, and a description for every key."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from config.loader import loads
from config.memo import CACHE_SIZE
from config.models import Config
from config.profiles import PROFILE_FIELDS
from config.section import Section


def sections(root: type[Section] = Section) -> Iterator[type[Section]]:
    for child in root.__subclasses__():
        yield child
        yield from sections(child)


@pytest.mark.parametrize(
    "section", [*dict.fromkeys(sections())], ids=lambda section: section.__name__
)
def test_every_key_is_described(section: type[Section]) -> None:
    bare = [
        name
        for name, field in section.model_fields.items()
        if not field.description and name not in ("type",)
    ]
    assert not bare


def test_a_configuration_is_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        Config().listen = "x"  # type: ignore[misc]
    assert PROFILE_FIELDS.model_config["extra"] == "forbid"


def test_the_schema_of_the_file_can_be_printed() -> None:
    assert "compatibility_mode" in Config.model_json_schema()["properties"]


MODELS = """
providers:
  a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1"}
models:
  claude-haiku: a/literal
  "claude-*haiku*": a/longer
  "claude-*": a/shorter
  "*": a/*
"""


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("claude-haiku", "claude-haiku", id="the literal name wins"),
        pytest.param("claude-3-haiku-x", "claude-*haiku*", id="then the longer pattern"),
        pytest.param("claude-opus", "claude-*", id="then the shorter one"),
        pytest.param("gpt-5", "*", id="then the catch-all"),
    ],
)
def test_the_most_specific_name_wins(name: str, key: str) -> None:
    config = loads(MODELS)
    for _ in range(2):  # the second time from memory
        found = config.model_for(name)
        assert found is not None
        assert found[0] == key


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    config = loads(MODELS)
    for number in range(CACHE_SIZE + 10):
        config.model_for(f"x{number}")
        config.resolve_profile("a", f"x{number}")
    assert len(config._models_found) <= CACHE_SIZE
    assert len(config._profiles) <= CACHE_SIZE


def test_c1_client_keys_are_found_by_value_only() -> None:
    config = loads("client_keys: [{name: laptop, key: k1}, {name: ci, key: 'Bearer k2'}]")
    assert [config.client_for(key) and config.client_for(key).name for key in ("k1", "k2", "", "K1")] == [  # type: ignore[union-attr]
        "laptop", "ci", None, None,
    ]  # fmt: skip


def test_p22_a_tenant_has_its_own_names_and_the_general_settings() -> None:
    config = loads(
        MODELS
        + """
timeouts: {connect_s: 3}
client_keys: [{name: top, key: k}]
namespaces:
  team:
    providers: {b: {protocol: anthropic, base_url: "http://127.0.0.1:2/v1"}}
    models: {sonnet: b/m}
    client_keys: [{name: member, key: t}]
"""
    )
    assert config.model_for("sonnet") is not None  # by the catch-all
    team = config.namespace("team")
    assert team is not None
    assert team.timeouts.connect_s == 3
    assert list(team.upstreams) == ["b"]
    assert team.client_for("k") is None
    assert team.client_for("t") is not None
    assert team.model_for("claude-haiku") is None
    assert config.namespace("other") is None
    assert list(config.upstreams) == ["a"]


def test_every_secret_is_known_to_the_redactor_and_plain_headers_are_not() -> None:
    config = loads(
        """
client_keys: [{name: a, key: client-secret}]
admin: {key: admin-secret}
database_url: postgresql://u:db-secret@h/d
hooks: [{url: "https://h", authorization: hook-secret}]
providers:
  a:
    preset: openai
    api_keys: [key-one, {key: key-two-longer, headers: {x-extra: env:EXTRA}}]
    headers: {user-agent: plain, authorization: head-secret}
    proxy: http://u:proxy%2Fsecret@h:1
  b:
    preset: azure-openai
    resource: r
    credential: {type: azure_entra, tenant: t, client_id: c, client_secret: entra-secret}
namespaces:
  t: {client_keys: [{name: a, key: tenant-secret}]}
""",
        environ={"EXTRA": "extra-secret"},
    )
    assert set(config.secret_values) == {
        "client-secret", "admin-secret", "postgresql://u:db-secret@h/d", "hook-secret", "key-one",
        "key-two-longer", "extra-secret", "head-secret", "entra-secret", "tenant-secret", "proxy%2Fsecret", "proxy/secret",
    }  # fmt: skip
    assert list(config.secret_values) == sorted(config.secret_values, key=lambda v: (-len(v), v))
    shown = f"{config!r} {config.model_dump_json()} {config.upstreams!r}"
    assert "secret@" not in shown
    for value in config.secret_values:
        assert value not in shown


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [
        pytest.param("127.0.0.1:8080", "127.0.0.1", 8080, True, id="the default"),
        pytest.param("'[::1]:1'", "::1", 1, True, id="IPv6 loopback"),
        pytest.param("localhost:2", "localhost", 2, True, id="a name"),
        pytest.param("9090", "127.0.0.1", 9090, True, id="a port is loopback"),
        pytest.param("':9090'", "127.0.0.1", 9090, True, id="a colon and a port is loopback"),
        pytest.param("0.0.0.0:1", "0.0.0.0", 1, False, id="all interfaces"),
        pytest.param(
            "127.evil.example:1",
            "127.evil.example",
            1,
            False,
            id="a name that begins like loopback",
        ),
    ],
)
def test_s2_where_to_listen(listen: str, host: str, port: int, loopback: bool) -> None:
    config = loads(f"listen: {listen}\nclient_keys: [{{name: a, key: k}}]")
    assert (config.listen_host, config.listen_port, config.is_loopback) == (host, port, loopback)


def test_a_proxy_may_come_from_the_environment() -> None:
    config = loads("proxy: env:PROXY", environ={"PROXY": "http://u:pw@h:1"})
    assert config.proxy == "http://u:pw@h:1"
    assert config.secret_values == ("pw",)
    assert config.model_dump()["proxy"] == "http://h:1"


def test_payload_rules_are_sorted_out_per_target() -> None:
    config = loads(
        """
providers:
  a: {preset: mistral, api_key: k, payload: [{set: {own: 1}}]}
payload:
  - {when: {provider: a, model: "small*"}, set: {general: 1}}
  - {when: {protocol: anthropic}, set: {never: 1}}
"""
    )
    rules = config.payload_rules("a", "small-1", "openai_chat")
    assert [set(rule.set) for rule in rules[-2:]] == [{"own"}, {"general"}]
    assert len(config.payload_rules("a", "large", "openai_chat")) == len(rules) - 1
    assert config.payload_rules("a", "small-1", "openai_chat") is rules
