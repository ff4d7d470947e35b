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
import re
from typing import Any, AsyncIterator, Optional, Union
from urllib.parse import urlencode

import gradio as gr
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from . import _site
from ._errors import Error
from ._stream import Stream

__all__ = ["Log", "Player", "app_kwargs", "log"]

# Below the page's own address, so that it works wherever the app is mounted.
_ROOT = "headcast"

_served = False


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
    routes: list[BaseRoute] = [*others.get("routes", []), Route(f"/{_ROOT}/{{path:path}}", _answer)]
    return {**others, "routes": routes}


async def _answer(request: Request) -> Response:
    found = _site.answer(request.path_params["path"], request.headers.get("last-event-id", ""))
    if not isinstance(found, _site.Answer):
        return StreamingResponse(_pieces(found), headers=found.headers)
    if isinstance(found.body, bytes):
        return Response(found.body, found.status, found.headers)
    return FileResponse(found.body, found.status, found.headers)


async def _pieces(found: Union[_site.Held, _site.News]) -> AsyncIterator[bytes]:
    while not found.over:
        piece = found.look()
        if piece:
            yield piece
        if not found.over:
            await asyncio.sleep(_site.LOOK_SECS)
    if found.broken:
        # Breaks the answer off: the beginning is not to be taken for the whole.
        raise Error("the stream ended before this segment")


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
    return _site.name_of(value)


def _frame(page: str, query: dict[str, str], height: int, title: str) -> str:
    address = f"{_ROOT}/w/{page}?{urlencode({key: value for key, value in query.items() if value})}"
    return (
        f'<iframe src="{html.escape(address)}" title="{title}" allow="autoplay; fullscreen" '
        f'style="display:block;width:100%;height:{int(height)}px;border:0"></iframe>'
    )
