"""Talking-head video that plays in the browser while it is being made.

:class:`Stream` takes the frames of any model; :func:`render` lets one of headcast's own avatars speak;
:func:`serve` is the web page; :mod:`headcast.gradio` brings a player and a live log into Gradio apps.
"""

from ._avatar import Avatar, Report, avatars, inspect
from ._errors import (
    AudioError,
    AvatarError,
    Error,
    FeaturesError,
    FrameError,
    OutputError,
    ServerError,
    StreamError,
)
from ._native import VERSION as __version__
from ._render import Rendered, render
from ._server import Server, serve
from ._stream import Stream

__all__ = [
    "AudioError",
    "Avatar",
    "AvatarError",
    "Error",
    "FeaturesError",
    "FrameError",
    "OutputError",
    "Rendered",
    "Report",
    "Server",
    "ServerError",
    "Stream",
    "StreamError",
    "__version__",
    "avatars",
    "inspect",
    "render",
    "serve",
]
