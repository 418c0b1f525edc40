"""Small dense nets: fitted on standardised features, stopped by the worst validation set, quantised to int8."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.inference.muting import muted
from models.training.metrics import average_precision

Floats = NDArray[np.float32]

LOSS: Final = "loss"
"""The curve of the training loss, beside those of the validation sets."""
REPRESENTATIVE: Final = 2000
"""Rows from which the ranges of an int8 net are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """Shape and training of a net."""

    hidden: tuple[int, ...] = (32, 16)
    epochs: int = 40
    patience: int = 8
    """Epochs without a better worst set after which fitting ends."""
    batch: int = 512
    rate: float = 2e-3
    decay: float = 1e-4
    """Weight decay (L2)."""
    jitter: float = 0.05
    """Standard deviation of noise on the standardised inputs, in scales."""
    against: Literal["worst", "own best"] = "own best"
    """Which epoch is kept: the one whose worst set ranks best; or, since one set can never rank as well as another,
    the one whose worst set lies least below the best that it ever reached."""
    smoothing: float = 0.04
    """How far labels are drawn to the middle. It keeps the last layer within a few units, so that its int8 quantum is
    a few hundredths of a score and not a tenth."""
    seed: int = 20240229


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one data set, standardised: features ``(n, f)``, label and weight ``(n,)``."""

    features: Floats
    label: NDArray[np.bool_]
    weight: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted net in both forms, and how it came about."""

    float_model: bytes
    int8_model: bytes
    curves: dict[str, tuple[float, ...]]
    """Average precision of each validation set, and the training loss, epoch by epoch."""
    epoch: int
    """The epoch that was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A fitted net before its conversion."""

    model: Any
    curves: dict[str, tuple[float, ...]]
    """Average precision of each validation set, and the training loss, epoch by epoch."""
    epoch: int
    """The epoch that was kept."""

    @property
    def kept(self) -> dict[str, float]:
        """Average precision of each validation set at the epoch that was kept."""
        return {name: curve[self.epoch] for name, curve in self.curves.items() if name != LOSS}


def fit(train: Part, validation: Mapping[str, Part], net: Net) -> Fitted:
    """Fit, keep the epoch whose worst validation set ranks best, convert to TFLite, float and int8."""
    learned = learn(train, validation, net)
    rows = train.features[_representative(train, net.seed)]
    float_model, int8_model = _convert(_tensorflow(net.seed), learned.model, rows)
    return Fitted(float_model=float_model, int8_model=int8_model, curves=learned.curves, epoch=learned.epoch)


def learn(train: Part, validation: Mapping[str, Part], net: Net) -> Learned:
    """Fit a net to weighted rows and keep the epoch whose worst validation set ranks best."""
    tf = _tensorflow(net.seed)
    tf.keras.backend.clear_session()  # else layers count on from the net before, and their names are in the files
    model = _build(tf, train.features.shape[1], net)
    model.compile(
        optimizer=tf.keras.optimizers.AdamW(net.rate, weight_decay=net.decay),
        loss=tf.keras.losses.BinaryCrossentropy(label_smoothing=net.smoothing),
    )
    label = train.label.astype(np.float32)
    curves: dict[str, list[float]] = {LOSS: [], **{name: [] for name in validation}}
    kept: list[Any] = []
    best_epoch = 0
    for epoch in range(net.epochs):
        history = model.fit(train.features, label, sample_weight=train.weight, batch_size=net.batch, verbose=0)
        curves[LOSS].append(float(history.history["loss"][0]))
        for name, part in validation.items():
            curves[name].append(_rank(model, part))
        kept.append(model.get_weights())
        best_epoch = best_of([curves[name] for name in validation], net)
        if epoch - best_epoch >= net.patience:
            break
    model.set_weights(kept[best_epoch])
    return Learned(model=model, curves={name: tuple(values) for name, values in curves.items()}, epoch=best_epoch)


def _representative(train: Part, seed: int) -> NDArray[np.int64]:
    """Return rows from which the converter reads the ranges inside the net: drawn by weight, so every make is there."""
    chance = train.weight.astype(np.float64) / train.weight.sum(dtype=np.float64)
    return np.random.default_rng(seed).choice(len(chance), size=REPRESENTATIVE, p=chance)


def best_of(curves: Sequence[Sequence[float]], net: Net) -> int:
    """Return the epoch to keep, of each validation set's curve; the earliest of those that differ by nothing."""
    ranks = np.array(curves)
    if net.against == "own best":
        ranks = ranks - ranks.max(axis=1, keepdims=True)
    worst = ranks.min(axis=0)
    best = 0
    for epoch in range(1, len(worst)):
        if worst[epoch] > worst[best] + 1e-4:
            best = epoch
    return best


def _tensorflow(seed: int) -> Any:
    """Import TensorFlow, one thread and the same numbers every time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels differ from processor to processor
    with muted():  # it greets with its compiler flags
        import tensorflow as tf  # noqa: PLC0415  # seconds to import, an extra, wanted only when training

    with contextlib.suppress(RuntimeError):  # already running: then the settings already stand
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return tf


def _build(tf: Any, width: int, net: Net) -> Any:
    layers = tf.keras.layers
    hidden = [layers.Dense(units, activation="relu") for units in net.hidden]
    return tf.keras.Sequential(
        [tf.keras.Input((width,)), layers.GaussianNoise(net.jitter), *hidden, layers.Dense(1, activation="sigmoid")]
    )


def _rank(model: Any, part: Part) -> float:
    counted = part.weight > 0.0
    scores = model.predict(part.features[counted], batch_size=8192, verbose=0)[:, 0]
    return average_precision(part.label[counted], scores)


def _convert(tf: Any, model: Any, rows: Floats) -> tuple[bytes, bytes]:
    with _quiet():
        plain = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None, :]] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(plain), bytes(converter.convert())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's reports out of the terminal."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), muted():
        warnings.simplefilter("ignore")
        yield
