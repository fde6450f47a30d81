"""What the serving container's command line says about listening: it must not contradict the declared transport.

This catches mistakes, not malice: a server may bind as its own code likes. What stops that is the network policy and
the guard; see the threat model in the docs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.model import Serving, Transport, Weakness
from bartizan.policy.nodes import Node, show
from bartizan.policy.template import command_line
from bartizan.policy.template.command_line import BIND, Said
from bartizan.policy.template.environment import DANGEROUS, OFF
from bartizan.policy.template.place import Place

HOST_FLAGS = ("--host", "--hostname", BIND, "--listen", "--address", "--http-address", "--grpc-address")
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


VARIABLES: Mapping[str, str] = {
    **dict.fromkeys(HOST_VARIABLES, HOST_FLAGS[0]),
    **dict.fromkeys(PORT_VARIABLES, PORT_FLAGS[0]),
    **dict.fromkeys(SOCKET_VARIABLES, SOCKET_FLAGS[0]),
}
"""Variables that stand for flags."""
NO_ADDRESS = "names no address, and many servers then listen on the pod's; add --host 127.0.0.1, or what yours calls it"
UNREAD_ADDRESS = "takes the address from a variable that cannot be read here; write it out"


def judge(container: Node, clean: Mapping[str, Any], place: Place) -> None:
    """Looks at command, args and the variables that stand for flags."""
    for said in _said(container, clean):
        if said.flag in REFUSED_FLAGS and said.value not in OFF[:3]:
            said.node.refuse(f"{show(said.flag)} is refused: {REFUSED_FLAGS[said.flag]}; remove it")
        elif complaint := _complain(said, place.serving):
            said.node.refuse(f"{show(said.shown)} {complaint}")
    _judge_sources(container, clean)
    for word in command_line.words(container, clean):
        name, equals, value = word.text.partition("=")
        if equals and name in DANGEROUS and value.strip("'\"") not in OFF:
            word.node.refuse(f"{name} is refused: {DANGEROUS[name]}; remove it")


def find_weaknesses(container: Node, clean: Mapping[str, Any], place: Place) -> Iterator[Weakness]:
    """Where the server might listen on the pod's address, for all that can be read; what is sure to is refused."""
    addresses = [said for said in _said(container, clean) if said.flag in HOST_FLAGS]
    name, field = clean.get("name", ""), container.key("command", None).path
    if place.serving.transport is Transport.LOOPBACK and not addresses:
        yield Weakness(name, field, NO_ADDRESS)
    for said in addresses:
        if said.is_unread:
            yield Weakness(name, said.node.path, UNREAD_ADDRESS)


def _judge_sources(container: Node, clean: Mapping[str, Any]) -> None:
    for position, variable in enumerate(clean.get("env", ())):
        name = variable.get("name", "")
        if name in (*VARIABLES, *command_line.ARGUMENT_VARIABLES) and "valueFrom" in variable:
            spot = container.key("env", None).index(position, variable).key("valueFrom", None)
            spot.refuse(f"says where {name} comes from, but where the server listens must stand here; write the value")


def _complain(said: Said, serving: Serving) -> str:
    if said.flag == MODEL_CONTROL_FLAG and said.value != MODEL_CONTROL_OFF:
        return "is refused: requests could load and unload models; write none or remove it"
    if serving.transport is Transport.UNIX_SOCKET:
        return _complain_of_socket(said, serving)
    return _complain_of_loopback(said, serving)


def _complain_of_socket(said: Said, serving: Serving) -> str:
    path = said.value.removeprefix("unix:").removeprefix("//")
    is_place = said.flag in (*HOST_FLAGS, *SOCKET_FLAGS)
    if is_place and not said.is_unread and path != serving.socket_path:
        return f"contradicts transport UnixSocket; let the server listen on {serving.socket_path} only"
    if said.flag in PORT_FLAGS:
        return "contradicts transport UnixSocket, which has no port; remove it, or set transport to Loopback"
    return ""


def _complain_of_loopback(said: Said, serving: Serving) -> str:
    host, port = _split(said.value)
    if said.flag in SOCKET_FLAGS:
        return "contradicts transport Loopback; remove it, or set transport to UnixSocket"
    if said.flag in HOST_FLAGS and "$" not in host and host not in LOOPBACK_HOSTS:
        return "contradicts transport Loopback: the server would listen on the pod's address; write 127.0.0.1"
    wrong_port = (said.flag in PORT_FLAGS[:2] and said.value) or (said.flag in HOST_FLAGS and port)
    if wrong_port and "$" not in wrong_port and wrong_port != str(serving.port):
        return f"is not spec.serving.port; write {serving.port}"
    return ""


def _split(value: str) -> tuple[str, str]:
    """Host and port of `host:port`; the port is empty where there is none."""
    head, colon, tail = value.rpartition(":")
    if colon and (tail.isdigit() or "$" in tail) and (":" not in head or head.endswith("]")):
        return head, tail
    return value, ""


def _said(container: Node, clean: Mapping[str, Any]) -> Iterator[Said]:
    """Each flag with its value: from the command line, and from the variables that stand for flags."""
    yield from command_line.flags(container, clean)
    known = command_line.values(clean)
    for position, variable in enumerate(clean.get("env", ())):
        name = variable.get("name", "")
        if name in VARIABLES and "valueFrom" not in variable:
            node = container.key("env", None).index(position, variable)
            yield Said(node, VARIABLES[name], known.get(name, "$"), f"{name}={variable.get('value', '')}")
    for word in command_line.words(container, clean):
        name, equals, value = word.text.partition("=")
        if equals and name in VARIABLES:
            yield Said(word.node, VARIABLES[name], value.strip("'\""), word.shown)
