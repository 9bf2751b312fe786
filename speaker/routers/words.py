"""What do the words of all routers have in common?"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from speaker.config import Router, Settings

PATHS: Final = 32
"""Equal paths that the router uses at once; more than EdgeOS takes is refused there."""


class CannotSay(Exception):
    """A setting that this router has no words for; the text is for the user."""


def ours(settings: Settings, router: Router) -> bool:
    """Whether the router is in our AS."""
    return router.asn == settings.asn


def families(settings: Settings) -> list[int]:
    """4, 6 or both: what nodes announce."""
    if settings.guard.prefixes:
        return sorted({prefix.version for prefix in settings.guard.prefixes})
    return sorted({address.version for address in settings.listen.addresses})


def password(router: Router) -> str | None:
    """What stands for it: it is never printed."""
    return f"<what is in {router.password_file.path}>" if router.password_file else None


def refuse_port(settings: Settings, router: Router, whose: str) -> None:
    """Raises CannotSay where the router is to dial, and can dial port 179 alone."""
    if router.connect == "passive" and settings.listen.port != 179:
        raise CannotSay(
            f"{whose} has no words to dial another port than 179, and we listen on {settings.listen.port}: set connect"
            f" of router {router.name} to both or active"
        )


def refuse_ttl(router: Router, whose: str) -> None:
    """Raises CannotSay where ttl_security is set."""
    if router.ttl_security:
        raise CannotSay(f"{whose} has no words for ttl_security here: take it away from router {router.name}")


def address_of(text: str) -> str | None:
    """An address as Python's ipaddress writes it; None where it is none."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None
