"""R13, R20: cooldowns, budgets and bans survive a restart, shortened by the time that passed."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from addons.admin import Admin
from addons.assemble import kept
from addons.budgets import Ledger
from addons.cooldown import Cooldowns
from addons.exchange import Exchanges
from addons.gate import Places
from addons.keep import KeepState
from addons.picker import Picker
from addons.snapshot import ConfigHolder
from config.loader import loads
from tests.addons.placing import Clock

REST = {
    "scope": ["a", "k", "m"], "left_s": 60.0, "failures": 1, "reason": "", "kind": "rate_limited",
    "provider": "a", "key": "k", "model": "m",
}  # fmt: skip
SPENT = {"who": "laptop", "day": "1970-01-01", "spent_usd": "1.5"}
BAN = {"address": "10.0.0.1", "failures": 5, "since_s": 0.0}


class World:
    """What is kept, in a process of its own."""

    def __init__(self, config: str, now: float, unix: float) -> None:
        clock = Clock(now)
        self.cooldowns, self.ledger = Cooldowns(clock), Ledger(clock, Clock(unix))
        self.admin = Admin(Exchanges(), Picker(clock=clock), self.ledger, Places(), clock)
        self.parts = kept(self.cooldowns, self.ledger, self.admin)
        self.keep = KeepState(ConfigHolder(loads(config)), self.parts, Clock(unix))

    @property
    def state(self) -> list[list[dict[str, Any]]]:
        return [part.dump() for part in self.parts]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(
            "{}", [[{**REST, "left_s": 45.0}], [SPENT], [{**BAN, "since_s": 15.0}]], id="kept"
        ),
        pytest.param(
            "{cooldowns: {persist: false}, budgets: {persist: false}, admin: {enabled: false}}",
            [[], [], []],
            id="switched off",
        ),
    ],
)
def test_r13_r20_what_rests_was_spent_or_is_banned_goes_on_after_a_restart(
    tmp_path: Path, config: str, expected: list[list[dict[str, Any]]]
) -> None:
    before = World(config, now=5000, unix=100)
    before.cooldowns.restore([REST], 0, 1800)
    before.ledger.restore([SPENT])
    before.admin.restore_bans([BAN], 0)
    before.keep.done()
    for file in (tmp_path / "state").glob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    after = World(config, now=70, unix=115)
    _start(after)
    assert after.state == expected


def _start(world: World) -> None:
    async def start() -> None:
        world.keep.running()
        world.keep.done()

    asyncio.run(start())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1", id="no JSON"),
        pytest.param("[]", id="no object"),
        pytest.param('{"at": null, "cooldowns": []}', id="no time"),
        pytest.param('{"at": 1}', id="nothing in it"),
    ],
)
def test_r13_a_damaged_file_is_told_and_left(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cooldowns.json").write_text(text)
    world = World("{}", 0, 0)
    _start(world)
    assert "the cooldowns of before cannot be read" in caplog.text
    assert world.state == [[], [], []]


def test_damaged_entries_are_left_out(tmp_path: Path) -> None:
    world = World("{}", 0, 0)
    world.ledger.restore(
        [{"who": "x"}, {**SPENT, "spent_usd": "NaN"}, {**SPENT, "day": "?"}, SPENT]
    )
    world.admin.restore_bans([{"address": "x"}, BAN], 0)
    assert world.ledger.dump() == [SPENT]
    assert len(world.admin.dump_bans()) == 1


def test_files_are_written_while_running_and_only_when_something_changed(tmp_path: Path) -> None:
    world = World("{}", 0, 50)
    file = tmp_path / "state" / "spent.json"
    world.keep.done()
    assert not file.exists()
    world.ledger.restore([SPENT])
    world.keep.done()
    assert json.loads(file.read_text()) == {"at": 50.0, "spent": [SPENT]}
    file.unlink()
    world.keep.done()
    assert not file.exists()
