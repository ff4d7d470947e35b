"""A control: passes everything on, and may put a comment into event streams, as proxies and frameworks do."""

import contextlib
import http.server
import threading
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    target = ""
    comments = False

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
        headers = {name: self.headers[name] for name in ("content-type", "accept") if name in self.headers}
        # The server's own root leads the client back here.
        headers["x-forwarded-host"] = self.headers["host"]
        request = urllib.request.Request(self.target + self.path, body, headers, method=self.command)
        with urllib.request.urlopen(request) as answer:
            self.send_response(answer.status)
            kind = answer.headers.get("content-type", "")
            self.send_header("content-type", kind)
            self.end_headers()
            # A client that has enough is gone.
            with contextlib.suppress(ConnectionError):
                if self.comments and kind.startswith("text/event-stream"):
                    self.wfile.write(b": keep-alive\n\n")
                while piece := answer.read1(65536):
                    self.wfile.write(piece)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Proxy:
    """On a port of its own, for as long as it is entered."""

    def __init__(self, target, comments):
        handler = type("Bound", (Handler,), {"target": target, "comments": comments})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
