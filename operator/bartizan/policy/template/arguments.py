"""What the serving container's command line says about listening: it must not contradict the declared transport.

This catches mistakes, not malice: a server may bind as its own code likes. What stops that is the network policy and
the guard; see the threat model in the docs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.model import Serving, Transport
from bartizan.policy.nodes import Node, show
from bartizan.policy.template.environment import OFF
from bartizan.policy.template.place import Place

HOST_FLAGS = ("--host", "--hostname", "--bind", "--listen", "--address", "--http-address", "--grpc-address")
PORT_FLAGS = ("--port", "--http-port", "--grpc-port", "--metrics-port")
SOCKET_FLAGS = ("--uds", "--unix-socket", "--socket", "--socket-path")
HOST_VARIABLES = ("UVICORN_HOST", "LLAMA_ARG_HOST", "OLLAMA_HOST")
PORT_VARIABLES = ("UVICORN_PORT", "LLAMA_ARG_PORT")
SOCKET_VARIABLES = ("UVICORN_UDS",)
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")

REFUSED_FLAGS: Mapping[str, str] = {
    "--api-key": "the guard holds the keys, and the server would refuse the guard",
    "--api-key-file": "the guard holds the keys, and the server would refuse the guard",
    "--ssl-keyfile": "the guard speaks plain HTTP to the model within the pod",
    "--ssl-certfile": "the guard speaks plain HTTP to the model within the pod",
    "--ssl-key-file": "the guard speaks plain HTTP to the model within the pod",
    "--ssl-cert-file": "the guard speaks plain HTTP to the model within the pod",
    "--enable-sleep-mode": "it opens the server's control paths",
    "--allow-model-load": "requests could load other models",
}
"""Flags of vLLM, llama.cpp, SGLang and Triton that open the server or shut the guard out."""
MODEL_CONTROL_FLAG = "--model-control-mode"
MODEL_CONTROL_OFF = "none"


def judge(container: Node, clean: Mapping[str, Any], place: Place) -> None:
    """Looks at command, args and the variables that stand for flags."""
    for node, flag, value in _said(container, clean):
        complaint = _complain(flag, value, place.serving)
        if complaint:
            node.refuse(f"{show(f'{flag} {value}'.strip())} {complaint}")


def _complain(flag: str, value: str, serving: Serving) -> str:
    if flag in REFUSED_FLAGS and value not in OFF[:3]:
        return f"is refused: {REFUSED_FLAGS[flag]}; remove it"
    if flag == MODEL_CONTROL_FLAG and value != MODEL_CONTROL_OFF:
        return "is refused: requests could load and unload models; write none or remove it"
    if serving.transport is Transport.UNIX_SOCKET:
        return _complain_of_socket(flag, value, serving)
    return _complain_of_loopback(flag, value, serving)


def _complain_of_socket(flag: str, value: str, serving: Serving) -> str:
    path = value.removeprefix("unix:").removeprefix("//")
    is_place = flag in (*HOST_FLAGS, *SOCKET_FLAGS)
    if is_place and not _is_unread(value) and path != serving.socket_path:
        return f"contradicts transport UnixSocket; let the server listen on {serving.socket_path} only"
    if flag in PORT_FLAGS:
        return "contradicts transport UnixSocket, which has no port; remove it, or set transport to Loopback"
    return ""


def _complain_of_loopback(flag: str, value: str, serving: Serving) -> str:
    host, port = _split(value)
    if flag in SOCKET_FLAGS:
        return "contradicts transport Loopback; remove it, or set transport to UnixSocket"
    if flag in HOST_FLAGS and not _is_unread(value) and host not in LOOPBACK_HOSTS:
        return "contradicts transport Loopback: the server would listen on the pod's address; write 127.0.0.1"
    wrong_port = (flag in PORT_FLAGS[:2] and value) or (flag in HOST_FLAGS and port)
    if wrong_port and not _is_unread(wrong_port) and wrong_port != str(serving.port):
        return f"is not spec.serving.port; write {serving.port}"
    return ""


def _split(value: str) -> tuple[str, str]:
    """Host and port of `host:port`; the port is empty where there is none."""
    head, colon, tail = value.rpartition(":")
    if colon and tail.isdigit() and (":" not in head or head.endswith("]")):
        return head, tail
    return value, ""


def _is_unread(value: str) -> bool:
    """Whether the value comes from a variable, which cannot be read here."""
    return value.startswith("$")


def _said(container: Node, clean: Mapping[str, Any]) -> Iterator[tuple[Node, str, str]]:
    """Each flag with its value, from the command line and from the variables that stand for flags."""
    yield from _flags(list(_words(container, clean)))
    for position, variable in enumerate(clean.get("env", ())):
        flag = _flag_of(variable.get("name", ""))
        if flag and variable.get("value"):
            yield container.key("env", None).index(position, variable), flag, variable["value"]


def _flag_of(variable: str) -> str:
    table = ((HOST_VARIABLES, HOST_FLAGS), (PORT_VARIABLES, PORT_FLAGS), (SOCKET_VARIABLES, SOCKET_FLAGS))
    return next((flags[0] for variables, flags in table if variable in variables), "")


def _words(container: Node, clean: Mapping[str, Any]) -> Iterator[tuple[Node, str]]:
    """Command and arguments as one line, also within the one string that a shell gets."""
    for field in ("command", "args"):
        for position, argument in enumerate(clean.get(field, ())):
            node = container.key(field, None).index(position, argument)
            yield from ((node, word.strip("'\"")) for word in argument.split())


def _flags(words: list[tuple[Node, str]]) -> Iterator[tuple[Node, str, str]]:
    """`--flag value` and `--flag=value` alike; `--a_b` is `--a-b`, as Python's servers read it."""
    followers = [*(word for _, word in words[1:]), ""]
    for (node, word), follower in zip(words, followers, strict=False):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            following = "" if follower.startswith("--") else follower
            yield node, name.replace("_", "-").lower(), (value.strip("'\"") if equals else following)
