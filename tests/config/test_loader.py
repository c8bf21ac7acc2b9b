"""The loader: layers, discovery, and one error that tells every mistake with its place."""

from pathlib import Path

import pytest

from config.loader import config_files, load, loads
from config.problems import ConfigError
from translators.losses import Mode

FAKE = "providers: {a: {protocol: openai_chat, base_url: 'http://127.0.0.1:1/v1'}}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.yaml", environ={"SET": "value"})
    return str(caught.value).splitlines()


def only(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "compatability_mode: strict",
            'f.yaml:1: compatability_mode: found an unknown key, expected one of the known keys (did you mean "compatibility_mode"?)',
            id="an unknown key, with what was meant",
        ),
        pytest.param(
            "timeouts:\n  conect_s: 1",
            'f.yaml:2: timeouts.conect_s: found an unknown key, expected one of the known keys (did you mean "connect_s"?)',
            id="an unknown key in a section",
        ),
        pytest.param(
            "providers:\n  a:\n    preset: deepsek\n    api_key: x",
            'f.yaml:3: providers.a.preset: found "deepsek", expected a known preset (did you mean "deepseek"?)',
            id="an unknown preset",
        ),
        pytest.param(
            FAKE + "models:\n  x: y\n  y: z\n  z: x",
            "f.yaml:3: models.x: found the loop x -> y -> z -> x, expected a way that ends at `provider/model`",
            id="an alias loop",
        ),
        pytest.param(
            FAKE + "models:\n  x: x",
            "f.yaml:3: models.x: found the loop x -> x, expected a way that ends at `provider/model`",
            id="an alias of itself",
        ),
        pytest.param(
            FAKE + "models:\n  coder: a/m\n  x: codr",
            'f.yaml:4: models.x: found "codr", expected `provider/model` or a name of `models` (did you mean "coder"?)',
            id="an alias to nowhere",
        ),
        pytest.param(
            FAKE + "models:\n  x:\n    candidates:\n      - a/m\n      - b/m",
            'f.yaml:6: models.x.candidates[1]: found "b/m", expected a provider\'s name before the slash (providers: a)',
            id="a candidate at a provider that does not exist",
        ),
        pytest.param(
            FAKE + "models:\n  x: [a/m, b/m]",
            'f.yaml:3: models.x[1]: found "b/m", expected a provider\'s name before the slash (providers: a)',
            id="the same in the short form",
        ),
        pytest.param(
            FAKE + "routes:\n  - {when: {min_tools: 5, max_tools: 2}, use: a/m}",
            "f.yaml:3: routes[0].when: found min_tools 5 is above max_tools 2, expected conditions that can hold together",
            id="a rule that contradicts itself",
        ),
        pytest.param(
            FAKE + "routes:\n  - {use: a/m}\n  - {when: {has_images: true}, use: a/n}",
            "f.yaml:4: routes[1]: found a rule that can never match, expected a rule that routes[0] does not already catch",
            id="a rule behind one that catches everything",
        ),
        pytest.param(
            FAKE + "routes:\n  - {when: {has_tools: true}, use: a/m}\n"
            "  - {when: {has_tools: true, has_images: true}, use: a/n}",
            "f.yaml:4: routes[1]: found a rule that can never match, expected a rule that routes[0] does not already catch",
            id="a rule behind a wider one",
        ),
        pytest.param(
            FAKE + "routes:\n  - {when: {scene: image, has_tools: false, min_tools: 2}, use: a/m}",
            "f.yaml:3: routes[0].when: found has_tools is false, and min_tools is 2, expected conditions that can hold together",
            id="a scene with contradicting conditions",
        ),
        pytest.param(
            FAKE + "client_keys: [{name: laptop, key: k}]\n"
            "routes:\n  - {when: {client_key: labtop}, use: a/m}",
            'f.yaml:4: routes[0].when.client_key: found "labtop", which is no client key, expected the name of a client key (did you mean "laptop"?)',
            id="a rule about a key that nobody has",
        ),
        pytest.param(
            "providers:\n  a: {preset: ollama}\n  a: {preset: vllm}",
            "f.yaml:3: providers.a: found given twice (first on line 2), expected each key once",
            id="two providers of one name",
        ),
        pytest.param(
            "providers:\n  a: {preset: ollama}\n  A: {preset: vllm}",
            'f.yaml:3: providers.A: found a second "a", expected names that differ by more than case',
            id="two providers whose names differ by case",
        ),
        pytest.param(
            "providers:\n  a:\n    preset: groq\n    api_key: ''",
            "f.yaml:4: providers.a.api_key: found a secret that cannot be used (is empty), expected a usable one",
            id="an empty key",
        ),
        pytest.param(
            'providers:\n  a:\n    preset: groq\n    api_keys: ["one\\ntwo", env:SET]',
            "f.yaml:4: providers.a.api_keys[0]: found a secret that cannot be used (has a line break inside), expected a usable one",
            id="a key with a newline",
        ),
        pytest.param(
            "providers:\n  a:\n    preset: groq\n    api_keys:\n      - {key: x, weight: -1}",
            "f.yaml:5: providers.a.api_keys[0].weight: found -1, expected greater than or equal to 0",
            id="a negative weight",
        ),
        pytest.param(
            "providers:\n  a: {preset: groq, api_keys: [x, x]}",
            "f.yaml:2: providers.a.api_keys[0]: found the same key twice, expected each key once\n"
            "f.yaml:2: providers.a.api_keys[1]: found the same key twice, expected each key once",
            id="one key twice",
        ),
        pytest.param(
            "providers:\n  a: {preset: groq}",
            "f.yaml:2: providers.a: found no key, expected `api_key: env:GROQ_API_KEY`, `api_keys` or `credential`",
            id="no key",
        ),
        pytest.param(
            "providers:\n  a: {preset: vertex-gemini, credential: {type: google_default}}",
            "f.yaml:2: providers.a: found no `project`, expected `project`, which the base URL needs",
            id="a preset whose URL needs a value",
        ),
        pytest.param(
            "providers:\n  a:\n    protocol: openai_chat\n    base_url: http://x/v1/chat/completions",
            "f.yaml:4: providers.a.base_url: found a URL that ends in `/chat/completions`, expected a base URL, which ends before that",
            id="a base URL with the path of a request",
        ),
        pytest.param(
            "providers:\n  a:\n    endpoints: {anthropic: {base_url: 'http://x/v1/messages/'}}",
            "f.yaml:3: providers.a.endpoints.anthropic.base_url: found a URL that ends in `/messages`, expected a base URL, which ends before that",
            id="the same of one endpoint",
        ),
        pytest.param(
            "providers:\n  a:\n    protocol: openai_chat\n    base_url: \"http://x/v1\\nfoo\"",
            'f.yaml:4: providers.a.base_url: found "http://x/v1\\nfoo", expected a URL without spaces and line breaks',
            id="a line break in a URL",
        ),
        pytest.param(
            "providers:\n  a:\n    protocol: openai_chat\n    base_url: http://x/v1\n    headers: {\"x: a\\r\\ny\": b}",
            'f.yaml:5: providers.a.headers["x: a\\r\\ny"]: found a text (not shown), expected a name',
            id="a header's name with a line break",
        ),
        pytest.param(
            "providers:\n  a: {base_url: 'http://127.0.0.1:1/v1'}",
            "f.yaml:2: providers.a: found a mapping of base_url, expected `protocol` beside `base_url`",
            id="no protocol",
        ),
        pytest.param(
            "providers:\n  a: {preset: custom}",
            "f.yaml:2: providers.a: found no base_url, expected `base_url`",
            id="a preset that needs an address",
        ),
        pytest.param(
            "providers:\n  a: {preset: gemini, protocol: anthropic, api_key: x}",
            "f.yaml:2: providers.a: found protocol anthropic, expected `base_url` for this protocol, or one of the preset's",
            id="a protocol that the preset does not speak",
        ),
        pytest.param(
            "providers:\n  a:\n    protocol: openai_chat\n    base_url: ftp://x/v1",
            'f.yaml:4: providers.a.base_url: found "ftp://x/v1", expected an http:// or https:// URL with a host',
            id="a URL of another scheme",
        ),
        pytest.param(
            "providers:\n  a:\n    protocol: openai_chat\n    base_url: https://x/v1?key=PLANTED",
            'f.yaml:4: providers.a.base_url: found "https://x/v1", expected a URL without query and fragment (use `query` for parameters)',
            id="a URL with a query",
        ),
        pytest.param(
            "providers:\n  a:\n    preset: ollama\n    credential: {type: oath}",
            "f.yaml:4: providers.a.credential: found a mapping, expected",
            id="an unknown credential",
        ),
        pytest.param(
            "listen: 0.0.0.0:8080",
            'f.yaml:1: listen: found "0.0.0.0:8080" without client_keys, expected a loopback address, or client_keys (anyone who can connect could use your provider keys)',
            id="AUTH-02: open to the network without keys",
        ),
        pytest.param(
            "listen: 0.0.0.0:8080\nclient_keys: [{name: a, key: k}]\nnamespaces:\n  t: {}",
            "f.yaml:4: namespaces.t: found no client_keys, expected client_keys, as `listen` is not a loopback address",
            id="AUTH-02: a tenant open to the network",
        ),
        pytest.param(
            "listen: example",
            'f.yaml:1: listen: found "example", expected an address and port such as `127.0.0.1:8080`',
            id="no port",
        ),
        pytest.param(
            "listen: '::1:8080'",
            'f.yaml:1: listen: found "::1:8080", expected an IPv6 address in brackets, such as `[::1]:8080`',
            id="IPv6 without brackets",
        ),
        pytest.param(
            "client_keys:\n  - {name: a, key: k}\n  - {name: a, key: l}",
            'f.yaml:2: client_keys[0].name: found "a" given twice, expected a name of its own\n'
            'f.yaml:3: client_keys[1].name: found "a" given twice, expected a name of its own',
            id="two client keys of one name",
        ),
        pytest.param(
            "client_keys:\n  - {name: a}",
            "f.yaml:2: client_keys[0].key: found nothing, expected a value: this key is needed",
            id="a client without a key",
        ),
        pytest.param(
            "providers:\n  a: {preset: ollama, profile: {thinking_form: efort}}",
            'f.yaml:2: providers.a.profile.thinking_form: found "efort", expected',
            id="a profile's value",
        ),
        pytest.param(
            "cooldowns:\n  rules:\n    - {status: 429, action: final, cooldown_s: 5}",
            "f.yaml:3: cooldowns.rules[0]: found a mapping of status, action, cooldown_s, expected no cooldown_s beside action `final`, which cools nothing",
            id="a cooldown that cools nothing",
        ),
        pytest.param(
            "payload:\n  - set: {'a..b': 1}",
            "f.yaml:2: payload[0].set[\"a..b\"]",
            id="a JSON path that cannot be read",
        ),
        pytest.param(
            "budgets: {timezone: Mars/Olympus}",
            "f.yaml:1: budgets: found a mapping of timezone, expected an IANA time zone such as `Europe/Oslo` in `timezone`",
            id="a time zone that does not exist",
        ),
        pytest.param(
            "providers:\n  a: {preset: ollama}\n  b: {preset: vllm, model_prefix: a}",
            'f.yaml:3: providers.b.model_prefix: found "a", which is a provider, expected a prefix of its own',
            id="a prefix that is a provider's name",
        ),
        pytest.param(
            "providers:\n  a: {preset: ollama, model_prefix: x}\n  b: {preset: groq, api_keys: [{key: k, prefix: x}]}",
            'f.yaml:3: providers.b.api_keys[0].prefix: found "x", which another provider has, expected a prefix of its own',
            id="a prefix of two providers",
        ),
        pytest.param(
            "namespaces:\n  t:\n    providers: {a: {preset: ollama}}\n    models:\n      x: b/m\n    routes: [{use: y}]",
            'f.yaml:5: namespaces.t.models.x: found "b/m", expected a provider\'s name before the slash (providers: a)\n'
            'f.yaml:6: namespaces.t.routes[0].use: found "y", expected `provider/model` or a name of `models`',
            id="a tenant's alias to nowhere",
        ),
        pytest.param(
            "providers: [a]",
            "f.yaml:1: providers: found a list of 1, expected a mapping",
            id="a list for a mapping",
        ),
        pytest.param(
            "models: {x: 5}",
            "f.yaml:1: models.x: found 5, expected a mapping",
            id="a number for a model",
        ),
        pytest.param(
            "client_keys:\n  - {name: my laptop, key: k}",
            "f.yaml:2: client_keys[0].name: found a text (not shown), expected a name of letters, digits, `_`, `.` and `-`",
            id="a name with a space",
        ),
        pytest.param(
            "providers:\n  a: {preset: vertex-anthropic, project: p}",
            "f.yaml:2: providers.a: found no key, expected `credential: {type: google_service_account, file: FILE}`, or",
            id="a preset that wants another kind of credential says which",
        ),
        pytest.param(
            "providers:\n  a: {preset: github-copilot}",
            "f.yaml:2: providers.a: found no key, expected `credential: {type: github_copilot, token: env:NAME}` with",
            id="so does Copilot's",
        ),
        pytest.param(
            "providers:\n  a: {preset: openai, credential: {type: oauth, client_id: c, token_url: 'https://h/t'}}",
            "f.yaml:2: providers.a.credential: found a mapping of type, client_id, token_url, expected `refresh_token`, or",
            id="a login without anything to log in with",
        ),
        pytest.param("- a", "f.yaml: found a list of 1, expected a mapping of settings", id="a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    found = "\n".join(problems(text))
    assert found.startswith(message), found
    assert len(found.splitlines()) == len(message.splitlines()), found


def test_all_mistakes_are_told_at_once_whatever_their_kind() -> None:
    found = problems(
        """
listen: 0.0.0.0:80
timeouts: {connect_s: fast}
providers:
  good: {preset: ollama}
  bad: {preset: groq, api_key: env:UNSET, weight: -2}
  worse: {preset: nothing}
models:
  one: bad/model
  two: nowhere/model
  three: {candidates: [good/m], strategy: best}
routes:
  - {when: {sceen: image}, use: good/m}
  - {when: {}, use: five}
  - {when: {has_tools: true}, use: good/m}
"""
    )
    assert [line.partition(": found")[0] for line in found] == [
        "f.yaml:2: listen",
        "f.yaml:3: timeouts.connect_s",
        "f.yaml:6: providers.bad.api_key",
        "f.yaml:6: providers.bad.weight",
        "f.yaml:7: providers.worse.preset",
        "f.yaml:10: models.two",
        "f.yaml:11: models.three.strategy",
        "f.yaml:13: routes[0].when.sceen",
        "f.yaml:14: routes[1].use",
        "f.yaml:15: routes[2]",
    ]


def test_a_broken_provider_does_not_make_its_aliases_wrong() -> None:
    text = "providers:\n  a: {preset: groq, api_key: env:UNSET}\nmodels: {x: a/m}"
    assert "providers.a.api_key" in only(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("providers: {a: {preset: groq, api_key: 'PLANTED one'}, b: PLANTED}", id="text for a mapping"),
        pytest.param("providers: {a: {preset: groq, api_key: [PLANTED]}}", id="a key as a list"),
        pytest.param("providers: {a: {preset: groq, api_keys: {key: PLANTED, nmae: x}}}", id="beside a typo"),
        pytest.param("providers: {a: {protocol: openai_chat, base_url: 'https://u:PLANTED@h/v1?key=PLANTED'}}", id="in a URL"),
        pytest.param("providers: {a: sk-PLANTED}", id="a key in place of a provider"),
        pytest.param('admin: {key: "PLANTED\\u00e9"}', id="a key with an umlaut"),
        pytest.param("providers: {a: {preset: groq, api_key: x, proxy: 'ftp://u:PLANTED@h'}}", id="a proxy's password"),
        pytest.param("providers: {a: {preset: groq, api_key: x, headers: [PLANTED]}}", id="headers"),
        pytest.param('client_keys: [{name: a, key: "PLANTED\\nPLANTED"}]', id="a key with a newline"),
        pytest.param("providers: {a: {preset: groq, api_key: 'cmd:false PLANTED'}}", id="a command's argument"),
    ],
)  # fmt: skip
def test_no_error_shows_a_secret(text: str) -> None:
    text = text.replace("b: PLANTED", "b: sk-PLANTED")
    assert "PLANTED" not in "\n".join(problems(text))


