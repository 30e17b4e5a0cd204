"""`python -m reach`: reads the settings, runs the app, exits 0 after a drain."""

import asyncio
import sys

from reach import logs
from reach.app import run
from reach.settings import SettingsError, read_settings


def main() -> int:
    try:
        settings = read_settings()
    except SettingsError as error:
        print(f"reach: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings))
    except OSError as error:
        # The usual one: the port is taken.
        print(f"reach: cannot listen: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
