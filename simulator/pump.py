"""Pump skids: a speed-controlled centrifugal pump that circulates water in a closed loop, at the size of a test bed.

Each second the pump's curve and the loop's curve are solved for the flow, with `s` the speed relative to rated, `q` the
flow and `k` the resistance of the loop::

    head  h(q) = h0 s² + b s q - a q²        affinity laws: q ~ s, h ~ s², power ~ s³
    loop  h(q) = k q²,  k = pipe + valve / area²

Flow and head follow; shaft power is hydraulic power over the pump's efficiency, current is electrical power over
voltage and power factor, heat warms motor and fluid, and vibration is the root of the sum of the squared sources.
So a new set-point moves all channels along the affinity laws, and a fault leaves them.

====================  =====================  ====================================================================
quantity              drawn for a device     source
====================  =====================  ====================================================================
rated flow            30 … 130 L/min         span of the SKAB test bed (Katser and Kozitsin 2020)
rated pressure        0.5 … 2.2 bar          small circulation pumps of that flow
shut-off head         1.25 … 1.4 x rated     radial pumps (Gülich, Centrifugal Pumps)
pump efficiency       0.35 … 0.5             small radial pumps (Gülich)
motor body            + 42 … 60 K            SKAB: 68 … 93 °C; insulation class F allows 105 K (IEC 60034-1)
thermal time constant 10 … 16 min            motors below 1 kW
fluid                 + 4 … 8 K              SKAB: 22 … 30 °C
vibration             0.03 … 0.25 g          SKAB: 0.027 … 0.24 g; imbalance grows with speed² (ISO 21940)
NPSH margin           0.14 … 0.20 x rated    head falls with the deficit (Gülich)
voltage               230 ± 2 … 10 V         SKAB: standard deviation 10.5 … 11 V; EN 50160: ± 10 %
====================  =====================  ====================================================================

Shutting the valve of a radial pump raises the pressure and lowers flow, shaft power and current.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from simulator.noise import Noise, Wander
from simulator.shapes import smooth_step
from simulator.weather import Weather
from simulator.worlds import Fault

WATT_PER_BAR_L_MIN: Final = 1e5 / 60_000.0
"""Hydraulic power, W, of 1 L/min lifted by 1 bar."""
PERIOD_S: Final = INDUSTRIAL.period_s
HALL_EVERY_S: Final = 60.0
"""The hall's air is looked up this often; it changes within hours."""

NOISE_WIDTH: Final = 15
"""Random numbers that a skid takes a second."""
CAVITATION_ROAR: Final = 1.6
"""Vibration of full cavitation at the pump, in units of the healthy vibration."""
BEARING_DRAG: Final = 0.12
"""Power that a bearing rough by one unit takes, relative to the idle power."""
SAG_AT: Final = 3.3
"""A dip of the voltage begins where a normal number is above this: about every half hour."""
SAG_KEEP: Final = 0.75
"""Part of a dip that is left after a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What operators and faults change on a skid; the default is a healthy pump at its rated set-point."""

    speed: float = 1.0
    """Set-point of the speed, relative to rated."""
    outlet_area: float = 1.0
    """Open area of the outlet valve, relative to its normal setting."""
    suction_loss: float = 0.0
    """Pressure lost before the inlet, in units of the pump's NPSH margin; above 1 it cavitates."""
    imbalance: float = 0.0
    """Added imbalance, in units of the healthy vibration."""
    bearing_wear: float = 0.0
    """Roughness of the motor's bearing, in units of the healthy vibration."""
    leak: float = 0.0
    """Flow lost between pump and flow meter, relative to the flow that is left."""
    cooling: float = 1.0
    """Cooling of motor and fluid, relative to normal."""


