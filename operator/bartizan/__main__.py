"""`python -m bartizan` is `bartizan`."""

import sys

from bartizan.cli.main import main

sys.exit(main())
