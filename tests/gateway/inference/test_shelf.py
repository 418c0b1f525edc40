"""A shelf is loaded only if everything about it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.inference.errors import (
    FeatureDriftError,
    HashError,
    ManifestError,
    ModelRefusedError,
    ParityError,
    ShelfFileError,
)
from gateway.inference.shelf import load, load_all
from tests.gateway.inference.shelf_copies import DOMAINS, SHELVES, copy, edit_manifest, edit_vectors, replace_file


@pytest.mark.parametrize("domain", DOMAINS)
def test_committed_shelf_loads_and_describes_itself(domain: str) -> None:
    shelf = load(SHELVES / domain)
    assert shelf.manifest.domain == domain
    assert shelf.scorer().feature_names == shelf.manifest.feature_names
    assert all(metric.passed for metric in shelf.manifest.metrics)
    assert len(shelf.content) <= 64 * 1024
    assert shelf.manifest.arena_bytes <= 64 * 1024


def test_every_shelf_of_a_folder_is_loaded_in_order() -> None:
    assert [shelf.manifest.domain for shelf in load_all(SHELVES)] == sorted(DOMAINS)


@pytest.mark.parametrize("name", ["model.tflite", "vectors.npz"])
def test_one_flipped_bit_is_refused_by_hash(name: str, tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    content = bytearray((shelf / name).read_bytes())
    content[len(content) // 2] ^= 1
    (shelf / name).write_bytes(content)
    with pytest.raises(HashError, match="Restore the shelf"):
        load(shelf)


def test_missing_model_is_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    (shelf / "model.tflite").unlink()
    with pytest.raises(ShelfFileError, match="No such file"):
        load(shelf)


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShelfFileError, match="models_dir"):
        load(tmp_path)


def test_float_model_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    replace_file(shelf, "model.tflite", (shelf / "model_float.tflite").read_bytes())
    with pytest.raises(ModelRefusedError, match="float32: inputs and outputs must be int8"):
        load(shelf)


def test_bytes_that_are_no_model_are_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    replace_file(shelf, "model.tflite", b"not a model at all")
    with pytest.raises(ModelRefusedError, match="LiteRT cannot read it"):
        load(shelf)


def test_model_of_another_domain_is_refused(tmp_path: Path) -> None:
    """Hashes may be right and the model still not be the one that the manifest describes."""
    shelf = copy("traffic", tmp_path)
    replace_file(shelf, "model.tflite", (SHELVES / "industrial" / "model.tflite").read_bytes())
    with pytest.raises(ModelRefusedError, match="the manifest says"):
        load(shelf)


def test_features_that_no_longer_come_out_of_the_golden_windows_are_refused_by_name(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)

    def move(arrays: dict[str, Any]) -> None:
        arrays["sample_values"][:, 2] *= 1.2  # the speed channel

    edit_vectors(shelf, move)
    with pytest.raises(FeatureDriftError, match="speed_km_h_mean") as caught:
        load(shelf)
    assert "flow_veh_h_mean" not in caught.value.what


def test_swapped_feature_names_are_refused(tmp_path: Path) -> None:
    """Each name exists and each number is right: only the golden windows show that they do not belong together."""
    shelf = copy("traffic", tmp_path)

    def swap(stated: dict[str, Any]) -> None:
        first, second = stated["features"][0], stated["features"][1]
        first["name"], second["name"] = second["name"], first["name"]

    edit_manifest(shelf, swap)
    with pytest.raises(FeatureDriftError, match="no longer come out"):
        load(shelf)


def test_feature_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_manifest(shelf, lambda stated: stated["features"][0].update(name="speed_km_h_mood"))
    with pytest.raises(FeatureDriftError, match="speed_km_h_mood"):
        load(shelf)


def test_golden_windows_that_no_longer_close_are_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_manifest(shelf, lambda stated: stated["window"].update(hop_s=420.0))
    with pytest.raises(FeatureDriftError, match="no longer close"):
        load(shelf)


def test_other_golden_outputs_are_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_vectors(shelf, lambda arrays: arrays.update(outputs=np.flip(np.sort(arrays["outputs"]))))
    with pytest.raises(ParityError, match="golden outputs"):
        load(shelf)


def test_another_scaling_is_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_manifest(shelf, lambda stated: stated["features"][0].update(scale=2.0 * stated["features"][0]["scale"]))
    with pytest.raises((ParityError, FeatureDriftError)):
        load(shelf)


def test_every_fault_of_a_manifest_is_named(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)

    def spoil(stated: dict[str, Any]) -> None:
        stated["judging"]["clear_at"] = 0.99
        stated["severity"] = "panic"
        stated["colour"] = "red"

    edit_manifest(shelf, spoil)
    with pytest.raises(ManifestError) as caught:
        load(shelf)
    assert all(word in caught.value.what for word in ("clear_at", "severity", "colour"))


def test_unknown_domain_is_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_manifest(shelf, lambda stated: stated.update(domain="moon-base"))
    with pytest.raises(ManifestError, match="moon-base"):
        load(shelf)


def test_channels_of_another_contract_are_refused(tmp_path: Path) -> None:
    shelf = copy("traffic", tmp_path)
    edit_manifest(shelf, lambda stated: stated["channels"].reverse())
    with pytest.raises(ManifestError, match="the model knows the channels"):
        load(shelf)
