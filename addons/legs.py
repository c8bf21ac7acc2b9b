"""One client request that takes several upstream calls that go well: which call is next, and when it is enough.

A leg is a call whose answer was good but is not all of it: it paused and wants to be resumed, or it is one of several
answers that the client wants. What the legs brought is kept in the hub and becomes one answer (translators/legs.py);
nothing rests because of them, and they are no failures. Where bytes pass untranslated nothing of this happens: the
client hears of a pause itself.

An answer that was begun goes on at the very candidate that began it. If that fails for good, it is begun again
elsewhere, unless the client has seen some of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import ref

from addons.exchange import Candidate, Exchange, Try, now_s
from translators import ir
from translators.base import Reading, StreamDecoder
from translators.legs import LegDecoder, joined, side_by_side, total
from translators.losses import Losses

if TYPE_CHECKING:
    from addons.relay import TranslatingRelay

_PATH = "response.finish_reason"


@dataclass(slots=True, kw_only=True, eq=False)
class Legs:
    """What earlier calls of an exchange brought."""

    candidate: Candidate
    """Who was asked last."""
    due: bool = False
    """The next call is another leg, at the same candidate."""
    resumes: tuple[ir.Resume, ...] = ()
    begun: ir.Response | None = None
    """The answer at hand as far as it has come."""
    answers: list[ir.Response] = field(default_factory=list)
    """Whole answers, of several that are wanted."""
    wanted: int = 1
    losses: list[Losses] = field(default_factory=list)
    """What the calls behind `begun` and `answers` gave up."""
    decoder: LegDecoder | None = None
    """Of a stream: the leg that goes on."""
    relay: TranslatingRelay | None = None
    """Of a stream: it has sent something of a leg that paused."""

    def asked(self, request: ir.Request) -> ir.Request:
        """What this call is to ask."""
        left = self.wanted - len(self.answers)
        candidates = left if self.wanted > 1 else request.candidates
        return replace(request, candidates=candidates, resume=self.resumes)

    def restart(self, candidate: Candidate) -> None:
        """Somebody else is asked: an answer that was begun begins again, whole ones stay."""
        self.candidate = candidate
        self.resumes, self.begun = (), None


def next_leg(exchange: Exchange) -> Candidate | None:
    """Whom the next leg goes to; None = no leg is due."""
    legs = exchange.legs
    if legs is None or not legs.due:
        return None
    legs.due = False
    return legs.candidate


def streaming(exchange: Exchange) -> TranslatingRelay | None:
    """The relay of a stream whose client waits for its next leg."""
    return exchange.legs.relay if exchange.legs is not None else None


def going_on(exchange: Exchange, candidate: Candidate) -> bool:
    """Whether this candidate may be asked now; another one than before begins anew, which a stream cannot."""
    legs = exchange.legs
    if legs is not None and candidate is not legs.candidate:
        if legs.relay is not None:
            return False
        legs.restart(candidate)
    return True


def settled_reading(exchange: Exchange, one: Try, reading: Reading) -> Reading:
    """The reading of an answer that will not be asked for once more, if it is that."""
    if not reading.once_more:
        return reading
    failed = [each for each in exchange.tries if each.error is not None]
    spent = len(failed) + 1 >= exchange.config.retry.max_attempts
    if spent or any(given_up(each) and each.candidate is one.candidate for each in failed):
        return replace(reading, once_more=False)
    return reading


def given_up(one: Try) -> bool:
    """Whether the model, not the provider, failed at this try."""
    return one.error is not None and one.error.once_more


# -- answers


def take(exchange: Exchange, one: Try, response: ir.Response) -> ir.Response | None:
    """The whole answer with what this call brought; None = another call is due."""
    reading = one.reading
    if reading is None:
        return response
    legs = exchange.legs
    if response.resume is None and legs is None and reading.calls == 1:
        return response
    if legs is None:
        legs = exchange.legs = Legs(candidate=one.candidate, wanted=reading.calls)
    response = response if legs.begun is None else joined(legs.begun, response)
    if response.resume is not None and _resumes(
        exchange, legs, response.resume, one, response.finish_reason, whole=True
    ):
        legs.begun = response
        _await_another(legs, one)
        return None
    legs.resumes, legs.begun = (), None
    legs.answers.append(response)
    if reading.calls > 1:
        _await_another(legs, one)
        return None
    for losses in legs.losses:
        one.losses.extend(losses)
    return legs.answers[0] if len(legs.answers) == 1 else side_by_side(legs.answers)


def _await_another(legs: Legs, one: Try) -> None:
    legs.due = True
    legs.losses.append(one.losses)


def _resumes(
    exchange: Exchange,
    legs: Legs,
    resume: ir.Resume,
    one: Try,
    reason: ir.FinishReason,
    *,
    whole: bool,
) -> bool:
    """Whether a pause is gone on from: so often, and as long as the whole answer may take."""
    if one.candidate.protocol == exchange.translator.name and reason is ir.FinishReason.PAUSE:
        return False  # its protocol has a word for it, and the client resumes by itself
    if whole and one.stream:
        why = "the provider did not stream an answer that paused"
    elif len(legs.resumes) >= resume.times:
        why = f"the answer paused {resume.times + 1} times"
    elif (left_s := time_left_s(exchange)) is not None and left_s <= 0:
        why = "the answer paused when its time was over"
    else:
        legs.resumes += (resume,)
        return True
    one.losses.warn(_PATH, f"{why}: it ends here, unfinished")
    return False


def time_left_s(exchange: Exchange) -> float | None:
    """What all calls of an exchange may still take together; None = as long as they like."""
    timeouts = exchange.config.timeouts
    limit = timeouts.stream_s if exchange.stream else timeouts.total_s
    return None if limit is None else limit - (now_s() - exchange.started_s)


# -- streams


def leg_decoder(
    exchange: Exchange, one: Try, decoder: StreamDecoder, on_pause: Callable[[], None] | None
) -> StreamDecoder:
    """The decoder of a stream that may pause; `on_pause` tells the engine that another leg follows.

    It knows its exchange weakly: the exchange's relay holds it, and a cycle would keep both until somebody collects it.
    """
    if on_pause is None or one.reading is None or not one.reading.resumable:
        return decoder
    before = exchange.legs.decoder if exchange.legs is not None else None

    of, at = ref(exchange), ref(one)

    def pauses(resume: ir.Resume, reason: ir.FinishReason) -> bool:
        exchange, one = of(), at()
        if exchange is None or one is None:
            return False
        legs = exchange.legs or Legs(candidate=one.candidate)
        if not _resumes(exchange, legs, resume, one, reason, whole=False):
            return False
        exchange.legs = legs
        legs.due, legs.decoder = True, made()
        legs.relay = one.relay  # type: ignore[assignment]
        on_pause()
        return True

    leg = LegDecoder(decoder, pauses, before)
    made = ref(leg)
    return leg


# -- usage


def usage_of(exchange: Exchange) -> ir.Usage:
    """What all calls took, also those whose answers were given up."""
    tries = exchange.tries
    return tries[0].usage if len(tries) == 1 else total(*(one.usage for one in tries))
