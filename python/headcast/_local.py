"""A small server in the process, for :attr:`headcast.Stream.url`: this machine only, one for all streams, started when somebody
asks for it."""

from __future__ import annotations

import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Optional, Union

from . import _site
from ._errors import ServerError

_lock = threading.Lock()
_server: Optional[ThreadingHTTPServer] = None


def address() -> str:
    """Where streams are served, with a slash at its end; starts the server if it does not run.

    :raises ServerError: the system gives no port.
    """
    global _server
    with _lock:
        if _server is None:
            try:
                _server = _Server(("127.0.0.1", 0), _Handler)
            except OSError as error:
                raise ServerError(f"no port of 127.0.0.1 can be listened on: {error}") from error
            threading.Thread(target=_server.serve_forever, name="headcast-url", daemon=True).start()
        return f"http://127.0.0.1:{_server.server_port}/"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "headcast"
    sys_version = ""
    # Between two requests of a connection.
    timeout = 60.0

    def do_GET(self) -> None:
        # Other sites can make a browser ask, under a name of theirs that leads here: they must not read the answer.
        port = self.connection.getsockname()[1]
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self.send_error(421)
            return
        path = self.path.split("?", 1)[0].lstrip("/")
        found = _site.answer(path, self.headers.get("Last-Event-ID", ""))
        if isinstance(found, _site.Answer):
            self._whole(found)
        else:
            self._pieces(found)

    do_HEAD = do_GET

    def _whole(self, found: _site.Answer) -> None:
        body = found.body
        length = body.stat().st_size if isinstance(body, Path) else len(body)
        self.send_response(found.status)
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(body, Path):
            with body.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)
        else:
            self.wfile.write(body)

    def _pieces(self, found: Union[_site.Held, _site.News]) -> None:
        self.send_response(200)
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        while not found.over:
            piece = found.look()
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not found.over:
                time.sleep(_site.LOOK_SECS)
        if found.broken:
            # Without its last chunk, nobody takes the beginning for the whole.
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """The terminal is the model's."""
