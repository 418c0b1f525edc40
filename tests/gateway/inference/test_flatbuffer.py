"""Which models may run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.inference.flatbuffer import Anatomy, Tensor, findings, read
from gateway.inference.verify import check

SHELVES = Path(__file__).parents[3] / "models"
GIVEN = Tensor("in", (-1, 4), "int8", 0.1, 0)
TAKEN = Tensor("out", (-1, 1), "int8", 1 / 256, -128)


def anatomy(
    *,
    ops: tuple[str, ...] = ("FULLY_CONNECTED", "LOGISTIC"),
    inner: tuple[Tensor, ...] = (),
    inputs: tuple[Tensor, ...] = (GIVEN,),
    size_bytes: int = 4000,
) -> Anatomy:
    return Anatomy(size_bytes=size_bytes, ops=ops, inputs=inputs, outputs=(TAKEN,), tensors=(*inputs, *inner, TAKEN))


def test_dense_int8_net_with_an_open_batch_may_run() -> None:
    assert findings(anatomy()) == []


@pytest.mark.parametrize(
    ("spoilt", "rule", "word"),
    [
        (anatomy(ops=("FULLY_CONNECTED", "FlexErf")), "op", "FlexErf"),
        (anatomy(inner=(Tensor("hidden", (1, 8), "float32", 0.0, 0),)), "int8", "hidden"),
        (anatomy(inputs=(Tensor("in", (-1, 4), "uint8", 0.1, 0),)), "int8", "uint8"),
        (anatomy(inputs=(Tensor("in", (-1, 4), "int8", 0.0, 0),)), "int8", "not quantised"),
        (anatomy(inner=(Tensor("hidden", (1, -1), "int8", 0.1, 0),)), "shape", "dynamic"),
        (anatomy(inputs=(GIVEN, GIVEN)), "shape", "2 inputs"),
        (anatomy(size_bytes=65537), "size", "65537"),
    ],
)
def test_model_that_may_not_run_says_why(spoilt: Anatomy, rule: str, word: str) -> None:
    found = findings(spoilt)
    assert [finding.rule for finding in found] == [rule]
    assert word in found[0].text


def test_read_tells_operators_shapes_and_quantisation_of_a_real_model() -> None:
    found = read((SHELVES / "industrial" / "model.tflite").read_bytes())
    assert set(found.ops) == {"FULLY_CONNECTED", "LOGISTIC"}
    assert found.inputs[0].shape[0] == -1
    # a sigmoid's int8 output always spans 0 … 255/256
    assert (found.outputs[0].scale, found.outputs[0].zero_point) == (1 / 256, -128)


def test_check_says_of_a_float_model_that_it_may_not_run() -> None:
    report = check(SHELVES / "industrial" / "model_float.tflite")
    assert not report.passed
    assert {finding.rule for finding in report.findings} == {"int8"}


def test_check_says_of_garbage_that_it_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "garbage.tflite"
    file.write_bytes(b"\0" * 100)
    assert [finding.rule for finding in check(file).findings] == ["format"]
