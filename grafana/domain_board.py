"""One dashboard for each domain, from its channel table: scores, alerts, and every channel against its own baseline."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, VizOrientation

from contract import points
from contract.domains import Channel, Domain
from grafana.board import AlertAnnotation, Board, Dress, as_baseline, as_region, dressed, lines, thresholds, variable
from grafana.health import CLEARING, FIRING, RESOLVED, state_mapping
from grafana.influxql import ALERTS, FEATURES, HERE, MIXED, Query, outer, select
from grafana.shelves import ModelRule
from grafana.units import unit_of

DEVICE: Final = ("site", "device")
EVERY: Final = "$__interval"
SCORE_PANEL: Final = 2
"""Number of the panel with the model's score: alerts link to it."""
CALENDAR: Final = ("hour", "weekday", "part_of_day", "weekend", "holiday")


def uid(domain: str) -> str:
    """Return the uid of a domain's dashboard."""
    return f"edgefleet-{domain}"


def domain_board(domain: Domain, rule: ModelRule | None) -> Board:
    """Return the dashboard of one domain."""
    title = f"{domain.name.capitalize()}: {domain.device}s"
    board = Board(uid(domain.name), title, f"Every {domain.device}: score, alerts and channels.", since="now-24h")
    board.with_variable(variable("site", domain.name))
    board.with_variable(variable("device", domain.name, where=HERE[0]))
    board.annotation(AlertAnnotation((_of(domain), *HERE)))
    board.row("Health").add(_score(domain, rule), _states(domain)).add(_coverage(domain), _calendar(domain))
    for channel in domain.channels:
        board.row(f"{channel.description} ({channel.name})")
        board.add(_values(domain, channel), _spread(domain, channel), _distance(domain, channel))
    board.row("Long view: hourly means")
    return board.add(*(_hourly(domain, channel) for channel in domain.channels))


def _of(domain: Domain) -> str:
    return f"\"domain\" = '{domain.name}'"


def _score(domain: Domain, rule: ModelRule | None) -> Any:
    """Return the score with the levels at which its alert rises and clears, alerts being shaded."""
    by_device = select(f'max("{points.SCORE}")', domain.name, where=HERE, by=DEVICE, every=EVERY)
    alerts = select(
        'last("state")', points.ALERTS, where=(_of(domain), *HERE), by=("device", "rule"), every=EVERY, fill="previous"
    )
    words = "Without a shelf nothing is scored." if rule is None else _words(rule)
    panel = lines(
        Dress(
            title="Model score and alerts",
            description=f"{words} Shaded: an alert fires on the device; one that began before the chosen time is not.",
            unit="percentunit",
            width=16,
            height=9,
            no_value="not scored yet",
            uid=MIXED,
            targets=(
                Query(by_device, alias="$tag_device"),
                Query(alerts, uid=ALERTS, alias="$tag_rule on $tag_device", ref_id="B"),
            ),
        )
    )
    panel.min(0).max(1)
    if rule is not None:
        steps = (None, RESOLVED.colour), (rule.clear_at, CLEARING.colour), (rule.raise_at, FIRING.colour)
        style = look.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel.thresholds(thresholds(*steps)).thresholds_style(style)
    return as_region(panel, "B")


def _words(rule: ModelRule) -> str:
    return (
        f"{rule.meaning.rstrip('.')}. `{rule.name}` ({rule.severity}) is raised at {rule.raise_at:g} "
        f"for {rule.raise_dwell_s:g} s and clears below {rule.clear_at:g} for {rule.clear_dwell_s:g} s."
    )


def _states(domain: Domain) -> Any:
    query = select(
        'last("state")', points.ALERTS, where=(_of(domain), *HERE), by=("device", "rule"), every=EVERY, fill="previous"
    )
    dress = Dress(
        title="Alerts of these devices",
        description="Each rule that began or ended on a device in this time; what fires since before is not here.",
        unit="none",
        width=8,
        height=9,
        no_value="no alert in this time",
        uid=ALERTS,
        targets=(Query(query, uid=ALERTS, alias="$tag_device $tag_rule"),),
    )
    return dressed(StateTimeline(), dress).mappings([state_mapping()])


