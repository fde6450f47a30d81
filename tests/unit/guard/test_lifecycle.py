"""The guard's own life: ready and why not, draining, limits that are kept, slots that come back."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import yaml
from tests.unit.guard import running
from tests.unit.guard.running import (
    CHAT,
    Guard,
    Model,
    chat,
    credential,
    document,
    eventually,
    read_all,
    request_bytes,
)

from bartizan.policy.document import RequestWindow
from bartizan.policy.version import VERSION


def test_readiness_tells_absent_stale_and_good_sockets_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    with running.guard(tmp_path, f"unix:{path}") as guard:
        assert _readiness(guard) == (503, "SocketAbsent")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            assert _readiness(guard) == (503, "SocketStale")
            listener.listen()
            assert _readiness(guard) == (200, "GuardReady")
        assert _readiness(guard) == (503, "SocketStale")
        answer = guard.ask(chat())
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "service_unavailable", "2")


def test_whether_the_model_was_there_at_the_last_look_is_told(tmp_path: Path) -> None:
    path, up = tmp_path / "model.sock", "bartizan_guard_upstream_up"
    with running.guard(tmp_path, f"unix:{path}") as guard, socket.socket(socket.AF_UNIX) as listener:
        assert guard.metric(up) == 0, "nobody has looked"
        listener.bind(str(path))
        listener.listen()
        assert _readiness(guard) == (200, "GuardReady")
        assert guard.metric(up) == 1
        listener.close()
        assert _readiness(guard) == (503, "SocketStale")
        assert guard.metric(up) == 0


def test_each_field_of_the_status_page_is_in_the_reference(guard: Guard) -> None:
    page = (running.ROOT / "docs" / "reference" / "guard.md").read_text()
    (row,) = (line for line in page.splitlines() if "`/status`" in line)
    assert [name for name in guard.status() if f"`{name}`" not in row] == []


def _readiness(guard: Guard) -> tuple[int, str]:
    answer = guard.get("statusPort", "/readyz")
    assert guard.status()["reason"] == answer.body.decode().strip()
    return answer.status, answer.body.decode().strip()


def test_a_forbidden_socket_is_told_apart(tmp_path: Path) -> None:
    """Asked of the code itself under another user, where the test may become one."""
    tmp_path.chmod(0o711)
    script = (
        "import asyncio, os, sys\n"
        "from bartizan.guard.deadlines import Deadlines\n"
        "from bartizan.guard.settings import Address\n"
        "from bartizan.guard.upstream import Upstream\n"
        "if os.getuid() == 0: os.setgid(64001); os.setuid(64001)\n"
        "probe = Upstream(Address(path=sys.argv[1]), Deadlines(), answer_seconds=1).probe()\n"
        "print(asyncio.run(probe))\n"
    )
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o005 != 0o005 and folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "model.sock"))
        listener.listen()
        (tmp_path / "model.sock").chmod(0)
        command = [sys.executable, "-c", script, str(tmp_path / "model.sock")]
        environment = {"PYTHONPATH": str(running.ROOT / "operator")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "SocketForbidden\n", done.stderr


def test_a_loopback_model_is_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with running.guard(tmp_path, f"tcp:127.0.0.1:{port}") as guard:
        assert _readiness(guard) == (503, "SocketAbsent")
        command = [sys.executable, "-m", "tests.modelserver", "--port", str(port)]
        process = subprocess.Popen(command, cwd=running.ROOT, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: guard.get("statusPort", "/readyz").status == 200, "the model listens")
            assert guard.ask(chat("over loopback")).json()["choices"][0]["message"]["content"] == "over loopback"
        finally:
            process.kill()
            process.wait()


def test_the_status_port_takes_no_status(guard: Guard) -> None:
    assert guard.get("statusPort", "/livez").status == 200
    assert guard.get("statusPort", "/metrics").status == 404
    assert guard.get("metricsPort", "/metrics").status == 200
    assert guard.get("metricsPort", "/status").status == 404
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert running.send(guard.ports["statusPort"], method, "/status", b"{}", {}).status == 400


def test_status_says_what_is_enforced(guard: Guard) -> None:
    status = guard.status()
    of_the_document = {"documentHash", "documentVersion", "documentReason"}
    of_the_guard = {"ready", "reason", "endpoint", "version", "limitsReason", "tls", "tokenizerReason"}
    of_the_guard |= {"usage", "usageAwaited", "usageNonce"}
    assert set(status) == of_the_guard | of_the_document
    assert (status["tls"], status["tokenizerReason"]) == (None, None), "plain HTTP, and nothing to count with"
    assert (status["usage"], status["usageAwaited"]) == ({}, False), "no long window, and no place to keep one"
    assert (status["ready"], status["documentVersion"], status["endpoint"]) == (True, 1000, "ml/llama")
    assert status["version"] == VERSION


def test_the_version_is_the_same_wherever_it_stands() -> None:
    project = tomllib.loads((running.ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((running.ROOT / "charts/bartizan/Chart.yaml").read_text())
    assert {project["version"], chart["version"], chart["appVersion"]} == {VERSION}


def test_a_client_over_its_rate_hears_when_to_come_back(tmp_path: Path, model: Model) -> None:
    limited = document(requests=(RequestWindow(5, 60), RequestWindow(1000, 3600)))
    with running.guard(tmp_path, model.upstream, given=limited) as guard:
        answers = [guard.ask(chat()) for _ in range(8)]
        assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
        assert answers[-1].code == "rate_limit_exceeded"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 12
        assert guard.ask(chat(), key=credential("batch").reveal()).status == 200
        guard.take_up(document(version=1001, requests=(RequestWindow(5, 60), RequestWindow(1000, 3600))))
        assert guard.ask(chat()).status == 429, "a new document refills nothing"


def test_a_client_over_its_rate_hears_so_before_its_body_is_read(tmp_path: Path, model: Model) -> None:
    head = request_bytes(b"", b"Content-Length: 100")
    with running.guard(tmp_path, model.upstream, given=document(requests=(RequestWindow(2, 60),))) as guard:
        with guard.connect() as waiting:
            waiting.sendall(head)
            assert [guard.ask(chat()).status for _ in range(2)] == [200] * 2, "an unfinished request is not charged"
        assert guard.raw(head).startswith(b"HTTP/1.1 429 ")


def test_slots_are_held_while_under_way_and_come_back(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=document(concurrent=3, concurrent_per_client=2)) as guard:
        before = len(model.received())
        held = [guard.connect() for _ in range(3)]
        keys = [credential().reveal()] * 2 + [credential("batch").reveal()]
        for sock, key in zip(held, keys, strict=True):
            data = request_bytes(json.dumps(chat("/hold")).encode(), b"Authorization: Bearer " + key.encode())
            sock.sendall(data)
        eventually(lambda: len(model.received()) == before + 3, "three under way")
        assert guard.ask(chat()).status == 429
        other = guard.ask(chat(), key=credential("batch").reveal())
        assert (other.status, other.headers["Retry-After"]) == (429, "1")
        model.release()
        assert all(read_all(sock).startswith(b"HTTP/1.1 200") for sock in held)
        assert guard.ask(chat()).status == 200
        for sock in held:
            sock.close()


def test_one_of_several_guards_holds_its_share_of_the_rate(tmp_path: Path, model: Model) -> None:
    given = document(replicas=3, requests=(RequestWindow(7, 60),))
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        answers = [guard.ask(chat()) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429]
        assert 20 <= int(answers[-1].headers["Retry-After"]) <= 26, "every 60 * 3 / 7 seconds"
        guard.take_up(document(version=1001, replicas=1, requests=(RequestWindow(7, 60),)))
        statuses = [guard.ask(chat(), key=credential("batch").reveal()).status for _ in range(8)]
        assert statuses == [200] * 7 + [429], "alone it has all of it"


def test_one_of_several_guards_holds_its_share_of_the_slots(tmp_path: Path, model: Model) -> None:
    given = document(replicas=3, concurrent=9, concurrent_per_client=6)
    held = request_bytes(json.dumps(chat("/hold")).encode())
    other = held.replace(credential().reveal().encode(), credential("batch").reveal().encode())
    with running.guard(tmp_path, model.upstream, given=given) as guard, contextlib.ExitStack() as stack:
        for number, data in enumerate((held, held, other), start=1):
            stack.enter_context(guard.connect()).sendall(data)
            eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == number, "under way")  # noqa: B023
        assert guard.raw(held).startswith(b"HTTP/1.1 429 "), "2 for each client"
        assert guard.raw(other).startswith(b"HTTP/1.1 429 "), "3 in all"
        model.release()


def test_many_callers_at_once_get_their_own_answers(guard: Guard) -> None:
    wrong: list[str] = []

    def call(number: int) -> None:
        for turn in range(20):
            text = f"caller {number} turn {turn}"
            content = guard.ask(chat(text)).json()["choices"][0]["message"]["content"]
            wrong.extend([content] if content != text else [])

    threads = [threading.Thread(target=call, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_running_guard_imports_nothing_heavy() -> None:
    script = (
        "import sys, bartizan.guard.main\n"
        "heavy = {'kopf', 'kubernetes', 'aiohttp', 'yaml', 'requests', 'pydantic', 'tokenizers', 'huggingface_hub'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    environment = {"PYTHONPATH": str(running.ROOT / "operator")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_t70_the_guard_needs_nobody_but_its_document_and_the_model(tmp_path: Path, model: Model) -> None:
    """It opens no connection but to the model: all its sockets are listeners, the model's, or callers'."""
    with running.guard(tmp_path, model.upstream) as guard:
        assert guard.ask(chat(), path=CHAT).status == 200
        listening = {f"{port:04X}" for port in guard.ports.values()}
        inodes = {link.name for link in Path(f"/proc/{guard.process.pid}/fd").iterdir()}
        assert inodes
        lines = [line.split() for line in Path(f"/proc/{guard.process.pid}/net/tcp").read_text().splitlines()[1:]]
        own = {line[9] for line in lines if line[1].partition(":")[2] in listening}
        held = {
            str(link.readlink()).removeprefix("socket:[").rstrip("]")
            for link in Path(f"/proc/{guard.process.pid}/fd").iterdir()
            if str(link.readlink()).startswith("socket:")
        }
        assert {line[9] for line in lines if line[9] in held} <= own
