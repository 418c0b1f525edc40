"""From settings to what runs on them: domains, proven shelves, plans and sources. Reads files, opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract import topics
from contract.domains import Domain
from gateway import plans as planning
from gateway.domain_pipeline import Plan
from gateway.domains import all_domains, own_domains
from gateway.inference.shelf import Shelf, load_all
from gateway.intake import IntakeLimits
from gateway.pipeline import Pipeline
from gateway.settings import Settings, shelves_folder
from gateway.sources.router import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that settings say of the pipeline, checked and ready."""

    settings: Settings
    domains: Mapping[str, Domain]
    shelves: tuple[Shelf, ...]
    plans: list[Plan]
    limits: IntakeLimits
    sources: Sources

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topic filters that the broker is asked for."""
        return (topics.ALL_TELEMETRY, topics.ALL_STATES, *self.sources.filters)

    def pipeline(self) -> Pipeline:
        """Return a pipeline with no device."""
        return Pipeline(self.plans, self.limits, self.sources)

    def inference_s(self) -> float:
        """Return the time spent in the models so far, seconds."""
        return sum(plan.model.scorer.inference_s for plan in self.plans if plan.model is not None)


def prepare(settings: Settings) -> Prepared:
    """Load what checked settings name.

    :raises ShelfError: a model may not run
    :raises DomainTableError: a table of a user's own domain is refused
    """
    own = own_domains(settings.domains_dir)
    domains = all_domains(own)
    shelves = load_all(shelves_folder(settings), domains)
    if settings.domains_dir is not None:
        shelves += load_all(settings.domains_dir, domains)
    return Prepared(
        settings=settings,
        domains=domains,
        shelves=shelves,
        plans=planning.plans(settings, shelves, own),
        limits=planning.limits(settings),
        sources=planning.sources(settings, own),
    )
