"""Where the broker is, as users write it: ``mqtt://[USER:PASSWORD@]HOST[:PORT][?OPTION=FILE&…]``, ``mqtts://`` for TLS.

Options, all of them files: ``passwords_file`` (a line ``USER:PASSWORD`` for each device, whose user name is
``SITE/DOMAIN/DEVICE``), ``ca_file``, ``certificate_file``, ``key_file``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from simulator.errors import RefusedError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_FILES: Final = ("passwords_file", "ca_file", "certificate_file", "key_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Address of a broker, and who we are there."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    passwords_file: Path | None = None
    """User name and password of each device, where they differ."""
    ca_file: Path | None = None
    """Authorities that may have signed the broker's certificate; default: the system's."""
    certificate_file: Path | None = None
    """Our own certificate, where the broker asks for one."""
    key_file: Path | None = None
    """Key of our own certificate."""

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
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = [f"{name} is not an option: use {', '.join(_FILES)}." for name in options if name not in _FILES]
        if unknown:
            raise RefusedError(f"broker address {url!r}", unknown)
        return cls(
            **{name: Path(file) for name, file in options.items()},
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
