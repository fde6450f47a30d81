"""LiteLLM's proxy from PyPI: one worker, its master key checked, no database."""

import contextlib
import json
from collections.abc import Iterator

from bench.guard.installing import python_environment
from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, bearer, free_port
from bench.guard.processes import Streams, started

_KEY = "sk-bench-0123456789abcdef"


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:  # noqa: ARG001 -- limits need its database
    command = [str(python_environment("litellm") / "litellm")]
    port, log, config = free_port(), place.folder / "log", place.folder / "config.yaml"
    config.write_text(json.dumps(_config(place)))
    command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    with started(command, Streams(log, environment=_ENVIRONMENT), core=place.cores.measured) as process:
        headers = dict.fromkeys(CLIENTS, bearer(_KEY))
        yield await_answer(Running(port, process, headers, bearer("sk-wrong")), log)


_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}


def _config(place: Place) -> dict[str, object]:
    """JSON is YAML, too."""
    way = {"model": "openai/demo", "api_base": f"http://127.0.0.1:{place.backend_port}/v1", "api_key": "none"}
    return {
        "model_list": [{"model_name": "demo", "litellm_params": way}],
        "general_settings": {"master_key": _KEY},
        "litellm_settings": {"telemetry": False},
    }


PEER = Peer("litellm", "LiteLLM proxy", start, rate=25, chunk_ms=200)
