"""Generates every file of this folder that Grafana reads: dashboards, data sources, alert rules.

They follow from the channel tables of :mod:`contract` and the rules of the models' shelves alone; a test rebuilds them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from contract.domains import DOMAINS
from grafana.alerts_board import alerts_board
from grafana.board import Board
from grafana.domain_board import domain_board
from grafana.fleet_board import fleet_board
from grafana.gateway_board import gateway_board
from grafana.provisioning import provisioning
from grafana.rules import AlertRule, alert_rules
from grafana.shelves import read_rules

HERE: Final = Path(__file__).parent
MODELS: Final = HERE.parent / "models"


def dashboards(models_dir: Path = MODELS) -> list[dict[str, Any]]:
    """Return every dashboard as Grafana reads it."""
    shelves = read_rules(models_dir)
    boards = [fleet_board(), alerts_board(), gateway_board()]
    boards += [domain_board(domain, shelves.get(name)) for name, domain in DOMAINS.items()]
    return [_plain(board) for board in boards]


def rules(models_dir: Path = MODELS) -> list[AlertRule]:
    """Return every alert rule."""
    return alert_rules(read_rules(models_dir))


def files(models_dir: Path = MODELS) -> dict[str, str]:
    """Return the text of every generated file, by its path below ``grafana``."""
    boards = {
        f"dashboards/{board['uid']}.json": json.dumps(board, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        for board in dashboards(models_dir)
    }
    provisioned = provisioning(rules(models_dir))
    return boards | {f"provisioning/{path}": text for path, text in provisioned.items()}


def write(folder: Path = HERE, models_dir: Path = MODELS) -> list[Path]:
    """Write every generated file and delete those that are generated no more; return what changed."""
    wanted = {folder / path: text for path, text in files(models_dir).items()}
    present = {path for kind in ("dashboards/*.json", "provisioning/*/*.yaml") for path in folder.glob(kind)}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    gone = sorted(present - wanted.keys())
    for path in gone:
        path.unlink()
    return [*changed, *gone]


def _plain(board: Board) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    return plain
