"""What reading one client request needs on its way: the envelope's key, and a list of what only this protocol says."""

from __future__ import annotations

from dataclasses import dataclass, field

from translators import ir
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.losses import Loss
from translators.seal import Seal


@dataclass(slots=True)
class Intake:
    """Collects `Unshared` fields while a request is read."""

    seal: Seal | None
    unshared: list[ir.Unshared] = field(default_factory=list)

    def unsaid(self, path: str, loss: Loss, reason: str | None = None) -> None:
        """Remember a field that the hub has no word for."""
        if reason is None:
            self.unshared.append(ir.Unshared(path=path, loss=loss))
        else:
            self.unshared.append(ir.Unshared(path=path, loss=loss, reason=reason))

    def unknown(self, fields: Fields) -> None:
        """Remember what nobody asked for in an object that has been read."""
        for key in fields.unread():
            self.unsaid(
                fields.at(key), Loss.UNKNOWN, "is not a field of this protocol that is known here"
            )

    def cache_mark(self, fields: Fields) -> ir.CacheMark | None:
        """The `cache_control` of an object."""
        control = fields.any("cache_control")
        if control is None:
            return None
        if not isinstance(control, dict):
            raise invalid(fields.at("cache_control"), "an object", control)
        ttl = control.get("ttl")
        if ttl is not None and not isinstance(ttl, str):
            raise invalid(f"{fields.at('cache_control')}.ttl", "a string", ttl)
        return ir.CacheMark(ttl=ttl)


def required(path: str) -> GatewayError:
    """The error for a missing field, in the words that clients of this protocol know."""
    return GatewayError(ErrorKind.INVALID_REQUEST, f"{path}: Field required", path=path)
