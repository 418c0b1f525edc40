"""The recipes of the four domains that come with edgefleet."""

from __future__ import annotations

from typing import Final

from contract.domains import AGRICULTURE, INDUSTRIAL, RETAIL, TRAFFIC, Domain
from gateway.inference.manifest import Cycle, Event, Window
from models.training import benches, slow_devices
from models.training.augment import Augmentation, drop_channels, gain, jitter, warp
from models.training.dataset import fault_labels, future_labels
from models.training.loops import loops
from models.training.network import Net
from models.training.recipes import DAY_S, HOUR_S, Drawn, NaiveRule, Recipe, Recorded
from models.training.recorded import retail as freshretail
from models.training.recorded import traffic as los_loop
from simulator import agriculture, industrial, retail, traffic
from simulator.worlds import World

MINUTE_S: Final = 60.0


def _each(domain: Domain, *statistics: str) -> tuple[str, ...]:
    """Return the names of statistics of every channel."""
    return tuple(f"{channel}_{statistic}" for channel in domain.channel_names for statistic in statistics)


def _aftermaths(world: World) -> dict[str, float]:
    return {event.label: event.aftermath_s for event in world.events}


_MECHANICAL: Final = tuple(name for name in INDUSTRIAL.channel_names if not name.endswith("_c"))
_KINDS: Final = ("cal_unrest", "cal_zlog", "cal_zstd")
_HOUR: Final = ("hour_sin", "hour_cos")

AGRICULTURE_RECIPE: Final = Recipe(
    world=lambda: agriculture.WORLD,
    rule="disease",
    severity="critical",
    meaning="A score of 1 says that the animal is ill: respiratory disease, mastitis or lameness.",
    version="1.2.0",
    window=Window(
        length_s=HOUR_S,
        hop_s=10.0 * MINUTE_S,
        period_s=AGRICULTURE.period_s,
        lateness_s=2.0 * AGRICULTURE.period_s,
        min_coverage=0.5,
        calibration_s=6.0 * HOUR_S,
        horizons_s=(6.0 * HOUR_S, DAY_S, 4.0 * DAY_S),
    ),
    features=(
        *_each(AGRICULTURE, "mean", "std", "mean_6h", "std_6h", "delta_6h", "mean_24h", "delta_24h", "cal_z", "life_z"),
        *(
            f"{name}_{kind}"
            for name in ("body_temperature_c", "activity_index", "heart_rate_bpm", "blood_pressure_mmhg")
            for kind in ("life_mean", "life_std")
        ),
        # a fever stays, a warm day does not: what tells it where a reading comes once a day
        "body_temperature_c_mean_4d",
        *_HOUR,
    ),
    labeller=lambda world: fault_labels(2.0 * HOUR_S, _aftermaths(world)),
    label_words="an hour within a disease, from two hours after its onset on",
    life_s=30.0 * HOUR_S,
    shown_s=(DAY_S, HOUR_S),
    devices=12,
    fleets={"train": 72, "validation": 32, "test": 32},
    net=Net(hidden=(48, 16), rate=5e-4, epochs=16, patience=6),
    augmentations=(Augmentation(name="drop-out of channels", bend=drop_channels(0.3), every=4),),
    makes=(
        Drawn(
            name="thermometers",
            words="animals whose temperature alone is taken once a day (models/training/slow_devices.py)",
            labeller=slow_devices.feverish,
            share=0.2,
            positives=0.65,
            period_s=AGRICULTURE.period_s,
            min_coverage=0.01,
            make=slow_devices.thermometers,
            fleets={"train": 24, "validation": 8},
            devices=60,
            life_s=30.0 * DAY_S,
        ),
    ),
    raise_at=(0.8, 0.85, 0.9),
    dwell_hops=(2, 3, 4, 5, 6),
    cooldown_s=2.0 * HOUR_S,
    naive=(NaiveRule(name="body temperature alone", feature="body_temperature_c_mean"),),
)

