"""Secrets: where they are read, what is taken off, and that none is ever shown."""

import sys
from pathlib import Path

import pytest

from config import secrets
from config.secrets import Secret, SecretError, SecretSources, resolve, split_command


@pytest.mark.parametrize(
    ("text", "value", "origin"),
    [
        pytest.param("abc", "abc", "literal", id="a literal"),
        pytest.param("  abc\n", "abc", "literal", id="white space around a paste goes"),
        pytest.param(
            "Bearer abc", "abc", "literal", id="AUTH-05: the prefix of a pasted header goes"
        ),
        pytest.param("bearer  Bearer abc", "abc", "literal", id="AUTH-05: a doubled prefix goes"),
        pytest.param("env:KEY", "from-env", "env:KEY", id="an environment variable"),
        pytest.param("env: KEY ", "from-env", "env:KEY", id="spaces around the name"),
        pytest.param("cmd:echo 'a b'", "a b", "cmd:echo …", id="a command, arguments not shown"),
        pytest.param("sk-env:x", "sk-env:x", "literal", id="a literal that only contains env:"),
    ],
)
def test_c1_a_secret_is_read(text: str, value: str, origin: str) -> None:
    secret = resolve(text, SecretSources(environ={"KEY": "from-env\n"}))
    assert secret.get_secret_value() == value
    assert secret.origin == origin


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "is empty", id="nothing"),
        pytest.param(" \n ", "is empty", id="only white space"),
        pytest.param("Bearer ", "is empty", id="only the prefix"),
        pytest.param("abc\ndef", "line break", id="a newline inside"),
        pytest.param("abc\rdef", "line break", id="a carriage return inside"),
        pytest.param("abc\x00", "cannot stand in an HTTP header", id="a control character"),
        pytest.param("“abc”", "cannot stand in an HTTP header", id="typographic quotes"),
        pytest.param(
            "env:MISSING", "env:MISSING: this environment variable is not set", id="unset"
        ),
        pytest.param("env:", "names nothing", id="no name"),
        pytest.param("env:EMPTY", "env:EMPTY: is empty", id="an empty variable"),
        pytest.param("file:/nonexistent/key", "cannot be read", id="no such file"),
        pytest.param("cmd:/nonexistent/program", "cannot be run", id="no such program"),
        pytest.param("cmd:false", "exit code 1", id="a command that fails"),
        pytest.param("cmd:true", "is empty", id="a command that says nothing"),
        pytest.param("cmd:echo 'x", "not a command line", id="an open quote"),
        pytest.param("cmd:pass show x | head -1", "`|` needs a shell", id="a pipe"),
        pytest.param("cmd:echo x && rm y", "`&&` needs a shell", id="two commands"),
        pytest.param("cmd:echo x > y", "`>` needs a shell", id="a redirection"),
    ],
)
def test_an_unusable_secret_says_why(text: str, reason: str) -> None:
    with pytest.raises(SecretError) as caught:
        resolve(text, SecretSources(environ={"EMPTY": ""}))
    assert reason in str(caught.value)


def test_a_file_is_read_and_trimmed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("Bearer abc\n")
    assert resolve(f"file:{file}").get_secret_value() == "abc"


def test_a_file_with_several_lines_is_refused_as_a_key_and_taken_as_a_document(
    tmp_path: Path,
) -> None:
    file = tmp_path / "key.pem"
    file.write_text("one\ntwo\n")
    with pytest.raises(SecretError, match="line break"):
        resolve(f"file:{file}")
    assert resolve(f"file:{file}", lines=True).get_secret_value() == "one\ntwo"


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"a" * (secrets.OUTPUT_LIMIT_BYTES + 1))
    with pytest.raises(SecretError, match="larger than"):
        resolve(f"file:{file}")


def test_a_command_that_writes_without_end_is_stopped() -> None:
    with pytest.raises(SecretError, match="wrote more than"):
        resolve(f"cmd:{sys.executable} -c 'while True: print(\"x\" * 9000)'")


def test_a_command_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_LIMIT_S", 0.05)
    with pytest.raises(SecretError, match="did not end"):
        resolve("cmd:sleep 600")


def test_a_child_that_keeps_the_pipe_open_does_not_hold_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "COMMAND_LIMIT_S", 0.2)
    with pytest.raises(SecretError, match="did not end"):
        resolve("cmd:sh -c 'echo x; sleep 600 & exit 0'")


def test_quotes_work_as_in_a_shell_and_variables_do_not() -> None:
    assert split_command("op read 'a | b' \"c d\" $HOME `x` *") == [
        "op", "read", "a | b", "c d", "$HOME", "`x`", "*",
    ]  # fmt: skip


def test_unread_references_are_still_checked_for_form() -> None:
    sources = SecretSources(environ={}, resolve=False)
    assert resolve("env:MISSING", sources).get_secret_value() == secrets.UNRESOLVED
    with pytest.raises(SecretError):
        resolve("", sources)


def test_the_value_is_in_no_representation() -> None:
    secret = Secret("planted-secret", "env:X")
    assert "planted" not in f"{secret} {secret!r}"
    assert len(secret.fingerprint) == 8
    assert secret.digest != Secret("other").digest
