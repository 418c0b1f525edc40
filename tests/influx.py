"""InfluxDB for tests: a server that plays outcomes, and a real InfluxDB 1.x behind a ``/api/v2/write`` shim."""

from __future__ import annotations

import asyncio
import gzip
import io
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from tests.brokers import free_port

INFLUXD = shutil.which("influxd", path="/usr/bin:/usr/local/bin:/usr/sbin") or shutil.which("influxd")
needs_influxd = pytest.mark.skipif(INFLUXD is None, reason="needs the influxd command (Debian package influxdb)")
START_TIMEOUT_S = 20.0

Outcome = Callable[[web.Request], web.Response]


class PlayedInflux:
    """Answers ``/api/v2/write`` as told: first what is in ``outcomes``, one by one, then 204.

    A line that contains one of ``poison`` has its whole request answered with 400, as InfluxDB does.
    """

    def __init__(self, *, poison: tuple[str, ...] = (), poison_status: int = 400) -> None:
        """Start with nothing to play."""
        self.outcomes: deque[str | web.Response] = deque()
        """``reset``, ``half``, ``hang``, or an answer."""
        self.lines: list[str] = []
        """Lines of the requests that were answered with 204, in order."""
        self.requests: list[web.Request] = []
        self.url = ""
        self._poison = poison
        self._poison_status = poison_status
        self._released = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**26)
        application.router.add_post("/api/v2/write", self._write)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()

    async def _write(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()  # aiohttp undoes gzip
        outcome = self.outcomes.popleft() if self.outcomes else None
        if isinstance(outcome, web.Response):
            return outcome
        if outcome is not None:
            return await self._break(request, outcome)
        lines = body.decode().split("\n")
        for line in lines:
            if any(word in line for word in self._poison):
                answer = {"code": "invalid", "message": f"unable to parse '{line}': bad"}
                return web.json_response(answer, status=self._poison_status)
        self.lines += lines
        return web.Response(status=204)

    async def _break(self, request: web.Request, outcome: str) -> web.StreamResponse:
        if outcome == "hang":
            await self._released.wait()
            return web.Response(status=204)
        assert request.transport is not None
        if outcome == "half":
            request.transport.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nonly half of")
        else:
            assert outcome == "reset"
        request.transport.abort() if outcome == "reset" else request.transport.close()
        return web.Response(status=204)


class RealInflux:
    """One ``influxd`` 1.x with a folder of its own, and a shim that lets it take ``/api/v2/write``."""

    def __init__(self, folder: Path, database: str = "edgefleet") -> None:
        """Lay down the configuration."""
        self.database = database
        self.url = ""
        """Where a client of 2.x writes."""
        self._own = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "influxdb.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
            f'[meta]\n  dir = "{folder}/meta"\n'
            f'[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n'
            f'[http]\n  bind-address = "{self._own.removeprefix("http://")}"\n'
        )

    async def __aenter__(self) -> Self:
        assert INFLUXD is not None
        self._process = await asyncio.create_subprocess_exec(
            INFLUXD,
            "-config",
            str(self._folder / "influxdb.conf"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            self._session = aiohttp.ClientSession()
            await asyncio.wait_for(self._listening(), START_TIMEOUT_S)
            self._drain = asyncio.create_task(self._drained(), name="influxd log")
            await self.query(f'CREATE DATABASE "{self.database}"', post=True)
            await self._start_shim()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._drain.cancel()
        await self._end()

    async def query(self, influxql: str, *, post: bool = False, database: str | None = None) -> list[dict[str, Any]]:
        """Return the series that a query gives; times are nanoseconds."""
        call = self._session.post if post else self._session.get
        parameters = {"db": database or self.database, "q": influxql, "epoch": "ns"}
        async with call(f"{self._own}/query", params=parameters) as response:
            (result,) = (await response.json(content_type=None))["results"]
        assert "error" not in result, result["error"]
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    async def _listening(self) -> None:
        """Wait until the log says that HTTP is served."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if b"Listening on HTTP" in line:
                return
        message = f"influxd ended with {await self._process.wait()}"
        raise RuntimeError(message)

    async def _drained(self) -> None:
        assert self._process.stderr is not None
        async for _ in self._process.stderr:
            pass

    async def _start_shim(self) -> None:
        application = web.Application(client_max_size=2**26)
        application.router.add_post("/api/v2/write", self._write)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _write(self, request: web.Request) -> web.Response:
        """Pass a write of API 2 on to API 1: the bucket is the database, and precision ``ns`` is called ``n``."""
        parameters = {"db": request.query["bucket"], "precision": {"ns": "n"}.get(request.query["precision"], "s")}
        # as a file: aiohttp warns of a large body in bytes
        body, headers = io.BytesIO(gzip.compress(await request.read(), 1)), {"Content-Encoding": "gzip"}
        async with self._session.post(f"{self._own}/write", params=parameters, data=body, headers=headers) as response:
            return web.Response(status=response.status, body=await response.read())

    async def _end(self) -> None:
        await self._session.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
