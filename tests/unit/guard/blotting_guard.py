"""The guard with an inspector in its seam that blots out a word of every answer, however it is cut."""

import sys

from tests.unit.guard.inspectors import Blot

from bartizan.guard import main

TERM = "forbidden"


if __name__ == "__main__":
    vars(main)["LetPass"] = lambda: Blot(TERM)
    sys.exit(main.main(sys.argv[1:]))
