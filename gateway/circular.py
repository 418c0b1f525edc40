"""Times of day as directions: von Mises mean and concentration, and how unusual a time is.

Mardia and Jupp, *Directional Statistics* (2000); the concentration is the maximum-likelihood one, with the correction
of Best and Fisher (1981) for few events.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from gateway.frames import Doubles

MAX_CONCENTRATION: Final = 500.0
"""Concentrations are cut here: a standard deviation of ten minutes. Equal times have no finite one."""
_FEW: Final = 16
"""Below this number of events the maximum-likelihood concentration is too high by much, and is corrected."""
_TERMS: Final = 120
_REACH: Final = 9.0
"""Half the width, in units of ``1 / sqrt(concentration)``, beyond which a von Mises density is nil."""
_NODES: Final = 48


def direction(sums: Doubles) -> Doubles:
    """Return the mean direction, 0…2π, of sums (count, cosines, sines) in the last axis; NaN without events."""
    angle = np.mod(np.arctan2(sums[..., 2], sums[..., 1]), 2 * np.pi)
    return np.where(sums[..., 0] > 0, angle, np.nan)


def concentration(sums: Doubles) -> Doubles:
    """Return the von Mises concentration of sums (count, cosines, sines); 0: no preferred time, NaN: no events."""
    n = np.where(sums[..., 0] > 0, sums[..., 0], np.nan)
    length = np.clip(np.hypot(sums[..., 1], sums[..., 2]) / n, 0.0, 1.0)
    kappa = _most_likely(length)
    # Best and Fisher 1981; one event alone says nothing of the spread
    few = np.where(
        kappa < 2, np.maximum(kappa - 2 / (n * np.maximum(kappa, 1e-9)), 0.0), (n - 1) ** 3 * kappa / (n**3 + n)
    )
    return np.where(n < _FEW, few, kappa)


def unusual(sums: Doubles, angle: Doubles) -> Doubles:
    """Return how sure one may be, 0…1, that a time of day (radians) is not one of the event's usual times.

    It is the share of events that are expected nearer to the mean direction.
    """
    kappa, mean = concentration(sums), direction(sums)
    distance = np.abs(np.mod(angle - mean + np.pi, 2 * np.pi) - np.pi)
    half = np.minimum(distance, _REACH / np.sqrt(np.maximum(kappa, 1e-9))) / 2
    nodes, weights = _quadrature()
    points = half[..., None] * (nodes + 1)
    density = np.exp(kappa[..., None] * (np.cos(points) - 1))
    share: Doubles = half * (density * weights).sum(axis=-1) / (np.pi * np.i0(kappa) * np.exp(-kappa))
    return np.clip(share, 0.0, 1.0)


@cache
def _quadrature() -> tuple[Doubles, Doubles]:
    """Return Gauss and Legendre's nodes and weights; made when needed, since that loads a library of 3 MB."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _most_likely(length: Doubles) -> Doubles:
    """Invert ``I1(kappa) / I0(kappa) = length``: Banerjee et al. 2005 as a start, then Newton's steps."""
    room = np.maximum(1 - length**2, 1e-12)
    kappa = np.minimum(length * (2 - length**2) / room, MAX_CONCENTRATION)
    for _ in range(4):
        ratio = _bessel_ratio(kappa)
        slope = 1 - ratio / np.maximum(kappa, 1e-9) - ratio**2
        step = np.where(kappa > 1e-6, (ratio - length) / np.maximum(slope, 1e-9), 0.0)
        kappa = np.clip(kappa - step, 0.0, MAX_CONCENTRATION)
    return kappa


def _bessel_ratio(kappa: Doubles) -> Doubles:
    """Return ``I1 / I0`` by its continued fraction ``1 / (2/k + 1 / (4/k + …))``."""
    inverse = 1 / np.maximum(kappa, 1e-9)
    ratio = np.zeros_like(inverse)
    for order in range(_TERMS, 0, -1):
        ratio = 1 / (2 * order * inverse + ratio)
    return ratio
