"""Reading recorded files."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.domains import INDUSTRIAL, TRAFFIC, Domain
from contract.messages import Sample
from contract.topics import DeviceId
from simulator.errors import RefusedError
from simulator.replay import Mapped, Recording, ReplayOptions, parse_map, read_recording


def read(
    folder: Path, text: str, domain: Domain = INDUSTRIAL, *, mapping: str | None = None, zone: str = "UTC"
) -> Recording:
    file = folder / "recorded.csv"
    file.write_text(text, encoding="utf-8")
    columns = None if mapping is None else parse_map(mapping)
    return read_recording(file, domain, DeviceId("here", domain.name, "one"), ReplayOptions(columns=columns, zone=zone))


def rows(recording: Recording) -> list[Sample]:
    taken = []
    while recording.next_s < float("inf"):
        ((sample,),) = recording.advance()
        taken.append(sample)
    return taken


def test_columns_named_like_channels_need_no_map_and_others_are_left_out(tmp_path: Path) -> None:
    recording = read(tmp_path, "time,current_a,label\n1583077446,1.5,x\n1583077447,1.75,y\n")
    assert rows(recording) == [
        Sample(ts=1583077446.0, seq=0, values={"current_a": 1.5}),
        Sample(ts=1583077447.0, seq=1, values={"current_a": 1.75}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "datetime,Current,Pressure\n2020-03-01 15:44:06,1.5,0.25\n".replace(",", delimiter)
    recording = read(tmp_path, text, mapping="Current=current_a,Pressure=pressure_bar")
    assert rows(recording) == [Sample(ts=1583077446.0, seq=0, values={"current_a": 1.5, "pressure_bar": 0.25})]


def test_a_factor_converts_a_unit(tmp_path: Path) -> None:
    """Twelve vehicles in five minutes are 144 in an hour; a byte order mark is no part of a name."""
    text = "\ufeff5 Minutes,Lane 1 Flow (Veh/5 Minutes)\n04/01/2016 0:00,12\n"
    recording = read(tmp_path, text, TRAFFIC, mapping="Lane 1 Flow (Veh/5 Minutes)=flow_veh_h*12")
    assert rows(recording)[0].values == {"flow_veh_h": 144.0}


def test_missing_values_are_absent_and_rows_without_any_are_left_out(tmp_path: Path) -> None:
    recording = read(tmp_path, "ts,current_a,voltage_v\n1583077446,,230\n1583077447,nan,\n1583077448,1,NA\n")
    assert [(sample.ts, sample.values) for sample in rows(recording)] == [
        (1583077446.0, {"voltage_v": 230.0}),
        (1583077448.0, {"current_a": 1.0}),
    ]


def test_rows_are_sorted_by_time_and_numbered_in_that_order(tmp_path: Path) -> None:
    recording = read(tmp_path, "ts,current_a\n1583077448,3\n1583077446,1\n1583077446,2\n")
    assert [(s.seq, s.ts, s.values["current_a"]) for s in rows(recording)] == [
        (0, 1583077446.0, 1.0),
        (1, 1583077446.0, 2.0),
        (2, 1583077448.0, 3.0),
    ]


def test_naive_times_are_utc_unless_a_zone_is_given(tmp_path: Path) -> None:
    text = "time,current_a\n2020-07-01T12:00:00,1\n"
    assert read(tmp_path, text).first_s == 1593604800.0
    assert read(tmp_path, text, zone="Europe/Berlin").first_s == 1593604800.0 - 7200.0


def test_an_offset_in_the_file_wins_over_the_zone(tmp_path: Path) -> None:
    assert read(tmp_path, "time,current_a\n2020-07-01T12:00:00+00:00,1\n", zone="Asia/Tokyo").first_s == 1593604800.0


def test_a_file_without_times_is_read_from_a_start(tmp_path: Path) -> None:
    file = tmp_path / "loops.csv"
    file.write_text("773869\n64\n60\n")
    options = ReplayOptions(columns=parse_map("773869=speed_km_h*1.5"), start_s=1000.0, period_s=300.0)
    recording = read_recording(file, TRAFFIC, DeviceId("here", "traffic", "one"), options)
    assert [(sample.ts, sample.values["speed_km_h"]) for sample in rows(recording)] == [(1000.0, 96.0), (1300.0, 90.0)]


def test_everything_that_is_wrong_is_reported_at_once(tmp_path: Path) -> None:
    text = "time,Current,Voltage\n2020-03-01 15:44:06,1.5,inf\n2020-03-01 15:44:07,lots,230\n"
    with pytest.raises(RefusedError) as refused:
        read(tmp_path, text, mapping="Current=current_a,Voltage=voltage_v,Speed=speed_km_h", zone="Mars/Olympus")
    assert len(refused.value.faults) == 5
    for part in (
        "'Speed'",
        "'speed_km_h' is no channel of industrial",
        "Mars/Olympus",
        "line 2: Voltage",
        "line 3: Current",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("time,current_a\n", "no rows"),
        ("a,b\n1,2\n", "--map"),
        ("when,current_a\nsoon,1\nlater,2\n", "--time-column"),
        ("time,current_a\n1583077446,\n", "no row holds a value"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        read(tmp_path, text)


def test_a_line_with_another_kind_of_time_is_named(tmp_path: Path) -> None:
    lines = "".join(f"2020-03-01 15:44:{second:02},1\n" for second in range(30))
    with pytest.raises(RefusedError, match="line 32: 'noon' is not a time like 2020"):
        read(tmp_path, f"time,current_a\n{lines}noon,1\n")


def test_every_fault_is_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    rows = "".join(f"{1583077446 + second},bad\n" for second in range(30))
    with pytest.raises(RefusedError) as refused:
        read(tmp_path, f"time,current_a\n{rows}")
    count = len(refused.value.faults)
    told = str(refused.value).splitlines()
    assert count >= 30
    assert f"{count} faults" in told[0]
    assert told[-1].strip() == f"… and {count - (len(told) - 2)} more."
    assert len(told) < 30


def test_a_file_that_is_no_text_is_refused_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"time,current_a\n\xff\n")
    with pytest.raises(RefusedError, match="save it as UTF-8"):
        read_recording(file, INDUSTRIAL, DeviceId("a", "industrial", "b"), ReplayOptions())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        read_recording(tmp_path / "no.csv", INDUSTRIAL, DeviceId("a", "industrial", "b"), ReplayOptions())


def test_shifting_moves_every_row_alike(tmp_path: Path) -> None:
    recording = read(tmp_path, "ts,current_a\n1583077446,1\n1583077448,2\n").shifted(10.0)
    assert (recording.first_s, recording.last_s, len(recording)) == (1583077456.0, 1583077458.0, 2)


def test_a_map_names_columns_channels_and_factors() -> None:
    assert parse_map("A b=x, C = y*0.5") == (
        Mapped(column="A b", channel="x"),
        Mapped(column="C", channel="y", factor=0.5),
    )


@pytest.mark.parametrize("text", ["Current", "=current_a", "Current=", "Current=current_a*fast"])
def test_a_map_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="--map"):
        parse_map(text)
