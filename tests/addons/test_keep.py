"""R13: cooldowns survive a restart, shortened by the time that passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.cooldown import Cooldowns
from addons.keep import FILE, KeepCooldowns
from addons.snapshot import ConfigHolder
from tests.addons.placing import Clock, world

ONE = 'providers: {a: {protocol: openai_chat, base_url: "http://127.0.0.1:1/v1", api_key: x}}\n'


@pytest.mark.parametrize(
    ("persist", "left"),
    [pytest.param("true", [45.0], id="kept"), pytest.param("false", [], id="switched off")],
)
def test_r13_a_rest_goes_on_after_a_restart(
    persist: str, left: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGATE_HOME", str(tmp_path / "state"))
    place = world(ONE + f"cooldowns: {{persist: {persist}}}")
    exchange = place.place("a/m")
    one = place.attempt(exchange)
    assert one is not None
    place.fail(exchange, one)
    configs = ConfigHolder(place.config)
    KeepCooldowns(configs, place.picker.cooldowns, Clock(5000)).done()
    again = Cooldowns(Clock(1))
    KeepCooldowns(configs, again, Clock(5015)).running()
    assert [rest["remaining_s"] for rest in again.status()] == left


def test_r13_a_damaged_file_is_told_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LLMGATE_HOME", str(tmp_path))
    (tmp_path / FILE).write_text("[1")
    KeepCooldowns(ConfigHolder(world(ONE).config), Cooldowns(Clock()), Clock()).running()
    assert "cannot be read" in caplog.text
