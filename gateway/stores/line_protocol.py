r"""InfluxDB line protocol: one line a point.

``measurement,tag=value field=1.5,count=3i,text="said \"so\"" 1700000000000000000``

Escaping follows https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/. A line break would end the
line: InfluxDB takes one inside a string field, other servers of its write API drop the point and say nothing, so it
becomes a space everywhere. The library's ``Point``
does the same at several times the cost: docs/decisions/0005-line-protocol.md.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from contract.points import MODEL_VERSION, SCORE, FieldValue, Point, kind_of

_BREAKS: Final = {"\n": " ", "\r": " ", "\t": " "}
_plain: Final = re.compile(r"[\w.-]+").fullmatch
"""Tells whether a text needs no escaping; most do not."""
_MEASUREMENT: Final = str.maketrans({**dict.fromkeys(_BREAKS, r"\ "), ",": r"\,", " ": r"\ "})
_KEY: Final = str.maketrans({**dict.fromkeys(_BREAKS, r"\ "), ",": r"\,", " ": r"\ ", "=": r"\="})
_MISSING: Final = "null"
"""NaN and infinite numbers in JSON; all others are written there as line protocol has them."""
_json: Final = msgspec.json.Encoder().encode
_TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\", "\n": " "})


def encode_point(point: Point) -> str:
    """Return a point's line without its line break; empty if no field is left that InfluxDB can hold.

    NaN and infinite numbers are left out, as are tags without a value.
    """
    fields = _row(point.row, point.content) if isinstance(point.content, bytes) and point.row else _fields(point.fields)
    return f"{_head(point)} {fields} {point.time_ns}" if fields else ""


class _Kind(NamedTuple):
    """A kind of rows, ready to be written."""

    names: tuple[str, ...]
    """Escaped, each with its equals sign."""
    unpack: Callable[[bytes], tuple[float, ...]]
    version: str
    """The field that stands beside a score; empty without a model."""
    score: int
    """Where the score is, if there is a version."""


@lru_cache(maxsize=64)
def _kind(row: bytes) -> _Kind:
    kind = kind_of(row)
    versioned = kind.model_version and SCORE in kind.names
    return _Kind(
        names=tuple(f"{_key(name)}=" for name in kind.names),
        unpack=struct.Struct(f"<{len(kind.names)}f").unpack,
        version=f"{MODEL_VERSION}={_field(kind.model_version)}" if versioned else "",
        score=kind.names.index(SCORE) if versioned else 0,
    )


def _row(row: bytes, numbers: bytes) -> str:
    """Return the fields of a row as :func:`_fields` does, at an eighth of the cost: most of it were numbers as text."""
    kind = _kind(row)
    texts = _json(kind.unpack(numbers)).decode()[1:-1].split(",")
    fields = [name + text for name, text in zip(kind.names, texts, strict=True) if text != _MISSING]
    if kind.version and texts[kind.score] != _MISSING:
        fields.append(kind.version)
    return ",".join(fields)


def _fields(fields: Mapping[str, FieldValue | None]) -> str:
    return ",".join([f"{_key(name)}={text}" for name, value in fields.items() if (text := _field(value)) is not None])


def _head(point: Point) -> str:
    tags = "".join([f",{_key(name)}={_key(value)}" for name, value in sorted(point.tags.items()) if value])
    return point.measurement.translate(_MEASUREMENT) + tags


def _field(value: FieldValue | None) -> str | None:
    if isinstance(value, float):
        # repr of a float always has a point, an exponent or both, so a whole number stays a float
        return float.__repr__(value) if math.isfinite(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    return None if value is None else '"' + value.translate(_TEXT) + '"'


def _key(text: str) -> str:
    """Escape a tag's name or value, or a field's name; a backslash at its end would swallow what follows."""
    if _plain(text):
        return text
    escaped = text.translate(_KEY)
    return escaped + r"\ " if escaped.endswith("\\") else escaped
