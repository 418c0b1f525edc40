"""``python -m edgefleet``."""

from edgefleet.cli import main

if __name__ == "__main__":
    main()