# ---------------------------------------------------------------------------------------- layers


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "home/.config/llmgate").mkdir(parents=True)
    return tmp_path


def read(places: Path, path: Path | None = None, **options: object) -> object:
    return load(
        path,
        options=options.pop("options", None),  # type: ignore[arg-type]
        environ=options.pop("environ", {}),  # type: ignore[arg-type]
        cwd=places / "cwd",
        home=places / "home",
        system_file=places / "etc.yaml",
    )


def write(places: Path) -> None:
    (places / "etc.yaml").write_text(
        "listen: 127.0.0.1:1\ntimeouts: {connect_s: 1, idle_s: 1, total_s: 1}\n"
    )
    (places / "home/.config/llmgate/config.yaml").write_text("timeouts: {idle_s: 2, total_s: 2}\n")
    (places / "cwd/llmgate.yaml").write_text("timeouts: {total_s: 3}\n")


def test_no_file_at_all_is_a_gateway_without_providers(places: Path) -> None:
    config = read(places)
    assert config.providers == {}  # type: ignore[attr-defined]
    assert config.sources == ()  # type: ignore[attr-defined]


def test_the_nearer_file_wins_key_by_key(places: Path) -> None:
    write(places)
    config = read(places)
    assert config.listen_port == 1  # type: ignore[attr-defined]
    times = config.timeouts  # type: ignore[attr-defined]
    assert (times.connect_s, times.idle_s, times.total_s) == (1, 2, 3)


