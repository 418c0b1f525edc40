r"""InfluxDB line protocol: one line a point.

``measurement,tag=value field=1.5,count=3i,text="said \"so\"" 1700000000000000000``

Escaping follows https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/. A line break would end the
line: InfluxDB takes one inside a string field, other servers of its write API drop the point and say nothing, so it
becomes a space everywhere. The library's ``Point``
does the same at several times the cost: docs/decisions/0005-line-protocol.md.
"""

from __future__ import annotations

import math
from typing import Final

from contract.points import FieldValue, Point

_BREAKS: Final = {"\n": " ", "\r": " ", "\t": " "}
_MEASUREMENT: Final = str.maketrans({**dict.fromkeys(_BREAKS, r"\ "), ",": r"\,", " ": r"\ "})
_KEY: Final = str.maketrans({**dict.fromkeys(_BREAKS, r"\ "), ",": r"\,", " ": r"\ ", "=": r"\="})
_TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\", "\n": " "})


def encode_point(point: Point) -> str:
    """Return a point's line without its line break; empty if no field is left that InfluxDB can hold.

    NaN and infinite numbers are left out, as are tags without a value.
    """
    fields = ",".join(
        [
            f"{name if name.isidentifier() else _key(name)}={text}"
            for name, value in point.fields.items()
            if (text := _field(value)) is not None
        ]
    )
    return f"{_head(point)} {fields} {point.time_ns}" if fields else ""


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
    escaped = text.translate(_KEY)
    return escaped + r"\ " if escaped.endswith("\\") else escaped
