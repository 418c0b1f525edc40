"""Units of the contract, as Grafana names them; one it does not know is written behind the number."""

from __future__ import annotations

from typing import Final

from contract.domains import Channel

_GRAFANA: Final = {
    "°C": "celsius",
    "g": "accG",
    "A": "amp",
    "V": "volt",
    "bar": "pressurebar",
    "L/min": "flowlpm",
    "%": "percent",
    "km/h": "velocitykmh",
}


def unit_of(channel: Channel) -> str:
    """Return the Grafana unit of a channel."""
    if channel.unit == "1":
        return "percentunit" if channel.name.endswith("_fraction") else "none"
    return _GRAFANA.get(channel.unit, f"suffix: {channel.unit}")
