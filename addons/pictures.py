"""Pictures for a model that reads text only: a notice stands in their place, or the request is refused. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from addons.exchange import Exchange
from translators import ir
from translators.errors import GatewayError
from translators.losses import Loss, Losses
from translators.profile import ModelProfile


def must_strip(exchange: Exchange, profile: ModelProfile, hub: Callable[[], ir.Request]) -> bool:
    """Whether a body that would pass holds pictures that its model cannot have.

    Without the word in the bytes there is none. What the hub cannot read passes as it is.
    """
    if profile.image_types or b"image" not in exchange.raw:
        return False
    try:
        return any(_has_picture(part) for part in _parts(hub()))
    except GatewayError:
        return False


def without_pictures(request: ir.Request, notice: str, losses: Losses) -> ir.Request:
    """The request with the notice in place of every picture, in tool results too; "" = such a request is refused."""
    if not any(_has_picture(part) for part in _parts(request)):
        return request
    messages = tuple(
        replace(message, parts=tuple(_part(part, notice, losses) for part in message.parts))
        for message in request.messages
    )
    return replace(request, messages=messages)


def _parts(request: ir.Request) -> list[ir.Part]:
    return [part for message in request.messages for part in message.parts]


def _has_picture(part: ir.Part) -> bool:
    inside = part.content if isinstance(part, ir.ToolResult) else ()
    return isinstance(part, ir.Image) or any(isinstance(one, ir.Image) for one in inside)


def _part(part: ir.Part, notice: str, losses: Losses) -> ir.Part:
    match part:
        case ir.Image():
            return _notice(part, notice, losses)
        case ir.ToolResult(content=content) if any(isinstance(one, ir.Image) for one in content):
            shown = tuple(
                _notice(one, notice, losses) if isinstance(one, ir.Image) else one
                for one in content
            )
            return replace(part, content=shown)
        case _:
            return part


def _notice(image: ir.Image, notice: str, losses: Losses) -> ir.Text:
    reason = "the model takes no images"
    if not notice:
        raise losses.refusal(image.path, reason)
    losses.give_up(Loss.MEANING, image.path, reason)
    return ir.Text(text=notice, cache=image.cache, path=image.path)
