"""JSON and MessagePack objects, nested as they like, alone or in arrays; and payloads that are a single value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from contract.errors import PayloadError
from gateway.sources.records import Path, Record


def json_value(payload: bytes) -> Any:
    """Return a JSON document.

    :raises PayloadError: it is not one
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(str(error)) from error


def messagepack_value(payload: bytes) -> Any:
    """Return a MessagePack document.

    :raises PayloadError: it is not one
    """
    try:
        return msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadError(str(error)) from error


def text_value(payload: bytes) -> str:
    """Return a payload that is one value, as text.

    :raises PayloadError: it is not text
    """
    try:
        return payload.decode().strip().strip('"')
    except UnicodeDecodeError as error:
        raise PayloadError("it is not text") from error


def records(document: Any, samples: Path | None) -> list[Record]:
    """Return the samples of a document: itself, or the objects of the array that it is or has at ``samples``.

    What an object does not say of itself is taken from the object around the array.

    :raises PayloadError: there is no object
    """
    around: Mapping[str, Any] = {}
    if samples is not None and isinstance(document, Mapping):
        around = document
        document = samples.find(document)
        if document is None:
            return []
    found = document if isinstance(document, list) else [document]
    if not all(isinstance(each, Mapping) for each in found):
        raise PayloadError("it is neither an object nor an array of objects")
    return [Record({**around, **each} if around else each) for each in found]
