"""What regularisation, augmentation and further makes are worth: fits without each, on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from models.training.network import LOSS, Fitted, Net, learn
from models.training.parts import FLEETS, Data, Group, seen, sets, trained_on
from models.training.quantised import Scaling
from models.training.recipes import Recipe

SHIPPED: Final = "as shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to fit, and what it reaches."""

    name: str
    ranks: dict[str, float]
    """Average precision of each validation set at the epoch that was kept."""

    def worst_change(self, shipped: Variant) -> tuple[float, str]:
        """Return the greatest loss against the net as shipped, and the set that loses it; above 0 where all gain."""
        return min((self.ranks[name] - rank, name) for name, rank in shipped.ranks.items())


def compare(recipe: Recipe, data: Data, scale: Scaling, fitted: Fitted, report: Callable[[str], None]) -> list[Variant]:
    """Fit each variant, for no more epochs than the net as it is shipped took; that one stands first."""
    watched = {name: seen(rows, scale) for name, rows in sets(data).items()}
    found = [Variant(name=SHIPPED, ranks={name: fitted.curves[name][fitted.epoch] for name in watched})]
    for name, groups, net in variants(recipe, data):
        report(name)
        brief = replace(net, epochs=len(fitted.curves[LOSS]))
        found.append(Variant(name=name, ranks=learn(trained_on(groups, scale), watched, brief).kept))
    return found


def variants(recipe: Recipe, data: Data) -> Iterator[tuple[str, list[Group], Net]]:
    """Name the ways to fit beside the shipped one: training groups and net; the first says how much is chance."""
    idle = {each.name for each in recipe.augmentations if not each.used}
    shipped, net = [group for group in data.train if group.name not in idle], recipe.net
    yield "another seed", shipped, replace(net, seed=net.seed + 1)
    yield "without noise on the inputs", shipped, replace(net, jitter=0.0)
    yield "without weight decay", shipped, replace(net, decay=0.0)
    yield "without drawn-in labels", shipped, replace(net, smoothing=0.0)
    for group in data.train:
        if group.name in idle:
            yield f"with {group.name}", [*shipped, group], net
        elif group.name != FLEETS:
            yield f"without {group.name}", [each for each in shipped if each.name != group.name], net