def test_a_named_file_is_the_only_one(places: Path) -> None:
    write(places)
    named = places / "named.yaml"
    named.write_text("listen: 127.0.0.1:9\n")
    assert read(places, named).timeouts.total_s is None  # type: ignore[attr-defined]
    environ = {"LLMGATE_CONFIG": str(named)}
    assert read(places, environ=environ).listen_port == 9  # type: ignore[attr-defined]


def test_a_named_file_that_is_missing_is_an_error(places: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: found No such file"):
        read(places, places / "gone.yaml")


def test_the_watched_files_are_the_read_ones(places: Path) -> None:
    write(places)
    named = places / "gone.yaml"
    assert config_files(named, environ={}) == (named,)
    found = config_files(
        environ={}, cwd=places / "cwd", home=places / "home", system_file=places / "etc.yaml"
    )
    assert [file.name for file in found] == ["llmgate.yaml", "config.yaml", "etc.yaml"]


def test_environment_wins_over_files_and_options_over_both(places: Path) -> None:
    write(places)
    environ = {
        "LLMGATE_COMPATIBILITY_MODE": "strict",
        "LLMGATE_TIMEOUTS__CONNECT_S": "7.5",
        "LLMGATE_TIMEOUTS__IDLE_S": "8",
        "LLMGATE_COOLDOWNS__ENABLED": "false",
        "LLMGATE_KEY": "not a setting",
        "LLMGATE_LISTEN": "",
    }
    config = read(
        places, environ=environ, options={"llmgate_timeouts__idle_s": "9", "listen": None}
    )
    assert config.compatibility_mode is Mode.STRICT  # type: ignore[attr-defined]
    assert config.timeouts.connect_s == 7.5  # type: ignore[attr-defined]
    assert config.timeouts.idle_s == 9  # type: ignore[attr-defined]
    assert config.cooldowns.enabled is False  # type: ignore[attr-defined]
    assert config.listen_port == 1  # type: ignore[attr-defined]


def test_the_environment_reaches_into_providers_and_lists(places: Path) -> None:
    (places / "cwd/llmgate.yaml").write_text("providers: {My-Groq: {preset: groq}}\n")
    environ = {
        "LLMGATE_PROVIDERS__MY_GROQ__API_KEY": "12345",
        "LLMGATE_CLIENT_KEYS": "[{name: a, key: k}]",
    }
    config = read(places, environ=environ)
    [key] = config.provider("My-Groq").keys  # type: ignore[attr-defined]
    assert key.secret is not None
    assert key.secret.get_secret_value() == "12345"
    assert config.client_for("k").name == "a"  # type: ignore[attr-defined]


def test_mistakes_name_their_layer(places: Path) -> None:
    (places / "cwd/llmgate.yaml").write_text("\nlimits: {queue_s: -1}\n")
    with pytest.raises(ConfigError) as caught:
        read(
            places,
            environ={"LLMGATE_TIMEOUTS__CONNECT_S": "soon"},
            options={"retry__max_attempts": "0"},
        )
    lines = str(caught.value).splitlines()
    assert any(
        line.startswith('--set llmgate_retry__max_attempts: retry.max_attempts: found "0"')
        for line in lines
    )
    assert any(
        line.startswith("environment LLMGATE_TIMEOUTS__CONNECT_S: timeouts.connect_s")
        for line in lines
    )
    assert any(
        line.startswith(f"{places / 'cwd/llmgate.yaml'}:2: limits.queue_s") for line in lines
    )


def test_problems_of_all_files_are_told_together(places: Path) -> None:
    write(places)
    (places / "etc.yaml").write_text("a: [")
    (places / "cwd/llmgate.yaml").write_text("b: 1\nb: 2")
    with pytest.raises(ConfigError) as caught:
        read(places)
    assert len(caught.value.problems) == 2


def test_secrets_can_be_left_unread(places: Path) -> None:
    config = loads(
        "providers: {a: {preset: groq, api_key: env:UNSET}}", environ={}, resolve_secrets=False
    )
    [key] = config.provider("a").keys
    assert key.secret is not None
    assert key.secret.origin == "env:UNSET"
