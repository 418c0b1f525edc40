"""From settings and shelves to plans: how each domain is processed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contract.domains import Domain
from gateway.alerts import Rule, sensor_rules
from gateway.calendars import Calendar
from gateway.domain_pipeline import Model, Plan
from gateway.domains import OwnDomain, all_domains
from gateway.frames import WindowSpec
from gateway.inference.manifest import Manifest
from gateway.inference.shelf import Shelf
from gateway.intake import IntakeLimits
from gateway.limits import limits as compiled_limits
from gateway.settings import DomainSettings, Settings
from gateway.sources.router import Sources, compile_sources


def plans(settings: Settings, shelves: Sequence[Shelf], own: Mapping[str, OwnDomain] | None = None) -> list[Plan]:
    """Return a plan for every domain; a domain without a shelf is stored, summarised and watched, but not scored.

    ``own`` are the user's domains.
    """
    own = own or {}
    by_domain = {shelf.manifest.domain: shelf for shelf in shelves}
    calendar = Calendar(settings.site.time_zone, settings.site.country)
    return [
        _plan(domain, by_domain.get(name), settings.domain(name), calendar, own.get(name))
        for name, domain in all_domains(own).items()
    ]


def sources(settings: Settings, own: Mapping[str, OwnDomain]) -> Sources:
    """Return the sources of a site, compiled."""
    domains = all_domains(own)
    periods_s = {name: settings.domain(name).period_s or domain.period_s for name, domain in domains.items()}
    return compile_sources(settings.sources, domains, periods_s, settings.site.time_zone)


def limits(settings: Settings) -> IntakeLimits:
    """Return what untrusted devices may do."""
    return IntakeLimits(
        max_payload_bytes=settings.limits.max_payload_bytes,
        max_devices=settings.limits.max_devices,
        max_messages_per_s=settings.limits.max_messages_per_s,
        max_future_s=settings.limits.max_future_s,
        max_pause_s=max(15.0, 3 * settings.queues.tick_s),
    )


def _plan(domain: Domain, shelf: Shelf | None, here: DomainSettings, calendar: Calendar, own: OwnDomain | None) -> Plan:
    model = None
    domain = domain if here.period_s is None else replace(domain, period_s=here.period_s)
    default = default_window(domain) if own is None else own.window
    window = _window_here(default if shelf is None else shelf.manifest.window.spec, here)
    limits_here = compiled_limits({**({} if own is None else own.limits), **here.limits}, domain)
    if any(limit.settings.unusual is not None for limit in limits_here):
        window = replace(window, usual=True)
    rules = (*(limit.rule(domain) for limit in limits_here), *sensor_rules(domain, window_s=window.length_s))
    if shelf is not None:
        stated = shelf.manifest
        rules = (model_rule(stated, here), *rules)
        model = Model(rule=stated.rule, version=stated.version, scorer=shelf.scorer("optimised"))
    return Plan(
        domain=domain,
        window=window,
        rules=rules,
        model=model,
        limits=limits_here,
        calendar=calendar,
        silent_after_s=here.silent_after_s,
    )


def default_window(domain: Domain) -> WindowSpec:
    """Return windows of sixty samples, six to a window, for a domain without a shelf."""
    period_s = domain.period_s
    return WindowSpec(length_s=60 * period_s, hop_s=10 * period_s, period_s=period_s, lateness_s=2 * period_s)


def model_rule(stated: Manifest, here: DomainSettings) -> Rule:
    """Return the rule that judges a model's scores, with this site's thresholds where they are set."""
    judging = stated.judging
    raise_at = judging.raise_at if here.raise_at is None else here.raise_at
    clear_at = min(judging.clear_at, raise_at) if here.clear_at is None else here.clear_at
    return Rule(
        name=stated.rule,
        domain=stated.domain,
        kind="model",
        severity=stated.severity,
        raise_at=raise_at,
        clear_at=clear_at,
        raise_dwell_s=judging.raise_dwell_s,
        clear_dwell_s=judging.clear_dwell_s,
        cooldown_s=judging.cooldown_s,
        model_version=stated.version,
    )


def _window_here(window: WindowSpec, here: DomainSettings) -> WindowSpec:
    """Return a window with this site's period, lateness and coverage; a longer period brings its lateness along."""
    coverage = window.min_coverage if here.min_coverage is None else here.min_coverage
    window = window if here.period_s is None else window.at_period(here.period_s)
    lateness_s = window.lateness_s if here.lateness_s is None else here.lateness_s
    return replace(window, lateness_s=lateness_s, min_coverage=coverage)
