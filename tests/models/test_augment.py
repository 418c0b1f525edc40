"""Bent recordings: what is bent, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.frames import WindowSpec
from models.training.augment import Bend, drop_channels, gain, jitter, warp
from models.training.dataset import fault_labels, rows_of
from models.training.simulate import Recording

NAMES = INDUSTRIAL.channel_names
FLOW = NAMES.index("flow_l_min")
TIMES = np.arange(1200.0)
PUMPS = tuple(DeviceId("plant", "industrial", f"pump-{number}") for number in range(20))
FAULT = Truth(
    fault="leak", kind="fault", site="plant", domain="industrial", device="pump-0", onset_s=500.0, end_s=700.0
)
SPEC = WindowSpec(length_s=60.0, hop_s=10.0, period_s=1.0, lateness_s=0.0, calibration_s=100.0, monitor=True)


def recording() -> Recording:
    """Return pumps whose every channel rises by one a second, plus a little noise."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, (len(PUMPS), len(TIMES), len(NAMES)))
    values = (100.0 + TIMES[None, :, None] + noise).astype(np.float32)
    return Recording(
        domain=INDUSTRIAL,
        devices=PUMPS,
        times=(TIMES,) * len(PUMPS),
        values=tuple(values),
        sent_s=(TIMES,) * len(PUMPS),
        physical=values,
        start_s=0.0,
        truths=(FAULT,),
    )


def bent(bend: Bend, seed: int = 1) -> Recording:
    return bend(recording(), np.random.default_rng(seed))


def test_a_dropped_channel_is_missing_for_the_whole_life_and_some_channel_always_stays() -> None:
    found = bent(drop_channels(0.95))
    share = np.array([np.isnan(values).mean(axis=0) for values in found.values])
    assert set(np.unique(share)) == {0.0, 1.0}
    assert ((share == 0.0).sum(axis=1) >= 1).all()
    assert (share == 1.0).mean() > 0.7


def test_features_of_a_dropped_channel_are_those_of_a_device_that_never_had_it() -> None:
    whole = recording()
    gone = np.isnan(bent(drop_channels(0.5)).values[0]).all(axis=0)
    names = [f"{name}_{what}" for name in NAMES for what in ("mean", "std", "cal_z", "missing")] + ["t2", "q"]
    label = fault_labels(0.0, {})
    dropped = rows_of(bent(drop_channels(0.5)), SPEC, names, label)
    mine = dropped.device == 0
    absent = np.where(gone, np.float32(np.nan), whole.values[0])
    never = rows_of(
        replace(whole, devices=PUMPS[:1], times=(TIMES,), values=(absent,), sent_s=(TIMES,), physical=absent[None]),
        SPEC,
        names,
        label,
    )
    np.testing.assert_array_equal(dropped.features[mine], never.features)


def test_jitter_is_of_the_stated_size_in_each_channels_own_deviations() -> None:
    whole, found = recording(), bent(jitter(0.2))
    moved = np.stack(found.values) - np.stack(whole.values)
    ratio = moved.std(axis=1) / np.stack(whole.values).std(axis=1)
    np.testing.assert_allclose(ratio, 0.2, rtol=0.15)
    np.testing.assert_array_equal(found.physical, whole.physical)


def test_gain_multiplies_the_named_channels_by_one_factor_a_device() -> None:
    whole, found = recording(), bent(gain(0.3, "flow_l_min"))
    ratio = np.stack(found.values) / np.stack(whole.values)
    np.testing.assert_array_equal(np.delete(ratio, FLOW, axis=2), 1.0)
    np.testing.assert_allclose(ratio[:, :, FLOW].std(axis=1), 0.0, atol=1e-6)
    assert ratio[:, 0, FLOW].std() > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_warped_time_bends_values_physics_and_faults_alike(seed: int) -> None:
    """Every channel told the time before: the value shown at the fault's new onset is that of its old onset."""
    found = bent(warp(0.3), seed)
    course = found.values[0][:, FLOW] - 100.0
    (fault,) = found.truths
    assert np.interp(fault.onset_s, TIMES, course) == pytest.approx(500.0, abs=2.0)
    assert np.interp(fault.end_s, TIMES, course) == pytest.approx(700.0, abs=2.0)
    np.testing.assert_array_equal(found.physical[0], found.values[0])
    assert np.abs(course - TIMES).max() > 5.0
    assert (np.diff(course) > -1.0).all()
    assert course[[0, -1]] == pytest.approx([0.0, 1199.0], abs=2.0)
