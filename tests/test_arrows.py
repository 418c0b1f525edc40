"""The house's arrows point down only: no room imports what stands beside or above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("contract", "gateway", "simulator", "models", "grafana", "console", "edgefleet")

TRAINED_WITH = ("windows", "frames", "features", "sensors", "alerts", "limits", "usual")
"""The gateway's pure rooms that training shares with serving."""

ALLOWED = {
    "contract": set[str](),
    "gateway": {"contract"},
    "simulator": {"contract"},
    "grafana": {"contract"},
    "console": {"contract", "gateway.stores"},
    "models": {"contract", "simulator", "gateway.inference", *(f"gateway.{room}" for room in TRAINED_WITH)},
    "edgefleet": {"contract", "gateway", "simulator", "models", "grafana", "console"},
}
"""What each room may import of ours; ``a.b`` allows the module ``a.b`` and what is below it."""

CONTRACT_LIBRARIES = {"msgspec"}
PURE = (
    *(
        "pipeline",
        "intake",
        "lane",
        "ledger",
        "counts",
        "windows",
        "frames",
        "arrivals",
        "slots",
        "aggregates",
        "horizons",
        "usual",
        "limits",
    ),
    *("features", "calendars", "circular", "summaries", "sensors", "silence", "alerts", "reasons"),
)
CLOCKS_AND_IO = {"time", "asyncio", "socket", "sqlite3", "threading", "subprocess", "os", "pathlib", "random"}


def imports(file: Path) -> set[str]:
    """Return every module that a file imports, wherever the import stands; names of packages' members included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} is a relative import; write the room's name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(room: str) -> list[Path]:
    """Return the source files of a room."""
    return sorted((ROOT / room).rglob("*.py"))


def allows(allowed: set[str], module: str) -> bool:
    """Tell whether a module is one of the allowed ones or below it."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_is_below_it(room: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files(room)
        for module in sorted(imports(file))
        if module.split(".")[0] in set(ROOMS) - {room} and not allows(ALLOWED[room], module)
    ]
    assert wrong == []


def test_contract_needs_only_the_standard_library_and_msgspec() -> None:
    from_outside = {
        module.split(".")[0]
        for file in files("contract")
        for module in imports(file)
        if module.split(".")[0] not in __import__("sys").stdlib_module_names
    }
    assert from_outside <= {"contract"} | CONTRACT_LIBRARIES


@pytest.mark.parametrize("module", PURE)
def test_pure_room_has_no_clock_and_no_input_or_output(module: str) -> None:
    found = {name.split(".")[0] for name in imports(ROOT / "gateway" / f"{module}.py")}
    assert found & CLOCKS_AND_IO == set()


def test_topic_prefix_is_written_in_one_place_only() -> None:
    """``fleet/v1`` as a string constant stands in contract/topics.py and nowhere else in the sources."""
    places = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in files(room)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(("fleet/v1", "gateway/v1"))
        and "\n" not in node.value
    }
    assert places == {"contract/topics.py"}
