"""The log of a stream: in memory for those who watch, in ``log.txt`` for those who come later."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

# Lines that are kept in memory; the file has all of them.
KEPT = 2000


class Line(NamedTuple):
    """One entry of the log."""

    number: int
    """Counts from 1."""
    at: float
    """Seconds since 1970."""
    level: str
    """``info``, ``warning`` or ``error``."""
    text: str
    """May have several lines."""


class Log:
    """Appends to a file and keeps the last entries; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace")
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._number = 0

    @property
    def path(self) -> Path:
        """``log.txt``."""
        return self._path

    def add(self, level: str, text: str) -> None:
        """One more entry; what a log cannot hold any more (a full disk) is only in memory."""
        with self._changed:
            self._number += 1
            line = Line(self._number, time.time(), level, text)
            self._lines.append(line)
            if not self._file.closed:
                stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.at))
                try:
                    self._file.write(f"{stamp} {level:7} {text}\n")
                    self._file.flush()
                except OSError:
                    pass
            self._changed.notify_all()

    def close(self) -> None:
        """No entry comes any more."""
        with self._changed:
            try:
                self._file.close()
            except OSError:
                pass
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether no entry comes any more."""
        return self._file.closed

    def after(self, number: int, timeout: float = 0.0) -> list[Line]:
        """Entries after ``number``; waits up to ``timeout`` seconds for one."""
        with self._changed:
            if self._number <= number and not self._file.closed and timeout > 0:
                self._changed.wait(timeout)
            return [line for line in self._lines if line.number > number]
