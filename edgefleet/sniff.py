"""``edgefleet sniff``: watches a broker for a while and prints a ready ``sources:`` section."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from contract.domains import Domain
from edgefleet.errors import EdgefleetError
from edgefleet.sniffed_groups import Seen
from edgefleet.sniffed_projects import ignored
from edgefleet.sniffing import Proposal, propose
from gateway.mqtt import MqttError, Session, SessionSettings, SettingsError
from gateway.settings_file import parse
from simulator.broker_url import BrokerUrl

MOST_MESSAGES: Final = 200_000
"""Messages that are kept at most; a busy broker shows its shape in fewer."""


class SniffError(EdgefleetError):
    """The broker cannot be watched, or the file not be written."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What was seen and what it may mean."""

    messages: int
    topics: int
    proposals: list[Proposal]
    left_out: dict[str, int]
    """Topics that need no source, by why."""

    def as_dict(self) -> dict[str, Any]:
        """Return the same for a program."""
        proposals = [
            {
                "name": each.name,
                "confidence": each.confidence,
                "reasons": list(each.reasons),
                "period_s": each.period_s,
                "source": each.settings,
                "domain": table(each) if each.channels else None,
            }
            for each in self.proposals
        ]
        return {"messages": self.messages, "topics": self.topics, "left_out": self.left_out, "proposals": proposals}


async def watch(url: BrokerUrl, run_s: float, topic_filter: str = "#") -> list[Seen]:
    """Return the messages that a broker sends in some seconds, retained ones included.

    :raises SniffError: there is no connection, or the broker refuses it
    """
    try:
        settings = SessionSettings(
            client_id=f"edgefleet-sniff-{os.getpid()}",
            subscriptions=(topic_filter,),
            host=url.host,
            port=url.port,
            username=url.username,
            password=url.password,
            session_expiry_s=0,
        )
    except SettingsError as error:
        raise SniffError(str(error)) from error
    seen: list[Seen] = []
    context = ssl.create_default_context() if url.tls else None
    try:
        async with asyncio.timeout(run_s), Session(settings, ssl_context=context) as session:
            while len(seen) < MOST_MESSAGES:
                delivery = await session.receive()
                now_s = time.time()
                seen += [Seen(topic, payload, now_s) for topic, payload in delivery.messages if payload]
                delivery.acknowledge()
    except TimeoutError:
        pass
    except MqttError as error:
        raise SniffError(f"The broker refuses to be watched: {error}.") from error
    if not seen and not session.statistics().connects:
        raise SniffError(f"{url.host}:{url.port} does not answer. Check address, port and that it is a broker.")
    return seen


def sniffed(seen: Sequence[Seen], domains: Mapping[str, Domain]) -> Sniffed:
    """Return what messages may mean."""
    left_out: dict[str, int] = {}
    for topic in {each.topic for each in seen}:
        why = ignored(topic)
        if why is not None:
            left_out[why] = left_out.get(why, 0) + 1
    return Sniffed(len(seen), len({each.topic for each in seen}), propose(seen, domains), left_out)


def table(proposal: Proposal) -> dict[str, Any]:
    """Return ``domain.yaml`` of a proposal that fits no known domain."""
    return {
        "device": proposal.name,
        "period_s": round(proposal.period_s) if proposal.period_s and proposal.period_s >= 1 else 60,
        "channels": [
            {"name": guess.channel, "unit": guess.unit, "low": guess.low, "high": guess.high, "description": guess.path}
            for guess in proposal.channels
        ],
    }


def render(found: Sniffed) -> str:
    """Return the ``sources:`` section, confidence and reasons as comments, and the tables that it needs."""
    lines = [f"# {found.messages} messages on {found.topics} topics"]
    lines += [f"# {count} topics left out: {why}" for why, count in sorted(found.left_out.items())]
    if not found.proposals:
        return "\n".join([*lines, "# nothing that looks like a measurement; look for longer with --for", ""])
    lines.append("sources:")
    for each in found.proposals:
        lines += [f"  # confidence {each.confidence:.0%}: {'; '.join(each.reasons)}", f"  {each.name}:"]
        lines += ["    " + line for line in _yaml(each.settings).splitlines()]
    for each in found.proposals:
        if each.channels:
            lines += ["", f"# domains/{each.name}/domain.yaml (check low and high; set domains_dir: domains)"]
            lines += ["# " + line for line in _yaml(table(each)).splitlines()]
    return "\n".join([*lines, ""])


def write(found: Sniffed, file: Path) -> list[Path]:
    """Add the proposals to a settings file that has no sources yet, and lay down the tables; return what was written.

    :raises SniffError: nothing is proposed, the file has sources already, or would not be accepted; nothing was written
    """
    if not found.proposals:
        raise SniffError(f"Nothing is proposed, and {file} stays as it is. Look for longer with --for.")
    text = file.read_text(encoding="utf-8")
    settings = yaml.safe_load(text) or {}
    if "sources" in settings:
        raise SniffError(f"{file} has sources already. Merge what sniff prints yourself.")
    folder = Path(settings.get("domains_dir", file.parent / "domains"))
    tables = {folder / each.name / "domain.yaml": _yaml(table(each)) for each in found.proposals if each.channels}
    known = [path for path in tables if path.exists()]
    if known:
        raise SniffError(f"{known[0]} is there already. Merge what sniff prints yourself.")
    section = "\n".join(line for line in render(found).splitlines() if not line.startswith("# domains/"))
    section = section.split("\n\n")[0]
    where = "" if "domains_dir" in settings or not tables else f"domains_dir: {folder}\n"
    for path, content in tables.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    changed = f"{text.rstrip()}\n{where}{section}\n"
    try:
        parse(changed, file, os.environ)
    except Exception:
        for path in tables:
            path.unlink()
        raise
    file.write_text(changed, encoding="utf-8")
    return [*tables, file]


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text
