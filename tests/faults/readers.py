"""Everything that reads bytes of strangers, behind one function: what :mod:`tests.faults.fuzz` feeds.

The first byte chooses the reader: MQTT 3.1.1, MQTT 5, telemetry, state, a whole batch through the intake, one of the
formats of sources, the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from contract import codec, topics
from contract.domains import INDUSTRIAL
from contract.errors import ContractError
from gateway.intake import Intake, IntakeLimits
from gateway.mqtt.errors import MqttError
from gateway.mqtt.packets import Version
from gateway.mqtt.parser import Parser
from gateway.ports import Batch
from gateway.settings_file import SettingsError, parse
from gateway.sources.formats import cbor, line_protocol, plain, senml, sparkplug
from tests.batches import PUMP, START_S

_telemetry = codec.TelemetryDecoder(INDUSTRIAL)
_formats: Final[tuple[Callable[[bytes], object], ...]] = (
    plain.json_value,
    plain.messagepack_value,
    cbor.decode,
    lambda payload: senml.records(senml.labelled(cbor.decode(payload)), now_s=START_S),
    line_protocol.records,
    sparkplug.decode,
)


def read_bytes(data: bytes) -> None:
    """Read bytes as one of the readers would; anything but the errors that are ours escapes."""
    kind, rest = data[:1], data[1:]
    try:
        match kind[0] % (6 + len(_formats)) if kind else 0:
            case 0 | 1 as version:
                Parser(version=(Version.V311, Version.V5)[version], maximum_packet_bytes=65_536).feed(rest)
            case 2:
                _telemetry.read([rest], bytearray())
            case 3:
                codec.decode_state(rest)
            case 4:
                topic, _, payload = rest.partition(b"\0")
                messages = [(topic.decode(errors="replace"), payload), (topics.telemetry(PUMP), payload)]
                Intake({"industrial": INDUSTRIAL}, IntakeLimits()).take(Batch(1, START_S, messages))
            case 5:
                parse(rest.decode(errors="replace"), Path("gateway.yaml"), {})
            case number:
                _formats[number - 6](rest)
    except (ContractError, MqttError, SettingsError):
        pass
