"""A damaged file of the state never stops the gateway: what is whole is kept, the rest is set aside and named."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.faults.gateways import Publisher, running, settings_file, until
from tests.faults.outcomes import ledger_sums
from tests.faults.streams import Stream

pytestmark = [pytest.mark.timeout(240), pytest.mark.mosquitto]
LONG = "EDGEFLEET_FAULTS_LONG" in os.environ
FILES = ("journal.db", "outbox.db", "store.db")


def truncate(path: Path, _: random.Random) -> None:
    """Cut the second half off."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path, draw: random.Random) -> None:
    """Flip forty bits."""
    content = bytearray(path.read_bytes())
    for _ in range(40):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def zero_head(path: Path, _: random.Random) -> None:
    """Lose the first page."""
    content = path.read_bytes()
    path.write_bytes(b"\x00" * 4096 + content[4096:])


def pairs() -> list[tuple[str, Callable[[Path, random.Random], None]]]:
    """Return what is damaged how: every file in every way in the long set, else each once."""
    ways = (truncate, flip, zero_head)
    return list(itertools.product(FILES, ways) if LONG else zip(FILES, ways, strict=True))


def checkpoint(path: Path) -> None:
    """Bring everything from the write-ahead log into the file itself, so that damage to it is felt."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def test_gateway_starts_on_any_damage_says_so_and_goes_on(tmp_path: Path, mosquitto: Mosquitto) -> None:
    file = settings_file(tmp_path / "first", mosquitto.port)
    async with running(file) as gateway:
        await gateway.says("broker connected")
        async with Publisher.connected(mosquitto.port) as publisher:
            await publisher.publish(Stream(seed=9, devices=5, messages=4000))
        await until(lambda: ledger_sums(tmp_path / "first" / "state").get("published", 0) >= 3900)
        await gateway.kill()
    for name in FILES:
        checkpoint(tmp_path / "first" / "state" / name)
    for number, (name, damage) in enumerate(pairs()):
        folder = tmp_path / f"damaged-{number}"
        shutil.copytree(tmp_path / "first", folder)
        damage(folder / "state" / name, random.Random(number))
        again = settings_file(folder, mosquitto.port)
        async with running(again) as gateway:
            await gateway.says("broker connected")
            mended = [line for line in gateway.log if "damaged file mended" in line and name in line]
            asides = list((folder / "state").glob(f"{name}.corrupt-*"))
            assert bool(mended) == bool(asides), (name, damage.__name__)
            assert asides or damage is flip, (name, damage.__name__)  # a bit may fall where nothing stands
            async with Publisher.connected(mosquitto.port) as publisher:
                await publisher.publish(Stream(seed=10, devices=1, messages=50))
            assert await gateway.stop() == 0, (name, damage.__name__)
