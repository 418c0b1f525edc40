"""Whether a gateway's InfluxDB is there, and whether the gateway may do there what it must, and no more.

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
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from edgefleet.findings import Finding, ok
from gateway.settings import InfluxSettings, secret

LARGEST_CLOCK_DIFFERENCE_S: Final = 5.0
_AUTHORIZED: Final = {200, 204, 400}
"""400: the token and the bucket are good, the empty write is not."""


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


def influxdb_findings(settings: InfluxSettings, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield findings, the ones that others rest on first; none follow where the server does not answer."""
    try:
        yield from _answers(_Server(settings), settings, clock)
    except OSError as error:
        text = f"{settings.url} does not answer: {error}"
        yield Finding("influxdb", "critical", text, "Start it, or mend influx.url.")


def _answers(server: _Server, settings: InfluxSettings, clock: Callable[[], float]) -> Iterator[Finding]:
    before_s = clock()
    ping = server.ask("/ping")
    now_s = (before_s + clock()) / 2
    version = ping.headers.get("X-Influxdb-Version") or "unknown version"
    yield ok("influxdb", f"{settings.url} answers ({version})")
    yield _clock(ping, now_s)
    for bucket in dict.fromkeys((settings.bucket, settings.alerts_bucket or settings.bucket)):
        yield _write(server, settings, bucket)
        yield _retention(server, bucket)
        yield _scope(server, bucket)


def _clock(ping: _Answer, now_s: float) -> Finding:
    check, date = "influxdb clock", ping.headers.get("Date")
    if date is None:
        return Finding(check, "info", "the server does not say its time")
    ahead_s = parsedate_to_datetime(date).timestamp() + 0.5 - now_s  # it says whole seconds
    text = f"the server is {ahead_s:+.1f} s from this machine"
    if abs(ahead_s) <= LARGEST_CLOCK_DIFFERENCE_S:
        return ok(check, text)
    remedy = "Let NTP set both clocks: points of the future are not shown, old ones expire early."
    return Finding(check, "warning", text, remedy)


def _write(server: _Server, settings: InfluxSettings, bucket: str) -> Finding:
    check = f"influxdb bucket {bucket}"
    status = server.ask("/api/v2/write", data=b"", bucket=bucket, org=settings.org, precision="ns").status
    remedies = {
        401: "The token is not known there: set influx.token_file to one that may write the bucket.",
        403: f"The token may not write: make one with write permission on {bucket}.",
        404: f"There is no bucket {bucket}, or the token does not see it: create it, or mend influx.bucket.",
    }
    if status in _AUTHORIZED:
        return ok(check, "the token may write it")
    return Finding(check, "critical", f"a write is answered {status}", remedies.get(status, "See the server's log."))


def _retention(server: _Server, bucket: str) -> Finding:
    check = f"influxdb retention of {bucket}"
    answer = server.ask("/api/v2/buckets", name=bucket)
    found = answer.body.get("buckets", []) if isinstance(answer.body, dict) else []
    if answer.status != 200 or not found:
        return ok(check, "not shown to this token, as it should be for one that only writes")
    seconds = [rule["everySeconds"] for rule in found[0].get("retentionRules", [])]
    if not any(seconds):
        remedy = f"Give it one, or the disk fills: influx bucket update --name {bucket} --retention 90d."
        return Finding(check, "warning", "for ever", remedy)
    return ok(check, f"{min(filter(None, seconds)) / 86400:g} days")


def _scope(server: _Server, bucket: str) -> Finding:
    """Tell whether the token may do more than write: a gateway is the part of the house that stands outdoors."""
    check = f"influxdb token on {bucket}"
    if server.ask("/api/v2/authorizations").status == 200:
        remedy = "It is an all-access token: give the gateway one that may write its buckets and nothing else."
        return Finding(check, "warning", "may manage tokens", remedy)
    readable = server.ask("/query", db=bucket, q="SHOW MEASUREMENTS LIMIT 1").status == 200
    return ok(check, "may write and read" if readable else "may write, not read")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
