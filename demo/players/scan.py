"""Tries every TCP port of an address: which take a connection? 2,000 tries at a time, 0.6 seconds each."""

import asyncio
import sys

PARALLEL = 2000
TIMEOUT_SECONDS = 0.6


async def is_open(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def scan(address: str, ports: range) -> list[int]:
    found: list[int] = []
    waiting = iter(ports)

    async def work() -> None:
        for port in waiting:
            if await is_open(address, port):
                found.append(port)  # noqa: PERF401 # many workers share one list

    await asyncio.gather(*(work() for _ in range(PARALLEL)))
    return sorted(found)


address, last = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 65535
print(f"{last} ports tried, open: {asyncio.run(scan(address, range(1, last + 1)))}")
