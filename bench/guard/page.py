"""The words around the figures in docs/performance.md."""

_BEFORE = """# Performance

What the guard costs, beside what others cost that could stand in its place. This page and its plot are what
`make bench-guard ARGS=--write` printed in one run; ratios are worth more than figures, which are this machine's.

![The guard beside its peers: CPU and latency relative to Envoy as a plain proxy](performance.svg)

"""

_AFTER = """

## How it is measured

- One backend for all: a small uvloop server with fixed OpenAI answers, on a unix socket (guard, floor, Envoy) and on a
  TCP port (LiteLLM and Portkey, which take no socket).
- The peer measured has one core for itself; backend and load share another. A peer whose turn it is not is frozen.
- CPU is user and system time of the peer's process with all its threads and children, from `/proc/<pid>/stat`, over
  what was answered meanwhile; 16 connections, each sending its next request once the last is answered. Chunks are
  counted on 32 streams that are under way all the time.
- With 16 connections a peer works at its own full speed, so peers of different speed work under different load, and
  ratios depend on that. The table of P5 therefore has everybody's CPU at the same rate, too. The target for P1 is
  judged on the 16 connections; the row for CPU at the same rate is none of the targets first set, but stands beside.
- Latency is an open loop at Poisson's times: it runs from when a request should have been sent, also where it had to
  wait for a connection. *Added* is what comes on top of no proxy at all in the same round. A peer that cannot keep up
  with 1,000 requests a second is asked at its own rate, which the table names.
- Rounds alternate between the peers; a ratio is taken within a round, and the table shows the median of the ratios.
- The guard runs as in a pod: key check, limits, strict parsing, canonical JSON, hash-chained audit to a pipe that
  somebody reads, metrics. Envoy is built to the same ends with filters of its own: `api_key_auth`, `local_ratelimit`
  with a bucket for each client, `json_to_metadata` with `rbac`; it writes no access log. Its JSON rules look at three
  fields, the guard's schema at all of them.
- Memory (P6) is that of a guard with all of it on: TLS, with a pair made for the run, over which its streams go; beside
  the API keys a ServiceAccount and an issuer's clients, one of each of which has come in by its token; metrics that
  have been read. The other measures speak plain HTTP with API keys, as all peers do.
- uvicorn and Granian run the floor as an ASGI application, to show what a protocol of one's own is worth.
- Envoy closes the connection of a caller that it refuses before it has read the body; its callers connect anew each
  time, and that is part of what its refusal costs.
- Honest clients ask at 0.8 of their limit; in P12 their p99 includes what the load generator itself takes to send the
  abuser's requests.
"""


_WORK = """

## Where the work goes

Bytecodes that one request, or one chunk of a stream, takes in each part of the guard, as
`python -m bench.guard.bytecodes` counts them; the same on every machine. What runs in C beside them (the parsers of
HTTP and JSON, hashes, the event loop) and the kernel's share of four reads and writes are in none of them.

"""


def write(text: str, work: str) -> str:
    """`text` is what the run printed, `work` the table of bytecodes."""
    return _BEFORE + text + _WORK + work + _AFTER
