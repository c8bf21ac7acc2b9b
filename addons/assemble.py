"""Put the addons together: who knows whom, and in which order they see a request."""

from __future__ import annotations

import time

from addons.admin import Admin
from addons.admission import Admission
from addons.attempts import AttemptRecorder
from addons.budgets import Ledger
from addons.collector import Collector
from addons.cooldown import Cooldowns
from addons.credentials import Credentials
from addons.dispatch import Dispatch
from addons.drain import Drain
from addons.engine import Engine
from addons.exchange import Exchanges, now_s
from addons.failover import Failover
from addons.gate import Gate, Places
from addons.joinchunks import JoinChunks
from addons.joinwrites import JoinWrites
from addons.keep import KeepState, Part
from addons.local import LocalPages
from addons.lookups import Lookups
from addons.pace import Pace
from addons.peers import Peers
from addons.picker import Picker
from addons.pool import Pool
from addons.reader import Reader
from addons.reload import ConfigWatcher
from addons.responses_socket import ResponsesSockets
from addons.router import Router
from addons.settle import Settler
from addons.shortcut import Shortcut
from addons.side import Side
from addons.snapshot import ConfigHolder
from addons.translate import Translate
from addons.trim import Trim
from addons.trust import Trust
from addons.typechecks import TypeChecks
from addons.userhooks import UserHooks
from config.models import Config
from translators.memory import ReasoningMemory


def assemble() -> list[object]:
    """The addons of one gateway. Order matters: a request passes them from first to last."""
    configs = ConfigHolder(Config())
    exchanges = Exchanges()
    translate = Translate(ReasoningMemory())
    picker = Picker()
    ledger, places, settler = Ledger(now_s, time.time), Places(), Settler(configs)
    gate = Gate(exchanges, ledger, places, now_s)
    admin = Admin(exchanges, picker, ledger, places, now_s)
    settler.watchers.append(gate.settled)
    dispatch = Dispatch(lambda args: engine.note_failed_hook(args))
    side = Side(exchanges, configs, translate)
    hooks = UserHooks(exchanges, dispatch, translate, side)
    settler.sinks.append(hooks.record)
    trim = Trim()
    settler.watchers.append(trim.settled)
    failover = Failover(exchanges, translate, Credentials(), picker, settler, hooks)
    engine = Engine(failover)
    engine.begin_hook = dispatch.begin
    drain = Drain(configs, places, engine.end_answers)
    settler.watchers.append(drain.settled)
    return [
        drain,
        dispatch,
        ConfigWatcher(configs, translate),
        Peers(configs),
        KeepState(configs, kept(picker.cooldowns, ledger, admin), time.time),
        engine,
        JoinWrites(),
        TypeChecks(),
        Lookups(),
        Collector(),
        JoinChunks(engine),
        Shortcut(engine),
        Pool(engine),
        Trust(),
        trim,
        Admission(exchanges, configs),
        admin,
        LocalPages(exchanges, configs, picker),
        ResponsesSockets(exchanges, engine),
        Reader(exchanges),
        Pace(exchanges),
        gate,
        hooks,
        Router(exchanges, translate, picker),
        side,
        failover,
        # After Failover, which knows what an attempt is about, and before users' scripts.
        AttemptRecorder(),
    ]


def kept(cooldowns: Cooldowns, ledger: Ledger, admin: Admin) -> tuple[Part, ...]:
    """What outlives the process."""
    return (
        Part(
            name="cooldowns",
            wanted=lambda config: config.cooldowns.persist,
            dump=cooldowns.dump,
            restore=lambda saved, passed_s, config: cooldowns.restore(
                saved, passed_s, config.cooldowns.cap_s
            ),
        ),
        Part(
            name="spent",
            wanted=lambda config: config.budgets.persist,
            dump=ledger.dump,
            restore=lambda saved, _passed_s, _config: ledger.restore(saved),
        ),
        Part(
            name="bans",
            wanted=lambda config: config.admin.enabled,
            dump=admin.dump_bans,
            restore=lambda saved, passed_s, _config: admin.restore_bans(saved, passed_s),
        ),
    )
