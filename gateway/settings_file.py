"""Reads a settings file: every fault at once, each with its line, value, rule and remedy.

Unknown keys are faults. ``${VAR}`` and ``${VAR:-default}`` in a value are replaced from the environment;
``gateway.yaml`` beside this file shows every setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from contract.domains import DOMAINS, Domain
from gateway.domains import DomainTableError, all_domains, own_domains
from gateway.settings import Settings, TlsSettings
from gateway.sources.checks import faults as source_faults

DEEPEST: Final = 32
"""Levels of a settings file, at most."""
_VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One refused setting."""

    line: int | None
    """Line of the file, or ``None`` where the setting is missing from it, or all of it is at fault."""
    path: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        """Write the fault as two lines: where, value and rule; remedy."""
        where = f"line {self.line}" if self.line is not None else "not set" if self.path else "the file"
        value = "" if self.value is None else f" = {self.value!r}"
        what = f"{self.path}{value}  " if self.path else ""
        return f"  {where:<9}{what}{self.rule}\n{'':11}{self.remedy}"


class SettingsError(Exception):
    """Settings were refused; nothing was started."""

    def __init__(self, file: Path, faults: tuple[Fault, ...]) -> None:
        """Keep the file and all its faults."""
        self.file = file
        self.faults = faults
        count = f"{len(faults)} setting{'s' if len(faults) > 1 else ''} refused"
        super().__init__("\n".join([f"{file}: {count}; nothing was started.", *map(str, faults)]))


def load(file: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check a settings file.

    :raises SettingsError: with every fault of the file
    """
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fault = Fault(
            line=None,
            path="",
            value=None,
            rule=f"cannot be read: {words}.",
            remedy="Name a file that is there with -c.",
        )
        raise SettingsError(file, (fault,)) from error
    return parse(text, file, os.environ if environment is None else environment)


def parse(text: str, file: Path, environment: Mapping[str, str]) -> Settings:
    """Check the text of a settings file; ``file`` is what errors name.

    :raises SettingsError: with every fault of the text
    """
    try:
        data, lines = _read(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(file, (_unreadable(error),)) from error
    if not isinstance(data, dict | None):
        remedy = "See gateway/gateway.yaml for what may stand here."
        raise SettingsError(file, (Fault(line=None, path="", value=None, rule="holds no settings.", remedy=remedy),))
    faults: list[Fault] = []
    data = _substituted(data or {}, (), environment, lines, faults)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        faults += [_fault(details, lines) for details in error.errors()]
        raise _refusal(file, faults) from error
    faults += _whole_faults(settings, lines)
    if faults:
        raise _refusal(file, faults)
    return settings


def _read(text: str) -> tuple[object, dict[KeyPath, int]]:
    """Return what a document says, and the line of every key and item.

    Refused are aliases, of which a few lines stand for more than any memory holds, and a depth that takes the reader's
    time with its square.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = 0 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line} holds an alias (*name), which is not taken")  # noqa: TRY004  # of the text
        if depth > DEEPEST:
            raise ValueError(f"line {line} is deeper than {DEEPEST} levels")
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    return yaml.safe_load(text), dict(_lines(document, ()))


def _unreadable(error: Exception) -> Fault:
    """Return the fault of a document that is no YAML, or says what no settings do."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error).splitlines()[0]
    return Fault(
        line=None if mark is None else mark.line + 1,
        path="",
        value=None,
        rule=f"is not readable: {problem}.",
        remedy="Mend it there; gateway/gateway.yaml shows how settings are written.",
    )


def _refusal(file: Path, faults: list[Fault]) -> SettingsError:
    return SettingsError(file, tuple(sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0))))


def _lines(node: yaml.Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Yield the line of every key and item of a document.

    :raises ValueError: a key stands twice; YAML would take the last and say nothing
    """
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in first:
                raise ValueError(f"line {line} holds {name} again, which stands in line {first[name]}")
            first[name] = line
            yield (*path, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index))


def _substituted(
    data: object, path: KeyPath, environment: Mapping[str, str], lines: Mapping[KeyPath, int], faults: list[Fault]
) -> Any:
    """Return the data with ``${VAR}`` replaced; a missing variable is a fault."""
    if isinstance(data, dict):
        return {key: _substituted(value, (*path, str(key)), environment, lines, faults) for key, value in data.items()}
    if isinstance(data, list):
        return [_substituted(value, (*path, index), environment, lines, faults) for index, value in enumerate(data)]
    if not isinstance(data, str):
        return data

    def replace(match: re.Match[str]) -> str:
        default: str | None = match["default"]
        value = environment.get(match["name"], default)
        if value is None:
            faults.append(
                Fault(
                    line=lines.get(path),
                    path=_dotted(path),
                    value=data,
                    rule=f"names {match['name']}, which is not in the environment.",
                    remedy=f"Set {match['name']}, or write ${{{match['name']}:-default}}.",
                )
            )
            return ""
        return value

    return _VARIABLE.sub(replace, data)


