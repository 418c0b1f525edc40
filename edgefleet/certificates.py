"""When a certificate ends, read from its PEM file: the few levels of X.509 (RFC 5280) that lead there."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Final

_END: Final = "-----END CERTIFICATE-----"
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def not_after_s(pem: str) -> float:
    """Return when the first of the certificates in a file to end does so, Unix seconds.

    :raises ValueError: there is none in it
    """
    blocks = [part.strip() + "\n" + _END for part in pem.split(_END)[:-1]]
    starts = [block[block.index("-----BEGIN CERTIFICATE-----") :] for block in blocks if "BEGIN CERTIFICATE" in block]
    if not starts:
        raise ValueError("there is no certificate in it")
    return min(_end_s(ssl.PEM_cert_to_DER_cert(block)) for block in starts)


def _end_s(der: bytes) -> float:
    """Walk to the second time of ``Validity``: Certificate, TBSCertificate, past version, serial, algorithm, issuer."""
    try:
        content = _inside(_inside(der, 0)[0], 0)[0]
        place = 0
        if content[0] == _VERSION:
            place = _inside(content, 0)[1]
        for _ in ("serial", "algorithm", "issuer"):
            place = _inside(content, place)[1]
        validity = _inside(content, place)[0]
        second = _inside(validity, 0)[1]
        text = _inside(validity, second)[0].decode("ascii")
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("it is not a certificate") from error
    if validity[second] == _UTC_TIME:  # years 50 … 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _inside(data: bytes, place: int) -> tuple[bytes, int]:
    """Return the content of the element at a place, and where the next one begins."""
    length, start = data[place + 1], place + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return data[start : start + length], start + length
