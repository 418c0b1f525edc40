"""Domains and their channels: one frozen row each; everything else loops over these tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One measured quantity of a device."""

    name: str
    """Field name in payloads and stores; ends in its unit where it has one."""
    unit: str
    """Unit as Grafana and people write it; ``1`` for a dimensionless ratio."""
    low: float
    """Smallest physically possible value; a message with a smaller one is quarantined."""
    high: float
    """Largest physically possible value; a message with a larger one is quarantined."""
    description: str
    """What the value means to the person who reads the chart."""
    max_rate_per_s: float | None = None
    """Fastest physically possible change, unit per second; ``None`` where the value may jump."""
    flat_line_s: float | None = None
    """A healthy sensor never repeats one value exactly for this long, seconds; ``None`` where it may rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A kind of device: what it measures, and how often."""

    name: str
    """Domain level of the topic and name of the measurement."""
    device: str
    """What one device is, for people."""
    period_s: float
    """Nominal time between two samples, seconds."""
    channels: tuple[Channel, ...]
    """Measured quantities, in the order of every array that holds them."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)


AGRICULTURE: Final = Domain(
    name="agriculture",
    device="cattle wearable",
    period_s=60.0,
    channels=(
        Channel(
            name="heart_rate_bpm",
            unit="bpm",
            low=20.0,
            high=250.0,
            description="Heart rate of the animal",
            max_rate_per_s=3.0,
            flat_line_s=3600.0,
        ),
        Channel(
            name="blood_pressure_mmhg",
            unit="mmHg",
            low=40.0,
            high=260.0,
            description="Mean arterial blood pressure",
            max_rate_per_s=3.0,
            flat_line_s=3600.0,
        ),
        Channel(
            name="body_temperature_c",
            unit="°C",
            low=30.0,
            high=45.0,
            description="Core body temperature",
            max_rate_per_s=0.02,
            flat_line_s=3600.0,
        ),
        Channel(
            name="activity_index",
            unit="1",
            low=0.0,
            high=10.0,
            description="Movement of the collar; 0 is lying still, 1 is walking",
            flat_line_s=7200.0,
        ),
        Channel(
            name="rumination_min_h",
            unit="min/h",
            low=0.0,
            high=60.0,
            description="Minutes of chewing in the last hour",
            flat_line_s=None,
        ),
    ),
)

INDUSTRIAL: Final = Domain(
    name="industrial",
    device="pump skid",
    period_s=1.0,
    channels=(
        Channel(
            name="vibration_1_g",
            unit="g",
            low=0.0,
            high=50.0,
            description="Vibration at the motor side, RMS",
            flat_line_s=60.0,
        ),
        Channel(
            name="vibration_2_g",
            unit="g",
            low=0.0,
            high=50.0,
            description="Vibration at the pump side, RMS",
            flat_line_s=60.0,
        ),
        Channel(
            name="current_a",
            unit="A",
            low=0.0,
            high=100.0,
            description="Motor current",
            flat_line_s=60.0,
        ),
        Channel(
            name="pressure_bar",
            unit="bar",
            low=-2.0,
            high=40.0,
            description="Pressure behind the pump, relative to the air; below -1 only by a sensor's offset",
        ),
        Channel(
            name="temperature_c",
            unit="°C",
            low=-40.0,
            high=200.0,
            description="Temperature of the motor's body",
            max_rate_per_s=5.0,
            flat_line_s=300.0,
        ),
        Channel(
            name="thermocouple_c",
            unit="°C",
            low=-40.0,
            high=200.0,
            description="Temperature of the fluid",
            max_rate_per_s=5.0,
            flat_line_s=300.0,
        ),
        Channel(
            name="voltage_v",
            unit="V",
            low=0.0,
            high=1000.0,
            description="Supply voltage of the motor",
            flat_line_s=60.0,
        ),
        Channel(
            name="flow_l_min",
            unit="L/min",
            low=0.0,
            high=5000.0,
            description="Circulating flow",
        ),
    ),
)

RETAIL: Final = Domain(
    name="retail",
    device="shelf facing",
    period_s=60.0,
    channels=(
        Channel(
            name="stock_fraction",
            unit="1",
            low=-0.2,
            high=1.2,
            description="Goods on the shelf by load cell; 1 is full",
            flat_line_s=3600.0,
        ),
        Channel(
            name="sales_per_min",
            unit="1/min",
            low=0.0,
            high=1000.0,
            description="Units sold in the last minute",
        ),
        Channel(
            name="footfall_per_min",
            unit="1/min",
            low=0.0,
            high=10000.0,
            description="People passing in the last minute",
        ),
        Channel(
            name="discount_fraction",
            unit="1",
            low=0.0,
            high=1.0,
            description="Discount now on the shelf's label; 0 is full price",
        ),
        Channel(
            name="ambient_c",
            unit="°C",
            low=-40.0,
            high=60.0,
            description="Air temperature at the shelf",
            max_rate_per_s=0.1,
            flat_line_s=7200.0,
        ),
    ),
)

TRAFFIC: Final = Domain(
    name="traffic",
    device="loop detector",
    period_s=60.0,
    channels=(
        Channel(
            name="flow_veh_h",
            unit="veh/h",
            low=0.0,
            high=12000.0,
            description="Vehicles passing, as an hourly rate over all lanes",
        ),
        Channel(
            name="occupancy_pct",
            unit="%",
            low=0.0,
            high=100.0,
            description="Share of time in which the loop is covered",
        ),
        Channel(
            name="speed_km_h",
            unit="km/h",
            low=0.0,
            high=250.0,
            description="Mean speed of the vehicles passing",
            flat_line_s=1800.0,
        ),
    ),
)

DOMAINS: Final[dict[str, Domain]] = {domain.name: domain for domain in (AGRICULTURE, INDUSTRIAL, RETAIL, TRAFFIC)}
"""The domains that come with edgefleet, by name."""
