"""`bartizan audit verify` on a real guard's log: whole, and as somebody would leave it who has to hide something."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import chat

from bartizan.cli import main


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Of a guard that answered two requests, refused one and was killed in the fourth."""
    folder = tmp_path_factory.mktemp("audited")
    with running.model(tmp_path_factory.mktemp("model")) as model, running.guard(folder, model.upstream) as guard:
        assert [guard.ask(chat()).status for _ in range(2)] == [200, 200]
        assert guard.ask(chat(), key="wrong").status == 401
        with guard.connect() as sock:
            sock.sendall(running.request_bytes(json.dumps(chat("/hold")).encode()))
            running.eventually(lambda: len(guard.audit()) == 7, "the fourth is let through")
            guard.process.kill()
    return (folder / "audit").read_bytes().splitlines(keepends=True)


def verify(tmp_path: Path, lines: list[bytes], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (tmp_path / "log").write_bytes(b"".join(lines))
    code = main.main(["audit", "verify", str(tmp_path / "log")])
    return code, capsys.readouterr().out


def test_a_whole_chain_is_told_with_what_the_kill_left_open(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = verify(tmp_path, log, capsys)
    assert (code, out.splitlines()[-1]) == (0, "whole")
    assert "of ml/llama: lines 0 to 6" in out
    assert "4 decisions, 3 let through; 0 lines were never written" in out
    assert re.search(r"1 without an outcome .*: req_[0-9a-f]{24}$", out, re.MULTILINE)


def test_what_logs_put_around_lines_does_no_harm(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    noise = [b'{"level": "info", "message": "guard started"}\n', b"\n", b"\xff\xfe\n"]
    framed = [b"2026-01-01T00:00:00.0Z stdout F " + line for line in log]
    assert verify(tmp_path, [*noise, *framed, *noise], capsys)[0] == 0
    prefixed = [b"[pod/qwen-1/bartizan-guard] " + line.rstrip() + b"\r\n" for line in log]
    assert verify(tmp_path, prefixed, capsys)[0] == 0


def test_what_was_rotated_away_is_said_and_is_no_break(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = verify(tmp_path, log[3:], capsys)
    assert (code, "the 3 lines before are not here" in out) == (0, True)


def _changed(line: bytes) -> bytes:
    return line.replace(b'"Allowed"', b'"Refused"', 1)


@pytest.mark.parametrize(
    ("tampered", "said"),
    [
        (lambda log: [*log[:2], *log[3:]], "after line 1 comes line 3"),
        (lambda log: [*log[:1], _changed(log[1]), *log[2:]], "line 1 or 2 was changed"),
        (lambda log: [log[0], log[2], log[1], *log[3:]], "after line 0 comes line 2"),
        (lambda log: [*log[:3], log[2], *log[3:]], "after line 2 comes line 2"),
        (lambda log: [*log[:3], log[3][:100] + b"\n", *log[4:]], "line 4 of the input cannot be read"),
        (lambda log: [log[1].replace(b'"number":1', b'"number":0'), *log[2:]], "line 0 is not the first"),
        (lambda log: [log[0].replace(b'"start"', b'"decision"'), *log[1:]], "cannot be read"),
        (lambda _: [b"nothing\n"], "no line of an audit is there"),
    ],
    ids=["taken out", "changed", "turned round", "doubled", "cut", "begun anew", "start changed", "no audit"],
)
def test_t61_what_was_done_to_a_log_shows(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str], tampered: "object", said: str
) -> None:
    code, out = verify(tmp_path, tampered(log), capsys)  # type: ignore[operator]
    assert (code, out.splitlines()[-1]) == (1, "not whole")
    assert said in out


def test_chains_of_many_guards_may_be_mixed(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    (chain,) = {json.loads(line)["chain"] for line in log}
    code, out = verify(
        tmp_path,
        [
            *log,
            b'{"audit":"start","at":"t","endpoint":"ml/b","chain":"z","number":0,"lost":0,'
            b'"previous":"' + b"0" * 64 + b'"}\n',
        ],
        capsys,
    )
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("chain")] == [chain, "z"]


def test_standard_input_is_read_and_a_file_that_is_not_there_is_named(tmp_path: Path, log: list[bytes]) -> None:
    program = "import sys; from bartizan.cli.main import main; sys.exit(main(['audit', 'verify', *sys.argv[1:]]))"
    command = [sys.executable, "-c", program]
    piped = subprocess.run(command, input=b"".join(log), capture_output=True, check=False)
    assert (piped.returncode, piped.stdout.splitlines()[-1]) == (0, b"whole")
    gone = subprocess.run([*command, str(tmp_path / "gone")], capture_output=True, check=False)
    assert (gone.returncode, b"gone: cannot be read: No such file" in gone.stderr) == (2, True)


def test_a_hostile_line_neither_breaks_the_reader_nor_moves_the_terminal(
    tmp_path: Path, log: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    nested = b'{"audit":' + b"[" * 200_000 + b"\n"
    named = b'{"audit":"start","at":"t","endpoint":"\\u001b[2J","chain":"\\u001b]0;x","number":0,"lost":0,"previous":"'
    code, out = verify(tmp_path, [*log, nested, named + b"0" * 64 + b'"}\n'], capsys)
    assert code == 1
    assert "cannot be read" in out
    assert "\x1b" not in out
