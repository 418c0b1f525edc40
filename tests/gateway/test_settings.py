"""Settings are refused whole, with every fault, its line and a remedy; the documentation is the default."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway import settings_file as module
from gateway.settings import Settings
from gateway.settings_file import SettingsError, load, parse

DOCUMENTATION = Path(module.__file__).with_name("gateway.yaml")


def faults(text: str, **environment: str) -> list[tuple[int | None, str]]:
    """Return line and path of every fault of a text."""
    with pytest.raises(SettingsError) as refusal:
        parse(text, Path("gateway.yaml"), environment)
    return [(fault.line, fault.path) for fault in refusal.value.faults]


def test_documentation_shows_exactly_the_defaults() -> None:
    """Every setting that ``gateway.yaml`` writes out equals the default, and every default is written or shown."""
    text = DOCUMENTATION.read_text()
    assert Settings.model_validate(yaml.safe_load(text)) == Settings()
    commented = text.replace("#", " ")
    for name, field in Settings.model_fields.items():
        assert f"{name}:" in commented
        for model in module._sections(field):
            for inner in model.model_fields:
                assert inner in commented, f"{name}.{inner} is not in gateway.yaml"


def test_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert parse(f"state_dir: {tmp_path}", Path("gateway.yaml"), {}).gateway == "edge-1"


def test_every_fault_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = f"""\
gateway: Edge 1
state_dir: {tmp_path}/is/not/there
broker:
  port: 70000
  colour: blue
site:
  time_zone: Mars/Olympus
domains:
  traffic:
    raise_at: 0.5
  fishing: {{}}
"""
    assert faults(text) == [
        (1, "gateway"),
        (4, "broker.port"),
        (5, "broker.colour"),
        (7, "site.time_zone"),
    ]
    mended = (
        text.replace("Edge 1", "edge-1")
        .replace("70000", "1883")
        .replace("  colour: blue\n", "")
        .replace("Mars/Olympus", "UTC")
    )
    assert faults(mended) == [(2, "state_dir"), (10, "domains.fishing")]


def test_fault_says_where_value_rule_and_remedy() -> None:
    with pytest.raises(
        SettingsError, match=r"line 2 +broker\.port = 0  is refused: .*\n +TCP port of the broker, 1 … 65535"
    ):
        parse("broker:\n  port: 0\n", Path("gateway.yaml"), {})


def test_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(
        SettingsError, match=r"queues\.batch = 3  is not a setting\.\n +Remove it, or use one of: batches, tick_s\."
    ):
        parse("queues:\n  batch: 3\n", Path("gateway.yaml"), {})


def test_clear_at_not_below_raise_at_is_a_fault(tmp_path: Path) -> None:
    text = f"state_dir: {tmp_path}\ndomains:\n  traffic:\n    raise_at: 0.5\n    clear_at: 0.5\n"
    assert faults(text) == [(5, "domains.traffic.clear_at")]


def test_influx_without_token_is_a_fault() -> None:
    assert faults("influx:\n  url: http://127.0.0.1:8086\n") == [(1, "influx")]


def test_variable_is_taken_from_the_environment(tmp_path: Path) -> None:
    text = f"state_dir: {tmp_path}\nbroker:\n  host: ${{MQTT_HOST}}\n  port: ${{MQTT_PORT:-1884}}\n"
    broker = parse(text, Path("gateway.yaml"), {"MQTT_HOST": "broker.farm"}).broker
    assert (broker.host, broker.port) == ("broker.farm", 1884)


def test_missing_variable_is_a_fault_by_name() -> None:
    assert (2, "broker.host") in faults("broker:\n  host: ${MQTT_HOST}\n")


def test_broken_yaml_names_the_line() -> None:
    assert faults("broker:\n  host: [1\n") == [(3, "")]


@pytest.mark.parametrize(
    "text", ["=", "site: {since: 2001-13-01}", "? [a]\n: b", "a: " + "[" * 5000, "a: &x [*x]", "a: &x [1]\nb: [*x, *x]"]
)
def test_what_yaml_reads_and_no_settings_say_is_refused(text: str) -> None:
    assert [path for _, path in faults(text)] == [""]


@pytest.mark.parametrize("text", ["- a\n- b", "[]", "hello", "3"])
def test_document_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="the file holds no settings"):
        parse(text, Path("gateway.yaml"), {})


@pytest.mark.parametrize("text", ["gateway: a\ngateway: b\n", "broker: {port: 1883,\n port: 1884}\n"])
def test_key_that_stands_twice_is_refused_with_both_lines(text: str) -> None:
    """YAML itself would take the last one and say nothing: a second ``broker:`` would undo the first."""
    with pytest.raises(SettingsError, match=r"line 2 holds (gateway|port) again, which stands in line 1"):
        parse(text, Path("gateway.yaml"), {})


def test_state_dir_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert (1, "state_dir") in faults(f"state_dir: {tmp_path}/state\n")


def test_domains_dir_that_is_not_there_is_a_fault_of_that_setting(tmp_path: Path) -> None:
    text = f"state_dir: {tmp_path}\ndomains_dir: {tmp_path}/none\n"
    with pytest.raises(
        SettingsError, match=f"line 2   domains_dir = '{tmp_path}/none'  is refused: it is not a folder"
    ):
        parse(text, Path("gateway.yaml"), {})


def test_faults_of_a_table_show_the_value_and_only_what_is_wrong(tmp_path: Path) -> None:
    table = tmp_path / "barn" / "domain.yaml"
    table.parent.mkdir()
    table.write_text("device: barn\nperiod_s: 0\nchannels: [{name: Air C, low: 1, high: 2}]\n")
    with pytest.raises(SettingsError) as refused:
        parse(f"state_dir: {tmp_path}\ndomains_dir: {tmp_path}\n", Path("gateway.yaml"), {})
    told = [(fault.path, fault.value) for fault in refused.value.faults]
    assert told == [(f"{table}: period_s", 0), (f"{table}: channels.0.name", "Air C")]


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(file)


def test_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        module.load(tmp_path / "none.yaml")


def test_secret_is_never_shown(tmp_path: Path) -> None:
    settings = parse(f"state_dir: {tmp_path}\nbroker:\n  password: hunter2\n", Path("gateway.yaml"), {})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
