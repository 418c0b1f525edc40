"""SenML (RFC 8428): packs of records in JSON or CBOR, with base values and relative times resolved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from contract.errors import PayloadError
from gateway.sources.records import Record, number

VERSION: Final = 10
RELATIVE_BELOW_S: Final = 2.0**28
"""A smaller time is relative to now (section 4.5.3)."""
_LABELS: Final = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
"""Labels of the CBOR form (section 6)."""


def labelled(document: Any) -> Any:
    """Return a decoded CBOR pack with the names of the JSON form.

    :raises PayloadError: it is not a pack
    """
    _check(document)
    return [{_LABELS.get(key, key): value for key, value in record.items()} for record in document]


def records(document: Any, now_s: float) -> list[Record]:
    """Return a pack as records, one a time; fields are under their name and under the whole name, base included.

    :raises PayloadError: it is not a pack, or of a version that is not known
    """
    _check(document)
    base: dict[str, Any] = {}
    by_time: dict[float, tuple[dict[str, Any], dict[str, str]]] = {}
    for record in document:
        base |= {key: value for key, value in record.items() if isinstance(key, str) and key.startswith("b")}
        _understood(record, base)
        value = _value(record, base)
        if value is None:
            continue
        fields, units = by_time.setdefault(_time_s(record, base, now_s), ({}, {}))
        name, unit = str(record.get("n", "")), record.get("u", base.get("bu"))
        for each in {name, str(base.get("bn", "")) + name} - {""}:
            fields[each] = value
            if isinstance(unit, str):
                units[each] = unit
    return [Record(fields, time_s, units) for time_s, (fields, units) in sorted(by_time.items())]


def _check(document: Any) -> None:
    whole = isinstance(document, Sequence) and not isinstance(document, str | bytes)
    if not whole or not all(isinstance(record, Mapping) for record in document):
        raise PayloadError("it is not a SenML pack: an array of records")


def _understood(record: Mapping[Any, Any], base: Mapping[str, Any]) -> None:
    if _real(base, "bver") > VERSION:
        raise PayloadError(f"SenML of version {base['bver']}; {VERSION} is the newest that is known")
    for key in record:
        if isinstance(key, str) and key.endswith("_"):
            raise PayloadError(f"SenML label {key!r} must be understood, and is not")


def _value(record: Mapping[Any, Any], base: Mapping[str, Any]) -> Any:
    """Return what a record says; a sum (``s``) or data (``vd``) is not a measurement of now."""
    if "v" in record or ("bv" in base and not {"vs", "vb", "vd", "s"} & record.keys() and "n" in record):
        return _real(record, "v") + _real(base, "bv")
    return record.get("vb", record.get("vs"))


def _time_s(record: Mapping[Any, Any], base: Mapping[str, Any], now_s: float) -> float:
    time_s = _real(record, "t") + _real(base, "bt")
    return time_s + now_s if time_s < RELATIVE_BELOW_S else time_s


def _real(record: Mapping[Any, Any], key: str) -> float:
    value = record.get(key, 0.0)
    found = math.nan if isinstance(value, str) else number(value, {})
    if math.isnan(found):
        raise PayloadError(f"SenML {key} = {value!r:.40} is not a number")
    return found
