"""``edgefleet`` and ``python -m edgefleet``: an interrupt ends them without a trace, also while they load."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    try:
        from edgefleet.cli import app  # noqa: PLC0415  # it takes a second to load on a small machine

        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