INDUSTRIAL_RECIPE: Final = Recipe(
    world=lambda: industrial.WORLD,
    rule="anomaly",
    severity="warning",
    meaning=(
        "A score of 1 says that the pump skid runs neither as it did when it was calibrated "
        "nor as another set-point would make it run."
    ),
    version="1.1.0",
    window=Window(
        length_s=20.0,
        hop_s=10.0,
        period_s=INDUSTRIAL.period_s,
        lateness_s=2.0 * INDUSTRIAL.period_s,
        min_coverage=0.5,
        calibration_s=400.0,
        horizons_s=(600.0,),
        monitor=True,
    ),
    features=(
        # temperatures drift by many deviations of a calibration without any fault: of them, how fast they do it
        *(f"{name}_{kind}" for kind in _KINDS for name in _MECHANICAL),
        *(f"{name}_slope" for name in ("temperature_c", "flow_l_min", "vibration_1_g", "vibration_2_g")),
        *(f"{name}_delta_10min" for name in ("temperature_c", "flow_l_min")),
        "t2_log",
        "q_log",
    ),
    labeller=lambda world: fault_labels(20.0, _aftermaths(world)),
    label_words="a window within a fault, from 20 s after its onset on",
    life_s=1.5 * HOUR_S,
    shown_s=(HOUR_S, MINUTE_S),
    devices=12,
    fleets={"train": 40, "validation": 12, "test": 12},
    net=Net(hidden=(64, 32)),
    augmentations=(Augmentation(name="drop-out of channels", bend=drop_channels(0.3), every=4),),
    makes=(
        Drawn(
            name="test benches",
            words="test benches known by their statistics alone (models/training/benches.py)",
            labeller=benches.off,
            share=0.2,
            positives=0.7,
            period_s=INDUSTRIAL.period_s,
            make=benches.benches,
            fleets={"train": 24, "validation": 6},
            devices=16,
            life_s=2400.0,
        ),
    ),
    raise_at=(0.6, 0.65, 0.7, 0.75, 0.8),
    clear_share=0.75,
    dwell_hops=(0, 1, 2, 3),
    cooldown_s=60.0,
    naive=(NaiveRule(name="T²", feature="t2_log"), NaiveRule(name="Q", feature="q_log")),
)

RETAIL_RECIPE: Final = Recipe(
    world=lambda: retail.WORLD,
    rule="stock_out",
    severity="warning",
    meaning="A score of 1 says that the shelf is empty or will be within three hours.",
    version="1.1.0",
    window=Window(
        length_s=HOUR_S,
        hop_s=10.0 * MINUTE_S,
        period_s=RETAIL.period_s,
        lateness_s=2.0 * RETAIL.period_s,
        min_coverage=0.5,
        horizons_s=(3.0 * HOUR_S, DAY_S, 7.0 * DAY_S),
        events=(
            Event(name="refill", channel="stock_fraction", above=0.5),
            Event(name="out", channel="stock_fraction", above=0.05, falling=True),
            Event(name="sale", channel="sales_per_min", above=0.0),
        ),
        courses=("stock_fraction", "sales_per_min"),
        cycles=(Cycle(name="sold", channel="sales_per_min", starts="refill", ends="out"),),
    ),
    features=(
        *("stock_fraction_" + name for name in ("last", "mean", "min", "max", "range", "slope", "std", "q10", "q90")),
        *("stock_fraction_" + name for name in ("mean_3h", "min_3h", "max_3h", "delta_3h", "delta_24h", "life_mean")),
        *("stock_fraction_" + name for name in ("mean_24h", "mean_7d")),
        *("stock_fraction_" + name for name in ("today", "by_hour", "by_hour_3h")),
        *("sales_per_min_" + name for name in ("mean", "std", "mean_3h", "mean_24h", "life_z")),
        *(f"sales_per_min_{name}_log" for name in ("last", "mean", "mean_3h", "mean_24h", "mean_7d")),
        *(f"sales_per_min_{name}_log" for name in ("life_mean", "today", "by_hour", "by_hour_3h")),
        *("footfall_per_min_" + name for name in ("mean", "std", "mean_3h", "mean_24h", "life_z", "missing")),
        *("refill_since", "out_since", "sale_since", "out_by_hour_3h", "refill_by_hour_3h"),
        *("sold_sofar_log", "sold_usual_log", "sold_last_log", "sold_left_log"),
        "discount_fraction_last",
        "discount_fraction_delta_7d",
        *_HOUR,
        "minute_of_day_sin",
        "minute_of_day_cos",
        "weekday_sin",
        "weekday_cos",
    ),
    labeller=lambda _: future_labels("stock_fraction", below=0.05, within_s=3.0 * HOUR_S, unsure_below=0.15),
    label_words="an hour after which the shelf is (nearly) empty within three hours, or is so already",
    life_s=30.0 * HOUR_S,
    shown_s=(DAY_S, HOUR_S),
    devices=12,
    fleets={"train": 32, "validation": 16, "test": 16},
    # finer quanta: what tells tills apart is small beside what tells them from shelves with a load cell
    clip=4.0,
    net=Net(hidden=(64, 32), epochs=10, patience=3, jitter=0.03),
    dwell_hops=(0, 1, 2, 3),
    cooldown_s=2.0 * HOUR_S,
    augmentations=(
        Augmentation(name="drop-out of channels", bend=drop_channels(0.3)),
        Augmentation(name="jitter of samples", bend=jitter(0.1), used=False),
        Augmentation(
            name="scaling of sales and footfall", bend=gain(0.5, "sales_per_min", "footfall_per_min"), used=False
        ),
        Augmentation(name="time warp", bend=warp(0.2), used=False),
    ),
    makes=(
        Recorded(
            name="FreshRetail",
            words="products of which a till reports sales and stock-outs once an hour (FreshRetail)",
            labeller=freshretail.running_out,
            share=0.7,
            period_s=HOUR_S,
            read=freshretail.recording,
            files=(freshretail.FILES,),
            licence="CC BY 4.0",
            attribution="FreshRetailNet-50K, Dingdong Limited, https://huggingface.co/datasets/Dingdong-Inc/FreshRetailNet-50K.",
            scored_from_s=freshretail.TESTED_FROM,
            embargo_s=DAY_S,
            held_out=freshretail.HELD_OUT,
        ),
    ),
    naive=(NaiveRule(name="stock now", feature="stock_fraction_last", sign=-1.0),),
)

