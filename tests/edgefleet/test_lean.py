"""What the gateway's process is spared."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from edgefleet.lean import absent


def test_absent_library_cannot_be_imported_and_comes_back() -> None:
    sys.modules.pop("wave", None)
    with absent("wave"), pytest.raises(ImportError):
        importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"


def test_gateway_process_loads_no_pretty_printer_and_no_influx_client() -> None:
    """Each would cost every gateway some megabytes and part of a second: rich 6 MB, holidays 7, the client 20."""
    code = (
        "import sys; sys.argv = ['edgefleet', 'gateway', '-c', 'nowhere.yaml']\n"
        "from edgefleet.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "import gateway.serve\n"
        "print([name for name in ('rich', 'holidays', 'influxdb_client', 'pandas', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
