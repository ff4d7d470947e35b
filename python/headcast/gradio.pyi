"""A player and a live log for Gradio apps (Gradio 5 and 6): what a generator writes plays while it is running.

::

    import gradio as gr
    import headcast, headcast.gradio

    def speak(audio):
        with headcast.Stream(audio, size=(512, 512)) as stream:
            yield stream                              # plays from now on
            for frame in model(audio):
                stream.write(frame)

    with gr.Blocks() as demo:
        audio = gr.Audio(type="filepath")
        player = headcast.gradio.Player()
        headcast.gradio.log(player)
        gr.Button("Speak").click(speak, audio, player)

    demo.launch(app_kwargs=headcast.gradio.app_kwargs())

Everything comes from the Gradio server itself, on its own port: no other address, nothing from the internet, nothing to
build. It works behind ``share=True`` and proxies, wherever the app works.

Streams are found by a random name of 128 bits and are served to whoever knows it, also where the app asks for a password.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
import threading
from importlib import resources
from typing import Any, AsyncIterator, Optional, Union
from urllib.parse import urlencode

import gradio as gr
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from . import _native
from ._errors import Error
from ._stream import Stream

__all__ = ["Log", "Player", "app_kwargs", "log"]

# Below the page's own address, so that it works wherever the app is mounted.
_ROOT = "headcast"

# Streams that can be played; older ones that have ended make way.
_KEPT = 64

# How often those who watch look for news: a fraction of what a player needs to show a picture.
_LOOK_SECS = 0.03

# Silence that no proxy takes for a dead connection.
_BEAT_SECS = 10.0

_streams: dict[str, Stream] = {}
_names: dict[int, str] = {}
_lock = threading.Lock()
_served = False

from gradio.events import Dependency

class Player(gr.HTML):
    """Plays a :class:`headcast.Stream`: yield it from the event's function, once, before the first frame.

    :param autoplay: start without another click. Where a browser refuses sound, it starts muted and says so.
    :param height: of the player, in pixels.
    :param poster: text that is shown while there is nothing to play.

    Other arguments are those of :class:`gradio.HTML`.
    """

    def __init__(
        self,
        value: Optional[Stream] = None,
        *,
        autoplay: bool = True,
        height: int = 420,
        poster: str = "",
        **kwargs: Any,
    ) -> None:
        self.autoplay = autoplay
        self.height = height
        self.poster = poster
        super().__init__(value, **kwargs)

    def get_block_name(self) -> str:
        """To the page it is an HTML component."""
        return "html"

    def postprocess(self, value: Union[Stream, str, None]) -> str:
        """A stream becomes a frame that plays it."""
        name = _name_of(value)
        query = {"stream": name or "", "autoplay": "1" if self.autoplay else "", "poster": self.poster}
        return _frame("player.html", query, self.height, "headcast player")
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Log(gr.HTML):
    """Shows the log of a :class:`headcast.Stream` while it grows: segments, warnings, what ``stream.log`` was told, and the
    traceback if the generator raises.

    :param height: in pixels.

    Other arguments are those of :class:`gradio.HTML`.
    """

    def __init__(self, value: Optional[Stream] = None, *, height: int = 180, **kwargs: Any) -> None:
        self.height = height
        super().__init__(value, **kwargs)

    def get_block_name(self) -> str:
        """To the page it is an HTML component."""
        return "html"

    def postprocess(self, value: Union[Stream, str, None]) -> str:
        """A stream becomes a frame that follows its log."""
        return _frame("log.html", {"stream": _name_of(value) or ""}, self.height, "headcast log")
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def log(player: Optional[Player] = None, **kwargs: Any) -> Log:
    """A live log. With ``player`` it follows what that shows; without, it is an output of its own, as a player is.

    Call it inside ``with gr.Blocks()``; other arguments are those of :class:`Log`.
    """
    component = Log(**kwargs)
    if player is not None:
        player.change(lambda shown: shown, player, component, queue=False, show_progress="hidden")
    return component


def app_kwargs(**others: Any) -> dict[str, Any]:
    """What ``demo.launch(app_kwargs=…)`` needs so that streams are served; ``others`` are passed on.

    For an app of your own: ``gr.mount_gradio_app(app, demo, path="/", app_kwargs=headcast.gradio.app_kwargs())``.
    """
    global _served
    _served = True
    return {**others, "routes": [*others.get("routes", []), *_routes()]}


def _routes() -> list[BaseRoute]:
    stream = f"/{_ROOT}/s/{{name}}"
    return [
        Route(f"/{_ROOT}/w/{{file}}", _web_file),
        Route(f"{stream}/index.m3u8", _playlist),
        Route(f"{stream}/live.m3u8", _live_playlist),
        Route(f"{stream}/segment_{{index:int}}.ts", _segment),
        Route(f"{stream}/video.mp4", _video),
        Route(f"{stream}/events", _events),
    ]


# What the page is made of: our own files, and two modules of the program's page.
_MODULES = {"hls.mjs": "hls.light.min.mjs", "loader.js": "loader.js"}
_WEB = {
    "player.html": "text/html; charset=utf-8",
    "player.js": "text/javascript; charset=utf-8",
    "log.html": "text/html; charset=utf-8",
    "log.js": "text/javascript; charset=utf-8",
    "frame.css": "text/css; charset=utf-8",
    "hls.mjs": "text/javascript; charset=utf-8",
    "loader.js": "text/javascript; charset=utf-8",
}


async def _web_file(request: Request) -> Response:
    file = request.path_params["file"]
    kind = _WEB.get(file)
    if kind is None:
        return PlainTextResponse("no such file", 404)
    if file in _MODULES:
        content = _native.page_module(_MODULES[file])
    else:
        content = resources.files(__package__).joinpath("_web", file).read_bytes()
    headers = {
        "Cache-Control": "max-age=3600",
        "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type=kind, headers=headers)


def _find(request: Request) -> Optional[Stream]:
    with _lock:
        return _streams.get(request.path_params["name"])


def _gone() -> Response:
    return PlainTextResponse("there is no such stream any more", 404)


async def _playlist(request: Request) -> Response:
    stream = _find(request)
    return _gone() if stream is None else _text(stream.playlist)


async def _live_playlist(request: Request) -> Response:
    stream = _find(request)
    return _gone() if stream is None else _text(stream._native.live_playlist())


def _text(playlist: str) -> Response:
    return Response(playlist, media_type="application/vnd.apple.mpegurl", headers={"Cache-Control": "no-cache"})


async def _segment(request: Request) -> Response:
    stream = _find(request)
    if stream is None:
        return _gone()
    native, index = stream._native, request.path_params["index"]
    if native.segments <= index and native.end is not None:
        return PlainTextResponse("the stream ended before this segment", 410)
    if native.segments > index:
        return Response(native.wait_segment(index, 0.0), media_type="video/mp2t", headers={"Cache-Control": "max-age=3600"})
    return StreamingResponse(_held(native, index), media_type="video/mp2t", headers={"Cache-Control": "no-store"})


async def _held(native: _native.Stream, index: int) -> AsyncIterator[bytes]:
    """The head of a segment at once, which keeps players patient, and the rest when it is there."""
    head = native.segment_head()
    yield head
    while native.segments <= index and native.end is None:
        await asyncio.sleep(_LOOK_SECS)
    segment = native.wait_segment(index, 0.0)
    if segment is None:
        # Breaks the answer off: the head is not to be taken for the whole.
        raise Error("the stream ended before this segment")
    yield segment[len(head) :]


async def _video(request: Request) -> Response:
    stream = _find(request)
    if stream is None:
        return _gone()
    if not stream.video_path.is_file():
        return PlainTextResponse("the video is made when the stream ends", 404)
    return FileResponse(stream.video_path, media_type="video/mp4", filename="video.mp4")


async def _events(request: Request) -> Response:
    stream = _find(request)
    if stream is None:
        # Tells the browser not to come again.
        return Response(status_code=204)
    try:
        after = int(request.headers.get("last-event-id", "0"))
    except ValueError:
        after = 0
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_news(stream, after), media_type="text/event-stream", headers=headers)


async def _news(stream: Stream, after: int) -> AsyncIterator[str]:
    """Server-sent events: how many segments there are, lines of the log, and the end."""
    told: Optional[dict[str, Any]] = None
    silent = 0.0
    while True:
        over = stream.closed
        native = stream._native
        now = {"segments": native.segments, "frames": native.frames, "total": native.total_frames, "end": native.end}
        text = ""
        for line in stream.log_lines(after):
            after = line.number
            text += f"id: {after}\nevent: log\ndata: {json.dumps(line._asdict())}\n\n"
        # The number of frames alone is no news worth 30 messages a second.
        if told is None or any(told[key] != now[key] for key in ("segments", "end")):
            told = now
            text += f"event: state\ndata: {json.dumps(now)}\n\n"
        if text:
            silent = 0.0
            yield text
        elif silent >= _BEAT_SECS:
            silent = 0.0
            yield ": still here\n\n"
        if over:
            yield "event: over\ndata: {}\n\n"
            return
        await asyncio.sleep(_LOOK_SECS)
        silent += _LOOK_SECS


def _name_of(value: Union[Stream, str, None]) -> Optional[str]:
    """The public name of a stream; that of the frame, when a component is shown again as it is."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        found = re.search(r"[?;&]stream=([A-Za-z0-9_-]{22})", value)
        return found.group(1) if found else None
    if not isinstance(value, Stream):
        raise gr.Error(f"a headcast component shows a headcast.Stream, not {type(value).__name__}")
    if not _served:
        raise gr.Error("streams are not served: call demo.launch(app_kwargs=headcast.gradio.app_kwargs())")
    with _lock:
        name = _names.get(id(value))
        if name is not None and _streams.get(name) is value:
            return name
        name = secrets.token_urlsafe(16)
        _streams[name] = value
        _names[id(value)] = name
        ended = [other for other, stream in _streams.items() if stream.closed]
        for other in ended[: max(0, len(_streams) - _KEPT)]:
            _names.pop(id(_streams.pop(other)), None)
        return name


def _frame(page: str, query: dict[str, str], height: int, title: str) -> str:
    address = f"{_ROOT}/w/{page}?{urlencode({key: value for key, value in query.items() if value})}"
    return (
        f'<iframe src="{html.escape(address)}" title="{title}" allow="autoplay; fullscreen" '
        f'style="display:block;width:100%;height:{int(height)}px;border:0"></iframe>'
    )