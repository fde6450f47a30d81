"""What the process asks of the kernel before anything else."""

import resource

from bartizan.controller import main
from bartizan.controller.guards import ASKED_AT_ONCE
from bartizan.controller.soundings import ENDPOINTS_AT_ONCE

MOST_WORKERS = 64


def test_a_process_that_starts_with_few_files_has_them_for_all_guards_that_may_be_asked_at_once() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        main.claim_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert hard == before[1]
    assert soft == min(hard, main.MOST_FILES)
    assert main.MOST_FILES > 1.5 * ASKED_AT_ONCE * (MOST_WORKERS + ENDPOINTS_AT_ONCE)


def test_one_that_has_more_keeps_them() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    main.claim_files()
    after = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert after[0] >= before[0]
