"""Node-RED: an mqtt-in node at QoS 1, a function node that averages ten samples, an HTTP request node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

from contract import topics

VERSION: Final = "4"

_AVERAGE: Final = """
const windows = context.get('windows') || new Map();
const lines = context.get('lines') || [];
const sample = msg.payload;
let window = windows.get(msg.topic);
if (!window) { window = []; windows.set(msg.topic, window); }
window.push(sample.vibration_1_g);
if (window.length === 10) {
    const part = msg.topic.split('/');
    const mean = window.reduce((sum, value) => sum + value, 0) / 10;
    lines.push(`windows,site=${part[2]},device=${part[4]} mean=${mean} ${Math.round(sample.ts * 1000)}000000`);
    window.length = 0;
}
context.set('windows', windows);
context.set('lines', lines);
"""
_FLUSH: Final = """
if (msg.tick !== undefined || lines.length >= 500) {
    if (!lines.length) return null;
    context.set('lines', []);
    return {payload: lines.join('\\n'), method: 'POST'};
}
return null;
"""


def install(folder: Path) -> None:
    """Install Node-RED from npm into a folder."""
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--silent", f"node-red@{VERSION}"], cwd=folder, check=True
    )


def version(folder: Path) -> str:
    """Return which Node-RED was installed."""
    found: str = json.loads((folder / "node_modules/node-red/package.json").read_text())["version"]
    return f"Node-RED {found}"


def command(folder: Path, broker_port: int, sink_port: int) -> list[str]:
    """Write flow and settings; return how to run them."""
    code = "if (msg.tick === undefined) {" + _AVERAGE + "}\nconst lines = context.get('lines') || [];" + _FLUSH
    code = code.replace("const lines = context.get('lines') || [];\nconst sample", "const sample", 1)
    code = "const lines = context.get('lines') || [];\n" + code.replace("const lines = context.get('lines') || [];", "")
    flow = [
        {"id": "t", "type": "tab", "label": "bench"},
        {"id": "b", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(broker_port), "clientid": "node-red",
         "autoConnect": True, "cleansession": False, "protocolVersion": "5", "sessionExpiry": "3600"},
        {"id": "i", "type": "mqtt in", "z": "t", "topic": topics.ALL_TELEMETRY, "qos": "1", "datatype": "json",
         "broker": "b", "wires": [["f"]]},
        {"id": "k", "type": "inject", "z": "t", "props": [{"p": "tick", "v": "1", "vt": "num"}], "repeat": "1",
         "once": True, "wires": [["f"]]},
        {"id": "f", "type": "function", "z": "t", "func": code, "outputs": 1, "wires": [["h"]]},
        {"id": "h", "type": "http request", "z": "t", "method": "POST", "ret": "txt",
         "url": f"http://127.0.0.1:{sink_port}/api/v2/write", "persist": True, "wires": [[]]},
    ]  # fmt: skip
    (folder / "flows.json").write_text(json.dumps(flow))
    settings = "module.exports = {uiPort: 0, uiHost: '127.0.0.1', flowFile: 'flows.json', httpAdminRoot: false,"
    settings += " logging: {console: {level: 'warn'}}};\n"
    (folder / "settings.js").write_text(settings)
    return ["node", "node_modules/node-red/red.js", "--userDir", str(folder), "--settings", str(folder / "settings.js")]