def _fault(details: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> Fault:
    """Turn one of pydantic's errors into ours."""
    path: KeyPath = tuple(details["loc"])
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
    value = details["input"] if not isinstance(details["input"], dict) else None
    if details["type"] == "extra_forbidden":
        return Fault(line=line, path=_dotted(path), value=value, rule="is not a setting.", remedy=_known(path))
    if details["type"] == "missing":
        return Fault(line=None, path=_dotted(path), value=None, rule="is required.", remedy=_meaning(path))
    message = str(details["msg"]).removeprefix("Value error, ").removesuffix(".")
    return Fault(line=line, path=_dotted(path), value=value, rule=f"is refused: {message}.", remedy=_meaning(path))


def _whole_faults(settings: Settings, lines: Mapping[KeyPath, int]) -> list[Fault]:
    """Return the faults that no single field shows."""
    faults = []
    if settings.state_dir.exists() and not settings.state_dir.is_dir():
        faults.append(
            Fault(
                line=lines.get(("state_dir",)),
                path="state_dir",
                value=str(settings.state_dir),
                rule="is not a folder.",
                remedy="Move that file away, or set state_dir to a folder that this user may write.",
            )
        )
    if not settings.state_dir.is_dir() and not settings.state_dir.parent.is_dir():
        faults.append(
            Fault(
                line=lines.get(("state_dir",)),
                path="state_dir",
                value=str(settings.state_dir),
                rule="is in a folder that does not exist.",
                remedy=f"Create {settings.state_dir.parent}, or set state_dir to a folder that this user may write.",
            )
        )
    domains, refused = _domains(settings, lines)
    faults += refused
    faults += _source_faults(settings, domains, lines)
    for name, domain in settings.domains.items():
        faults += _limit_faults(name, settings, domains, lines)
        if name not in domains:
            faults.append(
                Fault(
                    line=lines.get(("domains", name)),
                    path=f"domains.{name}",
                    value=None,
                    rule="is not a domain.",
                    remedy=f"Use one of: {', '.join(domains)}.",
                )
            )
        if domain.raise_at is not None and domain.clear_at is not None and domain.clear_at >= domain.raise_at:
            faults.append(
                Fault(
                    line=lines.get(("domains", name, "clear_at")),
                    path=f"domains.{name}.clear_at",
                    value=domain.clear_at,
                    rule=f"is not below raise_at = {domain.raise_at}.",
                    remedy="Set clear_at lower than raise_at, so that an alert does not flap.",
                )
            )
    files = [("broker", "password_file", settings.broker.password_file)]
    if settings.influx is not None:
        files.append(("influx", "token_file", settings.influx.token_file))
    if settings.broker.tls is not None:
        files += [("broker.tls", name, getattr(settings.broker.tls, name)) for name in TlsSettings.model_fields]
    for section, name, path in files:
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            faults.append(
                Fault(
                    line=lines.get((*section.split("."), name)),
                    path=f"{section}.{name}",
                    value=str(path),
                    rule="is not a file that this user may read.",
                    remedy=f"Create it, or change its owner, or remove {name}.",
                )
            )
    return faults


def _domains(settings: Settings, lines: Mapping[KeyPath, int]) -> tuple[dict[str, Domain], list[Fault]]:
    """Return all domains, and the faults of the user's own."""
    try:
        return all_domains(own_domains(settings.domains_dir)), []
    except DomainTableError as error:
        remedy = "Mend the table; docs/your-own-domain.md shows one."
        line, folder = lines.get(("domains_dir",)), settings.domains_dir
        return dict(DOMAINS), [
            Fault(
                line=line,
                path="domains_dir" if fault.file == folder else f"{fault.file}: {fault.path}",
                value=str(folder) if fault.file == folder else fault.value,
                rule=f"is refused: {fault.message}.",
                remedy=remedy,
            )
            for fault in error.faults
        ]


def _source_faults(settings: Settings, domains: Mapping[str, Domain], lines: Mapping[KeyPath, int]) -> Iterator[Fault]:
    for name, source in settings.sources.items():
        for fault in source_faults(source, domains):
            path: KeyPath = ("sources", name, *fault.place)
            line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
            yield Fault(line=line, path=_dotted(path), value=fault.value, rule=fault.rule, remedy=fault.remedy)


def _limit_faults(
    name: str, settings: Settings, domains: Mapping[str, Domain], lines: Mapping[KeyPath, int]
) -> Iterator[Fault]:
    for limit, stated in settings.domain(name).limits.items():
        channels = domains[name].channel_names if name in domains else ()
        if channels and stated.channel not in channels:
            path: KeyPath = ("domains", name, "limits", limit, "channel")
            yield Fault(
                line=lines.get(path),
                path=_dotted(path),
                value=stated.channel,
                rule=f"is not a channel of {name}.",
                remedy=f"Use one of: {', '.join(channels)}.",
            )


def _model_at(path: KeyPath) -> type[BaseModel]:
    """Return the section that holds the last part of a path."""
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        field = model.model_fields.get(str(part))
        # a key that is no field is the name of a domain: the section is the same one
        model = next(_sections(field), model) if field is not None else model
    return model


def _sections(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """Yield the sections that a field's annotation names: itself, optional, or as values of a mapping."""
    for option in (field.annotation, *get_args(field.annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            yield option


def _known(path: KeyPath) -> str:
    model = _model_at(path)
    return f"Remove it, or use one of: {', '.join(sorted(model.model_fields))}."


def _meaning(path: KeyPath) -> str:
    """Return the documentation of a setting, as the remedy of a bad value."""
    model = _model_at(path)
    field = model.model_fields.get(str(path[-1])) if path else None
    text = (field.description if field else None) or "See gateway/gateway.yaml for what may stand here."
    return " ".join(text.split())


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
