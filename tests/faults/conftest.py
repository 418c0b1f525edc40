"""The process-level suite kills and starves real gateways for many minutes: it runs in ``make faults``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests, with the reason, unless the long set was asked for."""
    if os.environ.get("EDGEFLEET_FAULTS_LONG") != "1":
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="takes minutes of two cores: make faults runs it"))
