"""Who is signed in, and how often a password may be tried. In memory: a restart signs everybody out. Pure."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from console.passwords import Role

IDLE_S: Final = 8 * 3600.0
"""A session that nobody used for this long is over, seconds."""
LONGEST_S: Final = 7 * 86400.0
"""No session lasts longer, seconds."""
MOST_SESSIONS: Final = 1000
"""Beyond, the one that was used least lately goes."""
TRIES: Final = 5
"""Wrong passwords from one address until it must wait."""
TRIES_OF_ALL: Final = 50
"""The same for all addresses together."""
FORGOTTEN_S: Final = 300.0
"""Time after which a wrong password counts no more, seconds."""
MOST_ADDRESSES: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Session:
    """Somebody who is signed in."""

    token: str
    role: Role
    operator: str
    """Name as they gave it; stands beside their labels."""
    since_s: float
    used_s: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """Must come with every form."""

    @property
    def may_answer(self) -> bool:
        """Whether they may answer alerts."""
        return self.role == "operator"


class Sessions:
    """All sessions, least lately used first."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, role: Role, operator: str, now_s: float) -> Session:
        """Sign somebody in."""
        one = Session(token=secrets.token_urlsafe(32), role=role, operator=operator, since_s=now_s, used_s=now_s)
        self._sessions[one.token] = one
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return one

    def find(self, token: str, now_s: float, *, used: bool = True) -> Session | None:
        """Return a session that is not over; ``used`` puts its end off."""
        one = self._sessions.get(token)
        if one is None:
            return None
        if now_s - one.used_s > IDLE_S or now_s - one.since_s > LONGEST_S:
            del self._sessions[token]
            return None
        if used:
            one.used_s = now_s
            self._sessions.move_to_end(token)
        return one

    def close(self, token: str) -> None:
        """Sign somebody out."""
        self._sessions.pop(token, None)


class Tries:
    """Wrong passwords of late, by address."""

    def __init__(self) -> None:
        """Start with none."""
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long an address must wait before it may try again, seconds; 0 if it may."""
        own = _late(self._wrong.get(address, []), now_s)
        everybody = _late([at_s for times in self._wrong.values() for at_s in times], now_s)
        return max(_wait_s(own, TRIES, now_s), _wait_s(everybody, TRIES_OF_ALL, now_s))

    def wrong(self, address: str, now_s: float) -> None:
        """Note a wrong password."""
        self._wrong[address] = [*_late(self._wrong.get(address, []), now_s), now_s]
        self._wrong.move_to_end(address)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def right(self, address: str) -> None:
        """Forget the wrong ones of an address: a right one came."""
        self._wrong.pop(address, None)


def _late(times: list[float], now_s: float) -> list[float]:
    return sorted(at_s for at_s in times if now_s - at_s < FORGOTTEN_S)


def _wait_s(times: list[float], most: int, now_s: float) -> float:
    return times[-most] + FORGOTTEN_S - now_s if len(times) >= most else 0.0
