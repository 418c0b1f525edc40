"""Line protocol: a parser written from the specification reads back what the encoder wrote."""

from __future__ import annotations

import math
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.points import FieldValue, Point, row_kind
from gateway.stores.line_protocol import encode_point


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (-0.5, "-0.5"),
        (1e22, "1e+22"),
        (3, "3i"),
        (True, "true"),
        (False, "false"),
        ("plain", '"plain"'),
        ('say "so"', r'"say \"so\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines", '"two lines"'),
        ("a,b c=d", '"a,b c=d"'),
        ("é 🐄", '"é 🐄"'),
    ],
)
def test_field_keeps_its_type_and_text(value: FieldValue, text: str) -> None:
    assert encode_point(Point("m", {}, {"f": value}, 5)) == f"m f={text} 5"


@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf])
def test_number_that_influxdb_cannot_hold_is_left_out(missing: float) -> None:
    assert encode_point(Point("m", {}, {"a": missing, "b": 1}, 5)) == "m b=1i 5"
    assert encode_point(Point("m", {}, {"a": missing}, 5)) == ""


def test_names_and_tags_are_escaped() -> None:
    point = Point("a b,c=d", {"k =,": "v =,"}, {"f =,": 1}, 5)
    assert encode_point(point) == r"a\ b\,c=d,k\ \=\,=v\ \=\, f\ \=\,=1i 5"


def test_tags_are_sorted_and_empty_ones_left_out() -> None:
    assert encode_point(Point("m", {"z": "1", "a": "2", "none": ""}, {"f": 1}, 5)) == "m,a=2,z=1 f=1i 5"


def test_line_break_in_a_name_never_starts_another_line() -> None:
    assert encode_point(Point("m", {"a": "x\ny"}, {"f\r": 1}, 5)) == r"m,a=x\ y f\ =1i 5"


def parsed(line: str) -> tuple[str, dict[str, str], dict[str, str], int]:
    """Read one line as the specification says: a backslash escapes the separators, and quotes enclose strings."""
    token = r"(?:\\[,= \\]|[^,= ])+"
    head = re.match(rf"((?:\\[, ]|[^, ])+)((?:,{token}={token})*) ", line)
    assert head is not None, line
    tags = dict(re.findall(rf",({token})=({token})", head[2]))
    rest = line[head.end() :]
    fields = re.match(rf'(?:{token}=(?:"(?:\\.|[^"\\])*"|[^, "]+),?)+ ', rest, re.DOTALL)
    assert fields is not None, line
    pairs = re.findall(rf'({token})=("(?:\\.|[^"\\])*"|[^, "]+)', fields[0], re.DOTALL)
    return head[1], tags, dict(pairs), int(rest[fields.end() :])


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=12)


@given(
    measurement=names,
    tags=st.dictionaries(names, names, max_size=3),
    fields=st.dictionaries(
        names, st.text(max_size=12) | st.integers(-(2**63), 2**63 - 1) | st.booleans(), min_size=1, max_size=3
    ),
)
def test_any_point_can_be_read_back(measurement: str, tags: dict[str, str], fields: dict[str, FieldValue]) -> None:
    def plain(text: str) -> str:
        return re.sub(r"\\([,= ])", r"\1", text)

    def value(text: str) -> FieldValue:
        if text.startswith('"'):
            return re.sub(r'\\(["\\])', r"\1", text[1:-1])
        return text == "true" if text in ("true", "false") else int(text.removesuffix("i"))

    found = parsed(encode_point(Point(measurement, tags, fields, 17)))
    assert plain(found[0]) == measurement
    assert {plain(k): plain(v) for k, v in found[1].items()} == tags
    unbroken = {k: v.replace("\n", " ") if isinstance(v, str) else v for k, v in fields.items()}
    assert {plain(k): value(v) for k, v in found[2].items()} == unbroken
    assert found[3] == 17


@given(
    row=st.dictionaries(names, st.floats(width=32), min_size=1, max_size=6),
    score=st.floats(width=32),
    version=st.sampled_from(["", "1.2.0"]),
)
def test_row_is_written_as_its_fields_are(row: dict[str, float], score: float, version: str) -> None:
    """Numbers as text may differ in how an exponent is written, never in value."""

    def read(point: Point) -> tuple[str, dict[str, str], dict[str, float | str], int] | None:
        line = encode_point(point)
        if not line:
            return None
        measurement, tags, fields, time_ns = parsed(line)
        return measurement, tags, {k: v if v.startswith('"') else float(v) for k, v in fields.items()}, time_ns

    row["score"] = score
    numbers = struct.pack(f"<{len(row)}f", *row.values())
    point = Point("m x", {"site": "s 1", "device": "d"}, numbers, 17, row_kind(tuple(row), version))
    stands = version and math.isfinite(score)
    plain = Point("m x", {"site": "s 1", "device": "d"}, {**row, **({"model_version": version} if stands else {})}, 17)
    assert read(point) == read(plain)
