"""The first process in a node's namespaces: prepares them, then collects orphans; its death ends all others."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet sets in the kernel of the whole machine. Here it finds files that say so already."""

_OWN = ("/var/lib/kubelet", "/var/lib/cni", "/var/log")
"""Where the kubelet and the CNI library write whatever their configuration says."""

_NETWORK_SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0"}


def main(data: Path, ready: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    _mount("--make-rshared", "/")  # kubelet and containerd pass mounts on, but only among themselves
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    _layer(Path("/var/lib"))
    for directory in _OWN:
        _put_own(data, Path(directory))
    _pretend_kernel_settings(data / "kernel")
    for setting, value in _NETWORK_SETTINGS.items():
        Path("/proc/sys", setting).write_text(value)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    ready.touch()
    _collect()


def _layer(directory: Path) -> None:
    """Show what the directory holds, but let new entries show in these namespaces only."""
    original = Path("/run/bartizan/original")
    original.mkdir(parents=True)
    _mount("--rbind", str(directory), str(original))
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(directory))
    for entry in original.iterdir():
        shown = directory / entry.name
        if entry.is_symlink():
            shown.symlink_to(entry.readlink())
            continue
        shown.mkdir() if entry.is_dir() else shown.touch()
        _mount("--rbind", str(entry), str(shown))


def _put_own(data: Path, directory: Path) -> None:
    """Put a directory of the cluster's own in the place of the machine's."""
    own = data / directory.relative_to("/")
    own.mkdir(parents=True, exist_ok=True)
    directory.mkdir(exist_ok=True)
    _mount("--bind", str(own), str(directory))


def _pretend_kernel_settings(copies: Path) -> None:
    for setting, value in _KERNEL_SETTINGS.items():
        copy = copies / setting
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(value)
        _mount("--bind", str(copy), f"/proc/sys/{setting}")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _collect() -> None:
    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) is signal.SIGCHLD:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
