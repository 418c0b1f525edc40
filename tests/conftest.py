"""Fixtures that several rooms share: real brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.brokers import MOSQUITTO, Amqtt, Mosquitto

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no counter-example
if hypothesis.settings.get_current_profile_name() == "default":
    hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with its reason, what needs Mosquitto where there is none."""
    if MOSQUITTO is None:
        for item in items:
            if item.get_closest_marker("mosquitto"):
                item.add_marker(pytest.mark.skip(reason="needs the mosquitto command (Debian package mosquitto)"))


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Undo what a command that ran in this process has made of the log: it writes to a terminal that is gone."""
    yield
    structlog.reset_defaults()


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """Run a Mosquitto that takes anyone; the test also carries the marker ``mosquitto``."""
    async with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
async def amqtt_broker() -> AsyncIterator[Amqtt]:
    """Run an amqtt that takes anyone."""
    async with Amqtt() as broker:
        yield broker
