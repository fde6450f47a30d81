"""Remembers over restarts of the container which version was taken up last, so that no older one comes back."""

from pathlib import Path

from bartizan.guard import log

FILE_NAME = "document-version"
MAX_DIGITS = 20


class DocumentMemory:
    """Without a directory it knows and keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._file = directory / FILE_NAME if directory else None

    def recall(self) -> int:
        """The highest version that was kept; 0 where there is none, or none that can be read."""
        if self._file is None:
            return 0
        try:
            with self._file.open("rb") as file:
                return _version(file.read(MAX_DIGITS + 2))
        except FileNotFoundError:
            return 0  # the first start in this pod
        except (OSError, ValueError) as error:
            log.warning("document memory cannot be read", error=type(error).__name__)
            return 0

    def keep(self, version: int) -> None:
        """Replaces the file at once: a guard that is killed meanwhile leaves the old one or the new one, whole."""
        if self._file is None:
            return
        fresh = self._file.with_suffix(".fresh")
        try:
            fresh.write_text(f"{version}\n", encoding="ascii")
            fresh.replace(self._file)
        except OSError as error:
            log.warning("document memory cannot be written", error=type(error).__name__)


def _version(text: bytes) -> int:
    """Raises ValueError for anything but the digits and the newline that `keep` writes."""
    digits = text.removesuffix(b"\n")
    if digits == text or not digits.isdigit():
        raise ValueError("not a version")
    return int(digits)
