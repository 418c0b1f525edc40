"""Units of foreign sensors, and how to get from one to another: all conversions are lines."""

from __future__ import annotations

from typing import Final

Line = tuple[float, float]
"""``converted = factor * value + offset``."""

_RATIO: Final[dict[str, Line]] = {
    **dict.fromkeys(("1", "/"), (1.0, 0.0)),
    **dict.fromkeys(("%", "%RH", "%EL", "%HUM", "percent"), (0.01, 0.0)),
    "‰": (1e-3, 0.0),
    "ppm": (1e-6, 0.0),
    "min/h": (1 / 60, 0.0),
}
_TEMPERATURE: Final[dict[str, Line]] = {
    **dict.fromkeys(("°C", "C", "Cel", "celsius", "degC"), (1.0, 273.15)),
    **dict.fromkeys(("°F", "F", "fahrenheit", "degF"), (5 / 9, 459.67 * 5 / 9)),
    **dict.fromkeys(("K", "kelvin"), (1.0, 0.0)),
}


def _scaled(**factors: float) -> dict[str, Line]:
    return {unit: (factor, 0.0) for unit, factor in factors.items()}


QUANTITIES: Final[dict[str, dict[str, Line]]] = {
    "temperature": _TEMPERATURE,
    "ratio": _RATIO,
    "pressure": _scaled(
        Pa=1.0,
        hPa=100.0,
        mbar=100.0,
        kPa=1e3,
        MPa=1e6,
        bar=1e5,
        psi=6894.757,
        mmHg=133.322,
        inHg=3386.389,
        atm=101325.0,
    ),
    "voltage": _scaled(V=1.0, mV=1e-3, uV=1e-6, kV=1e3) | {"µV": (1e-6, 0.0)},
    "current": _scaled(A=1.0, mA=1e-3, uA=1e-6) | {"µA": (1e-6, 0.0)},
    "power": _scaled(W=1.0, mW=1e-3, kW=1e3, MW=1e6),
    "energy": _scaled(J=1.0, kJ=1e3, Wh=3600.0, kWh=3.6e6),
    "speed": {"m/s": (1.0, 0.0), "km/h": (1 / 3.6, 0.0), "mph": (0.44704, 0.0), "kn": (1852 / 3600, 0.0)},
    "acceleration": {"m/s²": (1.0, 0.0), "m/s2": (1.0, 0.0), "g": (9.80665, 0.0), "mg": (9.80665e-3, 0.0)},
    "flow": {
        "m3/s": (1.0, 0.0),
        "m³/h": (1 / 3600, 0.0),
        "m3/h": (1 / 3600, 0.0),
        "L/s": (1e-3, 0.0),
        "l/s": (1e-3, 0.0),
        "L/min": (1e-3 / 60, 0.0),
        "l/min": (1e-3 / 60, 0.0),
        "L/h": (1e-3 / 3600, 0.0),
        "gal/min": (3.785411784e-3 / 60, 0.0),
    },
    "rate": {
        "Hz": (1.0, 0.0),
        "1/s": (1.0, 0.0),
        **dict.fromkeys(("1/min", "bpm", "beat/min", "rpm"), (1 / 60, 0.0)),
        **dict.fromkeys(("1/h", "veh/h"), (1 / 3600, 0.0)),
    },
    "length": {
        "m": (1.0, 0.0),
        "mm": (1e-3, 0.0),
        "cm": (1e-2, 0.0),
        "km": (1e3, 0.0),
        "in": (0.0254, 0.0),
        "ft": (0.3048, 0.0),
    },
    "mass": {"kg": (1.0, 0.0), "g": (1e-3, 0.0), "t": (1e3, 0.0), "lb": (0.45359237, 0.0)},
    "illuminance": {"lx": (1.0, 0.0), "klx": (1e3, 0.0)},
    "duration": {"s": (1.0, 0.0), "ms": (1e-3, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)},
    "conductivity": {"S/m": (1.0, 0.0), "mS/cm": (0.1, 0.0), "µS/cm": (1e-4, 0.0), "uS/cm": (1e-4, 0.0)},
}
"""Units by what they measure, each as the line to the quantity's base unit."""


def conversion(given: str, wanted: str) -> Line | None:
    """Return the line from one unit to another; ``None`` where they do not measure the same, or one is not known."""
    if given == wanted:
        return (1.0, 0.0)
    for units in QUANTITIES.values():
        if given in units and wanted in units:
            (factor, offset), (wanted_factor, wanted_offset) = units[given], units[wanted]
            return (factor / wanted_factor, (offset - wanted_offset) / wanted_factor)
    return None


def known_units(wanted: str) -> list[str]:
    """Return the units from which one can be converted, itself included."""
    return [unit for units in QUANTITIES.values() if wanted in units for unit in units] or [wanted]
