"""The web page and the API inside a Python process."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Optional, Sequence, Union

from . import _native


class Server:
    """A running server: what :func:`serve` returns. Leaving a ``with`` block, or :meth:`stop`, stops it."""

    def __init__(self, native: _native.Server) -> None:
        self._native = native
        self._running = True

    @property
    def url(self) -> str:
        """The page's address, for a browser on this machine."""
        return self._native.url

    def wait(self) -> None:
        """Returns when somebody presses Ctrl-C, and stops the server."""
        try:
            while self._running:
                time.sleep(0.5)
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends every wait and gives open answers two seconds. Jobs that are not done go on at the next start."""
        self._running = False
        self._native.stop()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<headcast.Server {self.url}{'' if self._running else ', stopped'}>"


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    data_dir: Optional[Union[str, "os.PathLike[str]"]] = None,
    jobs: int = 1,
    threads: Optional[int] = None,
    auth: Optional[str] = None,
    token: Optional[str] = None,
    open_to_all: bool = False,
    allow_hosts: Sequence[str] = (),
) -> Server:
    """Starts the page and the API, as the program ``headcast serve`` does, and returns: ``headcast.serve().wait()`` is a
    program of its own.

    :param host: address to listen on. Others than this machine's own need ``auth``, ``token`` or ``open_to_all``.
    :param port: port to listen on; 0 takes a free one.
    :param data_dir: where avatars and jobs are kept. Default: ``HEADCAST_DATA_DIR``, else the user's data folder.
    :param jobs: jobs that are worked on at the same time.
    :param threads: rendering threads. Default: one per core.
    :param auth: ``user:password`` to ask for.
    :param token: token to ask for.
    :param open_to_all: let in everybody who reaches the port.
    :param allow_hosts: names besides localhost that browsers may use for this server, such as that of a proxy.
    :raises ServerError: the port is in use, the data folder has another server or cannot be written to, or nobody would be
        asked for a password.
    """
    host = "127.0.0.1" if host == "localhost" else host
    native = _native.Server(
        host=host,
        port=port,
        data_dir=None if data_dir is None else os.fspath(data_dir),
        jobs=jobs,
        threads=threads,
        auth=auth,
        token=token,
        open_to_all=open_to_all,
        allow_hosts=list(allow_hosts),
    )
    return Server(native)
