"""InfluxDB line protocol: ``measurement,tag=x field=1.5,other=2i 1700000000000000000``, a record a line."""

from __future__ import annotations

import re
from typing import Any, Final

from contract.errors import PayloadError
from gateway.sources.records import Record

_NAME: Final = r"(?:\\.|[^,= \\]|\\)+"
_HEAD: Final = re.compile(rf"((?:\\.|[^, \\]|\\)+)((?:,{_NAME}=(?:\\.|[^, \\]|\\)+)*) +")
_TAG: Final = re.compile(rf",({_NAME})=((?:\\.|[^, \\]|\\)+)")
_FIELD: Final = re.compile(rf'({_NAME})=("(?:\\.|[^"\\])*"|[^", ]+)(,|(?= |$))')
_BOOLEANS: Final = {**dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
                    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False)}  # fmt: skip
_ESCAPED: Final = re.compile(r'\\([,= "\\])')


def records(payload: bytes) -> list[Record]:
    """Return a record a line; fields under their name, under ``measurement.name``, tags under ``tags.name``.

    The time stands in the field ``time``, as the number that was written.

    :raises PayloadError: a line is not line protocol
    """
    try:
        lines = payload.decode().splitlines()
    except UnicodeDecodeError as error:
        raise PayloadError("it is not text") from error
    return [_record(line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _record(line: str) -> Record:
    head = _HEAD.match(line)
    if head is None:
        raise PayloadError(f"{line!r:.60} is not line protocol")
    measurement = _plain(head[1])
    fields: dict[str, Any] = {"measurement": measurement}
    for tag in _TAG.finditer(head[2]):
        fields[f"tags.{_plain(tag[1])}"] = _plain(tag[2])
    place, more = head.end(), True
    while more:
        field = _FIELD.match(line, place)
        if field is None:
            raise PayloadError(f"{line[place:]!r:.60} is not a field of line protocol")
        name, value = _plain(field[1]), _value(field[2])
        fields[name] = fields[f"{measurement}.{name}"] = value
        place, more = field.end(), field[3] == ","
    rest = line[place:].strip()
    if rest:
        fields["time"] = _whole(rest)
    return Record(fields)


def _value(text: str) -> Any:
    if text.startswith('"'):
        return _plain(text[1:-1])
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        return int(text[:-1]) if text[-1] in "iu" else float(text)
    except ValueError:
        raise PayloadError(f"{text!r:.40} is not a value of line protocol") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise PayloadError(f"{text!r:.40} is not a time of line protocol") from None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