TRAFFIC_RECIPE: Final = Recipe(
    world=lambda: traffic.WORLD,
    rule="congestion",
    severity="warning",
    meaning="A score of 1 says that speed is below 64 km/h or will be within 15 minutes.",
    version="1.1.1",
    window=Window(
        length_s=30.0 * MINUTE_S,
        hop_s=5.0 * MINUTE_S,
        period_s=TRAFFIC.period_s,
        lateness_s=2.0 * TRAFFIC.period_s,
        min_coverage=0.5,
        horizons_s=(2.0 * HOUR_S, DAY_S),
        usual=True,
    ),
    features=(
        *_each(TRAFFIC, "last", "mean", "std", "min", "max", "slope", "delta_2h"),
        "speed_km_h_q10",
        "occupancy_pct_q90",
        *("speed_km_h_" + name for name in ("min_2h", "max_2h", "std_2h", "min_24h", "max_24h", "std_24h", "life_z")),
        *("speed_km_h_" + name for name in ("usual", "usual_next")),
        "minute_of_day_sin",
        "minute_of_day_cos",
        "weekend",
    ),
    labeller=lambda _: future_labels("speed_km_h", below=64.0, within_s=15.0 * MINUTE_S, unsure_below=70.0),
    label_words="a half hour after which speed falls below 64 km/h within 15 minutes, or is below already",
    life_s=26.0 * HOUR_S,
    shown_s=(DAY_S, HOUR_S),
    devices=12,
    fleets={"train": 32, "validation": 16, "test": 16},
    # five minutes more would spare one false alert in a hundred, and come five minutes later
    dwell_hops=(0,),
    raise_at=(0.8, 0.85, 0.9),
    cooldown_s=0.5 * HOUR_S,
    net=Net(hidden=(64, 32), rate=1e-3),
    clip=12.0,
    augmentations=(Augmentation(name="drop-out of channels", bend=drop_channels(0.3)),),
    makes=(
        Recorded(
            name="Los-loop",
            words="loop detectors of Los Angeles that report speed alone every five minutes (Los-loop)",
            labeller=los_loop.congesting,
            share=0.4,
            period_s=5.0 * MINUTE_S,
            read=los_loop.recording,
            files=(los_loop.LOOPS,),
            licence="MIT",
            attribution="Los-loop as in T-GCN-PyTorch, (c) 2021 martinwhl, https://github.com/martinwhl/T-GCN-PyTorch.",
            scored_from_s=los_loop.SCORED_FROM_S,
            embargo_s=HOUR_S,
        ),
        Drawn(
            name="commuter belt",
            words=(
                "drawn detectors that report speed alone every five minutes, with rush hours (models/training/loops.py)"
            ),
            labeller=los_loop.congesting,
            share=0.2,
            period_s=5.0 * MINUTE_S,
            make=loops,
            fleets={"train": 8, "validation": 2},
            devices=16,
            life_s=4.0 * DAY_S,
        ),
    ),
    naive=(NaiveRule(name="persistence", feature="speed_km_h_last", sign=-1.0),),
)

RECIPES: Final = {
    "agriculture": AGRICULTURE_RECIPE,
    "industrial": INDUSTRIAL_RECIPE,
    "retail": RETAIL_RECIPE,
    "traffic": TRAFFIC_RECIPE,
}
"""Recipes by domain."""

__all__ = ["RECIPES", "Net"]
