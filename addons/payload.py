"""The last changes to an upstream body: fields of betas that do not pass, then the payload rules. Pure.

A body that nothing changes keeps its very bytes. What takes a field away that the client sent is recorded.
"""

from __future__ import annotations

from addons import betas
from addons.exchange import Candidate, Exchange
from config.payload import PayloadContext, PayloadRule, apply_rules
from translators.losses import Losses
from translators.wire import JsonObject, dumps


def finish_rendered(exchange: Exchange, candidate: Candidate, body: JsonObject) -> bytes:
    """A rendered body after the payload rules, as bytes."""
    return dumps(apply_rules(body, _rules(exchange, candidate), _context(exchange, candidate)))


def finish_passed(exchange: Exchange, candidate: Candidate, losses: Losses) -> bytes | None:
    """A passed body that must change in more than its model, as bytes; None = it need not."""
    body = exchange.body
    dropped = dropped_betas(exchange, candidate)
    if dropped:
        body = betas.without_gated(body, dropped)
        for flag in dropped:
            losses.warn(betas.HEADER, f"{candidate.provider} does not take {flag}")
    rules = _rules(exchange, candidate)
    if rules:
        named = body
        if exchange.endpoint.model is None and body.get("model") != candidate.wire_model:
            named = {**body, "model": candidate.wire_model}
        changed = apply_rules(named, rules, _context(exchange, candidate))
        if changed is not named:
            return dumps(changed)
    if body is exchange.body:
        return None
    return dumps({**body, "model": candidate.wire_model})


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
