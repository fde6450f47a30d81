"""What a process is, as JSON: told by the tests of how processes are started."""

import json
import os
import signal
import sys
import threading


def _descriptors() -> list[int]:
    """All that are open, without the one that looks."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 -- a path would keep no other
    return sorted(number for number in found if os.path.exists(f"/proc/self/fd/{number}"))  # noqa: PTH110 -- as above


if __name__ == "__main__":
    portrait = {
        "name": __name__,
        "arguments": sys.argv,
        "directory": os.getcwd(),  # noqa: PTH109 -- text
        "path": sys.path,
        "environment": dict(os.environ),
        "descriptors": _descriptors(),
        "handlers": {int(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
        "wakeup": signal.set_wakeup_fd(-1),
        "threads": threading.active_count(),
        "is interactive": sys.flags.interactive,
    }
    print(json.dumps(portrait))
    print("to the other descriptor", file=sys.stderr)
    sys.exit(7)
