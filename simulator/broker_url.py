"""Where the broker is, as users write it: ``mqtt://[USER:PASSWORD@]HOST[:PORT]`` or ``mqtts://`` for TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from simulator.errors import RefusedError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Address of a broker, and who we are there."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take an address apart.

        :raises RefusedError: it is not one
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RefusedError(f"broker address {url!r}", [str(error)]) from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise RefusedError(f"broker address {url!r}", ["Write mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS."])
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
