"""``edgefleet doctor influx``: whether a gateway's InfluxDB is there, and whether it may do there what it must.

Everything is asked with the gateway's own token, and nothing is written: an empty write is answered after the token and
the bucket were looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from gateway.settings import InfluxSettings, secret

Level = Literal["ok", "warning", "failed"]
LARGEST_CLOCK_DIFFERENCE_S: Final = 5.0
_AUTHORIZED: Final = {200, 204, 400}
"""400: the token and the bucket are good, the empty write is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Message
    body: Any


class _Server:
    def __init__(self, settings: InfluxSettings) -> None:
        self._url = settings.url.rstrip("/")
        self._token = secret(settings.token, settings.token_file) or ""
        self._timeout_s = settings.timeout_s

    def ask(self, path: str, *, data: bytes | None = None, **query: str) -> _Answer:
        """Return the answer to one request, whatever its status.

        :raises OSError: there is none
        """
        address = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        request = Request(address, data, {"Authorization": f"Token {self._token}"})  # noqa: S310  # http or https: the settings say so
        try:
            with urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310  # likewise
                return _Answer(answer.status, answer.headers, _json(answer.read()))
        except HTTPError as error:
            with error:
                return _Answer(error.code, error.headers, _json(error.read()))


def examine(settings: InfluxSettings, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield findings, the ones that others rest on first; none follow where the server does not answer."""
    server = _Server(settings)
    try:
        before_s = clock()
        ping = server.ask("/ping")
        now_s = (before_s + clock()) / 2
    except (URLError, OSError) as error:
        yield Finding(
            what="reach", level="failed", found=f"{settings.url}: {error}", remedy="Start it, or mend influx.url."
        )
        return
    version = ping.headers.get("X-Influxdb-Version") or "unknown version"
    yield Finding(what="reach", level="ok", found=f"{settings.url} answers ({version})")
    yield _clock(ping, now_s)
    for bucket in dict.fromkeys((settings.bucket, settings.alerts_bucket or settings.bucket)):
        yield _write(server, settings, bucket)
        yield _retention(server, bucket)
        yield _scope(server, bucket)


def _clock(ping: _Answer, now_s: float) -> Finding:
    date = ping.headers.get("Date")
    if date is None:
        return Finding(what="clock", level="warning", found="the server does not say its time")
    behind_s = parsedate_to_datetime(date).timestamp() + 0.5 - now_s  # it says whole seconds
    level: Level = "ok" if abs(behind_s) <= LARGEST_CLOCK_DIFFERENCE_S else "warning"
    remedy = (
        "" if level == "ok" else "Let NTP set both clocks: points of the future are not shown, old ones expire early."
    )
    return Finding(what="clock", level=level, found=f"the server is {behind_s:+.1f} s from this machine", remedy=remedy)


def _write(server: _Server, settings: InfluxSettings, bucket: str) -> Finding:
    status = server.ask("/api/v2/write", data=b"", bucket=bucket, org=settings.org, precision="ns").status
    remedies = {
        401: "The token is not known there: set influx.token_file to one that may write the bucket.",
        403: f"The token may not write: make one with write permission on {bucket}.",
        404: f"There is no bucket {bucket}, or the token does not see it: create it, or mend influx.bucket.",
    }
    if status in _AUTHORIZED:
        return Finding(what=f"bucket {bucket}", level="ok", found="the token may write it")
    remedy = remedies.get(status, "See the server's log.")
    return Finding(what=f"bucket {bucket}", level="failed", found=f"a write is answered {status}", remedy=remedy)


def _retention(server: _Server, bucket: str) -> Finding:
    what = f"retention of {bucket}"
    answer = server.ask("/api/v2/buckets", name=bucket)
    found = answer.body.get("buckets", []) if isinstance(answer.body, dict) else []
    if answer.status != 200 or not found:
        return Finding(what=what, level="ok", found="not shown to this token, as it should be for one that only writes")
    seconds = [rule["everySeconds"] for rule in found[0].get("retentionRules", [])]
    if not any(seconds):
        remedy = f"Give it one, or the disk fills: influx bucket update --name {bucket} --retention 90d."
        return Finding(what=what, level="warning", found="for ever", remedy=remedy)
    return Finding(what=what, level="ok", found=f"{min(filter(None, seconds)) / 86400:g} days")


def _scope(server: _Server, bucket: str) -> Finding:
    """Tell whether the token may do more than write: a gateway is the part of the house that stands outdoors."""
    what = f"token on {bucket}"
    if server.ask("/api/v2/authorizations").status == 200:
        remedy = "It is an all-access token: give the gateway one that may write its buckets and nothing else."
        return Finding(what=what, level="warning", found="may manage tokens", remedy=remedy)
    readable = server.ask("/query", db=bucket, q="SHOW MEASUREMENTS LIMIT 1").status == 200
    return Finding(what=what, level="ok", found="may write and read" if readable else "may write, not read")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
