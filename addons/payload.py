"""The last changes to an upstream body: fields of betas that do not pass, the payload rules, then what the upstream
refuses of its own protocol. Pure.

A body that nothing changes keeps its very bytes. What takes a field away that the client sent is recorded.
"""

from __future__ import annotations

from addons import betas
from addons.exchange import Candidate, Exchange, Try
from config.payload import PayloadContext, PayloadRule, apply_rules
from translators import PROTOCOLS
from translators.base import Fitting
from translators.profile import ModelProfile
from translators.seal import Seal
from translators.wire import JsonObject, dumps


def finish_rendered(
    exchange: Exchange, attempt: Try, body: JsonObject, profile: ModelProfile
) -> bytes:
    """A rendered body after the payload rules, as bytes."""
    candidate = attempt.candidate
    changed = apply_rules(body, _rules(exchange, candidate), _context(exchange, candidate))
    if changed is not body or exchange.without_state:
        fitting = Fitting(profile=profile, asked=body, without_state=exchange.without_state)
        changed = PROTOCOLS[candidate.protocol].fit(changed, fitting, attempt.losses)
    return dumps(changed)


def finish_passed(
    exchange: Exchange, attempt: Try, profile: ModelProfile, seal: Seal | None = None
) -> bytes | None:
    """A passed body that must change in more than its model, as bytes; None = it need not."""
    body = changed_body(exchange, attempt, exchange.body, profile, seal)
    if body is exchange.body:
        return None
    if exchange.endpoint.model is None and body.get("model") == exchange.body.get("model"):
        body = {**body, "model": attempt.candidate.wire_model}
    return dumps(body)


def changed_body(
    exchange: Exchange, attempt: Try, asked: JsonObject, profile: ModelProfile, seal: Seal | None
) -> JsonObject:
    """What this upstream gets instead of a client's body; the very same object when nothing has to change."""
    body, candidate = asked, attempt.candidate
    dropped = dropped_betas(exchange, candidate)
    if dropped:
        body = betas.without_gated(body, dropped)
        for flag in dropped:
            attempt.losses.warn(betas.HEADER, f"{candidate.provider} does not take {flag}")
    rules = _rules(exchange, candidate)
    if rules:
        named = body
        if exchange.endpoint.model is None and body.get("model") != candidate.wire_model:
            named = {**body, "model": candidate.wire_model}
        changed = apply_rules(named, rules, _context(exchange, candidate))
        body = body if changed is named else changed
    fitting = Fitting(profile=profile, asked=asked, seal=seal, without_state=exchange.without_state)
    return PROTOCOLS[candidate.protocol].fit(body, fitting, attempt.losses)


def dropped_betas(exchange: Exchange, candidate: Candidate) -> tuple[str, ...]:
    """The client's beta flags that this upstream does not take."""
    value = exchange.headers.get(betas.HEADER)
    if not value or candidate.protocol != "anthropic" or candidate.endpoint.betas is None:
        return ()
    return betas.split(value, candidate.endpoint.passes_beta)[1]


def passing_betas(headers: list[tuple[str, str]], candidate: Candidate) -> list[tuple[str, str]]:
    """Request headers with only the beta flags that the upstream takes; each flag once."""
    flags = [value for name, value in headers if name == betas.HEADER]
    if not flags:
        return headers
    joined = ",".join(dict.fromkeys(flag.strip() for flag in ",".join(flags).split(",")))
    kept, _dropped = betas.split(joined, candidate.endpoint.passes_beta)
    others = [(name, value) for name, value in headers if name != betas.HEADER]
    return [*others, (betas.HEADER, kept)] if kept else others


def _rules(exchange: Exchange, candidate: Candidate) -> tuple[PayloadRule, ...]:
    return exchange.config.payload_rules(
        candidate.provider, candidate.wire_model, candidate.endpoint.protocol
    )


def _context(exchange: Exchange, candidate: Candidate) -> PayloadContext:
    return PayloadContext(
        protocol=candidate.protocol,
        provider=candidate.provider,
        model=candidate.wire_model,
        client_protocol=exchange.endpoint.protocol,
        headers=exchange.headers,
    )
