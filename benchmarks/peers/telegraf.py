r"""Telegraf: its MQTT consumer in at QoS 1, its aggregator of means over each second by its clock, line protocol out.

It is taken from the PATH. From the Go module proxy it is built with no more than what is used here::

    go install -tags custom,inputs.mqtt_consumer,parsers.json,aggregators.basicstats,outputs.influxdb_v2 \
        -ldflags "-X github.com/influxdata/telegraf/internal.Version=1.39.0" \
        github.com/influxdata/telegraf/cmd/telegraf@v1.39.0

Its aggregators leave out what is not of the present, so times of measurement are not read: at ten samples a second a
window of one second holds ten, as it does elsewhere. Each line counts the samples that its mean is of.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from contract import topics

_CONFIG: Final = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  metric_buffer_limit = 1000000
  omit_hostname = true
  quiet = true

[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{broker_port}"]
  topics = ["{topics}"]
  topic_tag = ""
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  data_format = "json"
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "{topics}"
    measurement = "_/_/_/measurement/_/_"
    tags = "_/_/site/_/device/_"

[[aggregators.basicstats]]
  period = "1s"
  drop_original = true
  stats = ["mean", "count"]
  fieldinclude = ["vibration_1_g"]

[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:{sink_port}"]
  token = "bench"
  organization = "bench"
  bucket = "bench"
"""


def version(_folder: Path) -> str:
    """Return which Telegraf is on the PATH."""
    return subprocess.run(["telegraf", "--version"], check=True, capture_output=True, text=True).stdout.strip()


def command(folder: Path, broker_port: int, sink_port: int) -> list[str]:
    """Write its configuration; return how to run it."""
    config = folder / "telegraf.conf"
    config.write_text(_CONFIG.format(broker_port=broker_port, sink_port=sink_port, topics=topics.ALL_TELEMETRY))
    return ["telegraf", "--config", str(config)]