HEALTHY: Final = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skid:
    """What one skid is: sizes that never change."""

    flow_l_min: float
    """Rated flow."""
    pressure_bar: float
    """Rated pressure behind the pump."""
    shut_off: float
    """Head at zero flow, relative to rated."""
    bulge: float
    """Linear term of the pump's curve, relative to rated: how late the curve falls."""
    valve_share: float
    """Part of the loop's resistance that is the outlet valve's."""
    efficiency: float
    motor_efficiency: float
    power_factor: float
    idle_w: float
    """Electrical power that turns into heat at no load, W."""
    margin: float
    """NPSH available above required at rated flow, relative to the rated pressure."""
    npsh: float
    """NPSH required at rated flow, relative to the rated pressure."""
    motor_rise_k: float
    motor_tau_s: float
    fluid_rise_k: float
    fluid_tau_s: float
    vibration_1_g: float
    vibration_2_g: float
    vibration_jitter: float
    current_noise: float
    """Noise of the current sensor, relative to rated."""
    pressure_noise: float
    """Noise of the pressure sensor, relative to rated."""
    flow_noise: float
    """Noise of the flow meter, relative to rated."""
    voltage_noise_v: float
    demand_std: float
    """Slow changes of the loop's resistance by its consumers, relative."""
    run_up_s: float
    """Time constant of the drive."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the sizes of one skid."""

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        flow_l_min, pressure_bar = between(30.0, 130.0), between(0.5, 2.2)
        vibration_g = 0.03 * math.exp(between(0.0, math.log(8.0)))
        return cls(
            flow_l_min=flow_l_min,
            pressure_bar=pressure_bar,
            shut_off=between(1.25, 1.4),
            bulge=between(0.0, 0.15),
            valve_share=between(0.4, 0.6),
            efficiency=between(0.35, 0.5),
            motor_efficiency=between(0.72, 0.82),
            power_factor=between(0.75, 0.9),
            idle_w=between(60.0, 110.0),
            margin=between(0.14, 0.2),
            npsh=between(0.1, 0.18),
            motor_rise_k=between(42.0, 60.0),
            motor_tau_s=between(600.0, 960.0),
            fluid_rise_k=between(4.0, 8.0),
            fluid_tau_s=between(1200.0, 2400.0),
            vibration_1_g=vibration_g,
            vibration_2_g=vibration_g * between(1.1, 1.6),
            vibration_jitter=between(0.01, 0.025),
            current_noise=between(0.03, 0.1),
            pressure_noise=between(0.015, 0.06),
            flow_noise=between(0.005, 0.015),
            voltage_noise_v=between(2.0, 10.0),
            demand_std=between(0.015, 0.05),
            run_up_s=between(2.0, 4.0),
        )


class Point(NamedTuple):
    """An operating point; flow and pressure relative to rated."""

    flow: float
    """Through the flow meter."""
    pump_flow: float
    """Through the pump: more than through the meter where the loop leaks."""
    pressure: float
    shaft_w: float
    electric_w: float
    cavitation: float
    """0: none, 1: the inlet is full of vapour."""


