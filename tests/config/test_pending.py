"""Settings without effect are told, and what is told to have none has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.loader import loads
from config.models import Config
from config.pending import PENDING, without_effect

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{}", [], id="nothing given"),
        pytest.param("retry: {max_attempts: 2}", [], id="another key of the section"),
        pytest.param("retry: {peek_bytes: 2}", ["retry.peek_bytes"], id="one key"),
        pytest.param("privacy: {store_bodies: true}", ["privacy"], id="a whole section"),
        pytest.param(
            "tls: {cert_file: c.pem}\nlogging: {level: debug, file: x.log}",
            ["tls", "logging.file"],
            id="several",
        ),
    ],
)
def test_what_does_nothing_is_told(text: str, expected: list[str]) -> None:
    assert without_effect(loads(text)) == expected


@pytest.mark.parametrize("path", PENDING)
def test_what_is_told_to_do_nothing_is_read_nowhere(path: str) -> None:
    section, _, key = path.partition(".")
    assert section in Config.model_fields
    reads = re.compile(rf"\bconfig\.{section}\b" + (rf"\.{key}\b" if key else ""))
    source = (ROOT / "addons").glob("*.py")
    assert not [file.name for file in source if reads.search(file.read_text())]
