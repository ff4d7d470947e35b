"""What browsers and players ask of a stream: its page, playlists, segments and news. ``Stream.url`` and Gradio apps both answer
with this; neither server is known here."""

from __future__ import annotations

import json
import re
import secrets
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from . import _native

if TYPE_CHECKING:
    from ._stream import Stream

# How often those who watch look for news: a fraction of what a player needs to show a picture.
LOOK_SECS = 0.03

# Silence that no proxy takes for a dead connection.
BEAT_SECS = 10.0

# Silence that every player bears; Shaka gives up after five seconds.
_PATIENCE_SECS = 2.0

# A packet of a transport stream: what players wait for first.
_PACKET = 188

# Streams that can be played; of more, the oldest that have ended make way.
_KEPT = 64

_lock = threading.Lock()
_streams: dict[str, Stream] = {}
_names: dict[int, str] = {}

# What pages are made of: our own files, and two modules of the program's page.
_MODULES = {"hls.mjs": "hls.light.min.mjs", "loader.js": "loader.js"}
_FILES = {"watch.html", "watch.js", "player.html", "player.js", "log.html", "log.js", "frame.css", *_MODULES}
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: Union[bytes, Path]
    """Bytes, or the file that has them."""


class Held:
    """An answer that begins with the first packet of a segment and goes on when that is made.

    Meanwhile a byte of the segment's head now and then, because some players give up on silence.
    """

    def __init__(self, native: _native.Stream, segment: int) -> None:
        self.headers = {"Content-Type": "video/mp2t", "Cache-Control": "no-store"}
        self.over = False
        """Whether nothing comes any more."""
        self.broken = False
        """Whether the answer must break off, because the segment will never come."""
        self._native = native
        self._segment = segment
        self._head = native.segment_head()
        self._sent = 0
        self._silent = 0.0

    def look(self) -> bytes:
        """What is to be sent now; call it every :data:`LOOK_SECS` until :attr:`over`."""
        if self._sent == 0:
            return self._more(_PACKET)
        if self._native.segments > self._segment or self._native.end is not None:
            self.over = True
            segment = self._native.wait_segment(self._segment, 0.0)
            self.broken = segment is None
            return b"" if segment is None else segment[self._sent :]
        self._silent += LOOK_SECS
        return self._more(1) if self._silent >= _PATIENCE_SECS else b""

    def _more(self, count: int) -> bytes:
        self._silent = 0.0
        piece = self._head[self._sent : self._sent + count]
        self._sent += len(piece)
        return piece


class News:
    """How many segments there are, lines of the log, and the end, for one who watches."""

    def __init__(self, stream: Stream, after: int) -> None:
        self.headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        self._stream = stream
        self._after = after
        self._told: Optional[dict[str, Any]] = None
        self._silent = 0.0
        self.over = False
        """Whether nothing comes any more."""
        self.broken = False

    def look(self) -> bytes:
        """What is new, as server-sent events; call it every :data:`LOOK_SECS` until :attr:`over`."""
        # Asked first: nothing comes after the end.
        self.over = self._stream.closed
        native = self._stream._native
        now = {"segments": native.segments, "frames": native.frames, "total": native.total_frames, "end": native.end}
        text = ""
        for line in self._stream.log_lines(self._after):
            self._after = line.number
            text += f"id: {line.number}\nevent: log\ndata: {json.dumps(line._asdict())}\n\n"
        # The number of frames alone is no news worth 30 messages a second.
        if self._told is None or any(self._told[key] != now[key] for key in ("segments", "end")):
            self._told = now
            text += f"event: state\ndata: {json.dumps(now)}\n\n"
        if self.over:
            text += "event: over\ndata: {}\n\n"
        self._silent = 0.0 if text else self._silent + LOOK_SECS
        if self._silent >= BEAT_SECS:
            self._silent = 0.0
            text = ": still here\n\n"
        return text.encode()


def name_of(stream: Stream) -> str:
    """The public name of a stream: 22 characters that nobody guesses."""
    with _lock:
        name = _names.get(id(stream))
        if name is not None and _streams.get(name) is stream:
            return name
        name = secrets.token_urlsafe(16)
        _streams[name] = stream
        _names[id(stream)] = name
        ended = [other for other, candidate in _streams.items() if candidate.closed and other != name]
        for other in ended[: max(0, len(_streams) - _KEPT)]:
            _names.pop(id(_streams.pop(other)), None)
        return name


def answer(path: str, last_event: str = "") -> Union[Answer, Held, News]:
    """Answers a GET of ``path``, below where this is mounted: ``w/FILE``, ``s/NAME/`` and what is below that."""
    if path.startswith("w/"):
        return _file(path[2:])
    found = re.fullmatch(r"s/([A-Za-z0-9_-]{22})/(.*)", path)
    with _lock:
        stream = _streams.get(found.group(1)) if found else None
    if found is None or stream is None:
        return _plain(404, "there is no such stream here any more")
    what = found.group(2)
    if what == "":
        return _file("watch.html")
    if what == "index.m3u8":
        return _playlist(stream.playlist)
    if what == "live.m3u8":
        return _playlist(stream._native.live_playlist())
    if what == "video.mp4":
        if not stream.video_path.is_file():
            return _plain(404, "the video is made when the stream ends")
        return Answer(200, {"Content-Type": "video/mp4"}, stream.video_path)
    if what == "events":
        return News(stream, int(last_event) if last_event.isascii() and last_event.isdigit() else 0)
    segment = re.fullmatch(r"segment_([0-9]{5,9})\.ts", what)
    return _segment(stream, int(segment.group(1))) if segment else _plain(404, "there is nothing of that name")


def _segment(stream: Stream, index: int) -> Union[Answer, Held]:
    native = stream._native
    # Asked first: after the end none is made.
    ended = native.end is not None
    if native.segments > index:
        body = native.wait_segment(index, 0.0)
        if body is not None:
            return Answer(200, {"Content-Type": "video/mp2t", "Cache-Control": "private, max-age=3600"}, body)
    if ended:
        return _plain(410, "the stream ended before this segment")
    return Held(native, index)


def _playlist(text: str) -> Answer:
    headers = {"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "no-cache"}
    return Answer(200, headers, text.encode())


def _file(file: str) -> Answer:
    if file not in _FILES:
        return _plain(404, "there is no such file")
    content = _native.page_module(_MODULES[file]) if file in _MODULES else None
    if content is None:
        content = resources.files("headcast").joinpath("_web", file).read_bytes()
    headers = {
        "Content-Type": _KINDS["." + file.rsplit(".", 1)[1]],
        "Cache-Control": "max-age=3600",
        "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
    return Answer(200, headers, content)


def _plain(status: int, text: str) -> Answer:
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, text.encode())