STOPPED: Final = Point(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class PumpSkid:
    """One skid, stepped once a second."""

    def __init__(
        self, device: DeviceId, skid: Skid, faults: Sequence[Fault[Condition]], weather: Weather, noise: Noise
    ) -> None:
        """Start a skid that has been running for long at its rated set-point."""
        self.devices = (device,)
        self._skid = skid
        self._faults = tuple(faults)
        self._weather = weather
        self._noise = noise
        self._demand = Wander(180.0, PERIOD_S)
        self._trim = Wander(60.0, PERIOD_S)
        self._grid = Wander(300.0, PERIOD_S)
        self._churn = Wander(2.0, PERIOD_S)
        self._mount = Wander(240.0, PERIOD_S)
        self._sag = 0.0
        self._speed = 1.0
        self._cavitation = 0.0
        self._hall_c = 0.0
        self._hall_until_s = -math.inf
        self._motor_k = skid.motor_rise_k
        self._fluid_k = skid.fluid_rise_k
        self._rated = operate(skid, HEALTHY, 1.0, 1.0)

    def step(self, t_s: float) -> list[Mapping[str, float]]:
        """Advance by one second and measure."""
        z = self._noise.row()
        condition = HEALTHY
        for fault in self._faults:
            if fault.onset_s <= t_s < fault.end_s:
                condition = fault.bend(condition, t_s)
        skid, rated = self._skid, self._rated
        speed = self._spin(condition, z[8])
        churn = 1.0 + 0.12 * self._cavitation * self._churn.step(z[9]) - 0.15 * self._cavitation
        point = operate(skid, condition, speed, churn, 1.0 + skid.demand_std * self._demand.step(z[10]))
        self._cavitation = point.cavitation
        self._warm(condition, point)
        hall_c = self._hall(t_s)
        voltage_v = self._voltage(z[11], z[12])
        current_a = point.electric_w / (voltage_v * skid.power_factor)
        rated_a = rated.electric_w / (230.0 * skid.power_factor)
        vibration_1, vibration_2 = self._vibrate(condition, point, speed, z)
        flow_noise = skid.flow_noise * (1.0 + 4.0 * point.cavitation) * z[7]
        pressure_noise = skid.pressure_noise * (1.0 + 2.0 * point.cavitation) * z[3]
        return [
            {
                "vibration_1_g": _resolved(vibration_1, 1e5),
                "vibration_2_g": _resolved(vibration_2, 1e5),
                "current_a": _resolved(abs(current_a + skid.current_noise * rated_a * z[2]), 1e4),
                "pressure_bar": _resolved(skid.pressure_bar * (point.pressure + pressure_noise), 1e4),
                "temperature_c": _resolved(hall_c + self._motor_k + 0.15 * z[4], 1e3),
                "thermocouple_c": _resolved(hall_c + self._fluid_k + 0.012 * z[5], 1e4),
                "voltage_v": _resolved(voltage_v + skid.voltage_noise_v * z[6], 1e2),
                "flow_l_min": _resolved(max(0.0, skid.flow_l_min * (point.flow + flow_noise)), 1e2),
            }
        ]

    def _spin(self, condition: Condition, kick: float) -> float:
        """Let the drive follow its set-point, with a little unrest of its control."""
        wanted = condition.speed * (1.0 + 0.002 * self._trim.step(kick))
        self._speed += (wanted - self._speed) / self._skid.run_up_s
        return self._speed if self._speed > 1e-3 else 0.0

    def _warm(self, condition: Condition, point: Point) -> None:
        """Exchange heat: what turns into heat warms, what the cooling carries away cools."""
        skid, rated = self._skid, self._rated
        motor_gain = skid.motor_rise_k * (point.electric_w - point.shaft_w) / (rated.electric_w - rated.shaft_w)
        self._motor_k += (motor_gain - condition.cooling * self._motor_k) / skid.motor_tau_s
        fluid_gain = skid.fluid_rise_k * point.shaft_w / rated.shaft_w
        self._fluid_k += (fluid_gain - condition.cooling * self._fluid_k) / skid.fluid_tau_s

    def _hall(self, t_s: float) -> float:
        """Return the air around the skid: a heated hall that follows the weather a quarter of the way."""
        if t_s >= self._hall_until_s:
            self._hall_c = 21.0 + 0.25 * (self._weather.temperature_c(t_s) - 11.0)
            self._hall_until_s = t_s + HALL_EVERY_S
        return self._hall_c

    def _voltage(self, kick: float, dip: float) -> float:
        """Return the grid's voltage: slow changes, and a dip of seconds now and then."""
        if dip > SAG_AT:
            self._sag = 12.0 + 8.0 * (dip - SAG_AT)
        self._sag *= SAG_KEEP
        return 230.0 + 1.5 * self._grid.step(kick) - self._sag

    def _vibrate(self, condition: Condition, point: Point, speed: float, z: list[float]) -> tuple[float, float]:
        """Return the vibration at motor and pump: the root of the sum of the squared sources.

        Imbalance is one steady tone; a worn bearing knocks, so its RMS scatters; cavitation roars at the pump. How
        stiff the mount is changes slowly.
        """
        skid = self._skid
        speed_2 = speed * speed
        off_best = point.pump_flow - speed
        smooth = (0.64 + 2.0 * off_best * off_best) * speed_2 * speed_2
        tone = (0.6 + condition.imbalance) * speed_2
        tone *= tone
        knock = condition.bearing_wear * speed * math.exp(0.35 * z[13])
        knock *= knock
        roar = CAVITATION_ROAR * point.cavitation * math.exp(0.15 * z[9])
        roar *= roar
        jitter = skid.vibration_jitter
        mount = 1.0 + 2.0 * jitter * self._mount.step(z[14])
        motor = math.sqrt(smooth + 0.75 * tone + knock + 0.15 * roar) * (mount + jitter * z[0])
        pump = math.sqrt(smooth + tone + 0.12 * knock + roar) * (mount + jitter * z[1])
        floor_1, floor_2 = 0.02 * (1.0 + 0.2 * z[0]), 0.02 * (1.0 + 0.2 * z[1])
        return skid.vibration_1_g * (motor + abs(floor_1)), skid.vibration_2_g * (pump + abs(floor_2))


def operate(skid: Skid, condition: Condition, speed: float, churn: float, demand: float = 1.0) -> Point:
    """Solve pump and loop for the operating point.

    :param churn: head left by gas and vapour, relative
    :param demand: resistance of the loop's consumers, relative
    """
    area = condition.outlet_area
    resistance = demand * (1.0 - skid.valve_share) + skid.valve_share / (area * area)
    loss = condition.suction_loss * skid.margin
    split = 1.0 + condition.leak
    drive = skid.shut_off * churn * speed * speed - loss
    if drive <= 0.0 or speed <= 0.0:
        return STOPPED
    fall = (skid.shut_off + skid.bulge - 1.0) * split * split + resistance
    bulge = skid.bulge * speed * split
    flow = (bulge + math.sqrt(bulge * bulge + 4.0 * fall * drive)) / (2.0 * fall)
    pump_flow = flow * split
    pressure = resistance * flow * flow
    # at a pump's best point its efficiency has its maximum; flow / efficiency stays finite down to a shut valve
    head = pressure + loss
    load = head * speed / (2.0 - min(pump_flow / speed, 1.7))
    shaft_w = skid.flow_l_min * skid.pressure_bar * WATT_PER_BAR_L_MIN / skid.efficiency * load
    shaft_w += BEARING_DRAG * condition.bearing_wear * speed * skid.idle_w
    electric_w = skid.idle_w * speed * speed + shaft_w / skid.motor_efficiency
    deficit = loss - skid.margin - skid.npsh * (1.0 - pump_flow * pump_flow)
    return Point(flow, pump_flow, pressure, shaft_w, electric_w, smooth_step(deficit / (0.5 * skid.margin)))


def _resolved(value: float, per_unit: float) -> float:
    """Return what a sensor that resolves ``1 / per_unit`` shows."""
    return int(value * per_unit + (0.5 if value >= 0.0 else -0.5)) / per_unit