def _coverage(domain: Domain) -> Any:
    query = select(f'min("{points.COVERAGE}")', domain.name, where=HERE, by=DEVICE, every=EVERY)
    dress = Dress(
        title="Coverage of windows",
        description="Share of the samples that a window should hold and does; too few, and it is not scored.",
        unit="percentunit",
        width=12,
        height=6,
        targets=(Query(query, alias="$tag_device"),),
    )
    return lines(dress).min(0).max(1)


def _calendar(domain: Domain) -> Any:
    what = ", ".join(f'last("{name}") AS "{name}"' for name in CALENDAR)
    dress = Dress(
        title="Time features",
        description="Local calendar of the windows' ends: hour, weekday (Monday 0), part of day (night 0, morning 1, "
        "afternoon 2, evening 3), weekend and public holiday (1).",
        unit="none",
        width=12,
        height=6,
        targets=(Query(select(what, domain.name, where=HERE, every=EVERY), alias="$col"),),
    )
    return dressed(StateTimeline(), dress)


def _values(domain: Domain, channel: Channel) -> Any:
    """Return a channel's rolling mean, least and largest, with its day's mean; what cannot be is red."""
    name, unit = channel.name, unit_of(channel)
    what = f'mean("{name}_mean") AS "mean", min("{name}_min") AS "min", max("{name}_max") AS "max"'
    rolling = select(what, domain.name, where=HERE, by=DEVICE, every=EVERY)
    usual = select(
        f'mean("{name}_mean")',
        points.summary(domain, "hourly"),
        where=HERE,
        by=DEVICE,
        every="1d",
        fill="previous",
    )
    panel = lines(
        Dress(
            title=f"{channel.description}",
            description=f"Rolling mean, least and largest of each window. Valid: {channel.low:g} … {channel.high:g} "
            f"{channel.unit}; beyond is red. Dashed: the device's own mean of the day.",
            unit=unit,
            width=12,
            height=8,
            targets=(
                Query(rolling, alias="$tag_device $col"),
                Query(usual, alias="$tag_device usual", ref_id="B"),
            ),
        )
    )
    range_ = thresholds((None, FIRING.colour), (channel.low, "transparent"), (channel.high, FIRING.colour))
    style = look.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.AREA)
    return as_baseline(panel.thresholds(range_).thresholds_style(style), "B")


def _spread(domain: Domain, channel: Channel) -> Any:
    query = select(f'mean("{channel.name}_std")', domain.name, where=HERE, by=DEVICE, every=EVERY)
    dress = Dress(
        title="Rolling spread",
        description=f"Standard deviation of {channel.name} within each window.",
        unit=unit_of(channel),
        width=6,
        height=8,
        targets=(Query(query, alias="$tag_device"),),
    )
    return lines(dress)


def _distance(domain: Domain, channel: Channel) -> Any:
    """Return how far each device is from its own last week."""
    mean = f'"{channel.name}_mean"'
    what = f'last({mean}) AS "now", mean({mean}) AS "usual", stddev({mean}) AS "spread"'
    inner = select(what, domain.name, where=HERE, by=DEVICE, time="time > now() - 7d")
    dress = Dress(
        title="Against its own week",
        description="Newest window's mean less the device's mean of seven days, in its standard deviations.",
        unit="suffix: σ",  # noqa: RUF001
        width=6,
        height=8,
        no_value="no baseline yet",
        targets=(Query(outer('("now" - "usual") / "spread"', inner, by=DEVICE), alias="$tag_device"),),
    )
    steps = thresholds((None, CLEARING.colour), (-3, RESOLVED.colour), (3, FIRING.colour))
    return dressed(BarGauge(), dress).min(-6).max(6).orientation(VizOrientation.HORIZONTAL).thresholds(steps)


def _hourly(domain: Domain, channel: Channel) -> Any:
    query = select(f'mean("{channel.name}_mean")', points.summary(domain, "hourly"), where=HERE, by=DEVICE, every="1h")
    dress = Dress(
        title=f"{channel.description}, hourly",
        description=f"Hourly mean of {channel.name}, {channel.unit}; kept longer than the windows.",
        unit=unit_of(channel),
        width=12,
        height=6,
        uid=FEATURES,
        targets=(Query(query, alias="$tag_device"),),
    )
    return lines(dress)
