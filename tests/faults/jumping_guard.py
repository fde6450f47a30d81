"""The guard with a wall clock that jumps: it is off by as many seconds as a file says."""

import os
import sys
import time
from pathlib import Path

from bartizan.guard import main

_FILE = Path(os.environ["BARTIZAN_FAULTS"]) / "offset"
_real_time = time.time


def _time() -> float:
    return _real_time() + (int(_FILE.read_text() or 0) if _FILE.exists() else 0)


if __name__ == "__main__":
    time.time = _time
    sys.exit(main.main(sys.argv[1:]))
