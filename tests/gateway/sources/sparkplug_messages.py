"""Sparkplug B payloads made by Google's protobuf from the message definition of Eclipse Tahu, for tests."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

TYPES = {"uint64": 4, "uint32": 13, "bool": 8, "float": 2, "double": 1, "string": 9}
METRIC = (
    (1, "name", "string"),
    (2, "alias", "uint64"),
    (3, "timestamp", "uint64"),
    (4, "datatype", "uint32"),
    (5, "is_historical", "bool"),
    (6, "is_transient", "bool"),
    (7, "is_null", "bool"),
    (10, "int_value", "uint32"),
    (11, "long_value", "uint64"),
    (12, "float_value", "float"),
    (13, "double_value", "double"),
    (14, "boolean_value", "bool"),
    (15, "string_value", "string"),
)
"""Numbers, names and types of sparkplug_b.proto's ``Metric``, the fields that carry measurements."""
FLOAT, INT32, UINT64 = 9, 3, 8


def payload(*metrics: dict[str, Any], time_ms: int | None = None, seq: int | None = None) -> bytes:
    """Return a payload with metrics, each given by the names of its fields."""
    made = _payload_class()()
    for metric in metrics:
        made.metrics.add(**metric)
    if time_ms is not None:
        made.timestamp = time_ms
    if seq is not None:
        made.seq = seq
    encoded: bytes = made.SerializeToString()
    return encoded


def _payload_class() -> Any:
    """Return the class of payloads, skipping the test where protobuf is not installed."""
    pytest.importorskip("google.protobuf", reason="protobuf comes with tflite-micro, which is not here")
    descriptors = importlib.import_module("google.protobuf.descriptor_pb2")
    pools = importlib.import_module("google.protobuf.descriptor_pool")
    factory = importlib.import_module("google.protobuf.message_factory")
    file = descriptors.FileDescriptorProto(name="sparkplug_b.proto", package="test", syntax="proto2")
    message = file.message_type.add(name="Payload")
    inner = message.nested_type.add(name="Metric")
    for number, name, kind in METRIC:
        inner.field.add(name=name, number=number, type=TYPES[kind], label=1)
    message.field.add(name="timestamp", number=1, type=TYPES["uint64"], label=1)
    message.field.add(name="metrics", number=2, type=11, type_name=".test.Payload.Metric", label=3)
    message.field.add(name="seq", number=3, type=TYPES["uint64"], label=1)
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName("test.Payload"))
