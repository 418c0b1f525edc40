"""Coverage-guided fuzzing of what reads untrusted bytes, where atheris is installed: ``python -m tests.faults.fuzz``.

The first byte chooses the reader: MQTT 3.1.1, MQTT 5, telemetry, state, or a whole batch through the intake.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from contract import codec, topics
from contract.domains import INDUSTRIAL
from contract.errors import ContractError
from gateway.intake import Intake, IntakeLimits
from gateway.mqtt.errors import MqttError
from gateway.mqtt.packets import Version
from gateway.mqtt.parser import Parser
from gateway.ports import Batch
from tests.batches import PUMP, START_S

RUNS = 200_000
_telemetry = codec.TelemetryDecoder(INDUSTRIAL)


def read_bytes(data: bytes) -> None:
    """Read bytes as one of the readers would; anything but the errors that are ours escapes."""
    kind, rest = data[:1], data[1:]
    try:
        match kind[0] % 5 if kind else 0:
            case 0 | 1 as version:
                Parser(version=(Version.V311, Version.V5)[version], maximum_packet_bytes=65_536).feed(rest)
            case 2:
                _telemetry.read(rest, [])
            case 3:
                codec.decode_state(rest)
            case _:
                topic, _, payload = rest.partition(b"\0")
                messages = [(topic.decode(errors="replace"), payload), (topics.telemetry(PUMP), payload)]
                Intake({"industrial": INDUSTRIAL}, IntakeLimits()).take(Batch(1, START_S, messages))
    except (ContractError, MqttError):
        pass


if __name__ == "__main__":
    atheris: Any = importlib.import_module("atheris")  # in no lock file: it is for Linux on x86-64 only
    atheris.instrument_all()
    atheris.Setup([*sys.argv, f"-atheris_runs={RUNS}", "-max_len=4096"], read_bytes)
    atheris.Fuzz()
