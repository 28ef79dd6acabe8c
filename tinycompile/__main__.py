"""``python -m tinycompile``, and what the ``tinycompile`` script starts."""

from __future__ import annotations

import sys


def start() -> None:
    """The command line; Ctrl-C while it still loads is no traceback either."""
    try:
        from tinycompile.cli import main
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    main(prog_name="tinycompile")


if __name__ == "__main__":
    start()
