"""One of headcast's own avatars speaks a recording."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Union

from . import _native
from ._arrays import as_array
from ._avatar import Avatar, PathLike, _path
from ._errors import Error
from ._stream import Audio, _audio


@dataclass(frozen=True)
class Rendered:
    """What :func:`render` made."""

    playlist: Path
    """``index.m3u8``: there, and complete, before the first frame."""
    video: Path
    """``video.mp4``."""
    frames: int
    segments: int
    warnings: tuple[str, ...]
    """What the user should know about the recording."""


def _choice(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _picture(value: object) -> Any:
    """A path or an array, if a background is a picture and no colour."""
    if isinstance(value, os.PathLike) or (isinstance(value, str) and os.path.isfile(value)):
        return os.fspath(value)
    if value is None or isinstance(value, str):
        return None
    return as_array(value, Error, "a background")


def render(
    avatar: Union[Avatar, PathLike],
    audio: Audio,
    out: PathLike,
    *,
    start: Optional[float] = None,
    end: Optional[float] = None,
    features: Optional[PathLike] = None,
    profile: str = "quality",
    body: Optional[Mapping[str, object]] = None,
    frames: Optional[PathLike] = None,
    threads: Optional[int] = None,
    data_dir: Optional[PathLike] = None,
    on_progress: Optional[Callable[[int, int], object]] = None,
) -> Rendered:
    """Renders speech to a folder, as the program ``headcast render`` does: the playlist first, segments as they come, then
    ``video.mp4``. Other Python threads run meanwhile; Ctrl-C stops it within a frame, and what there is plays.

    :param avatar: an :class:`Avatar`, its name (``"milo"`` is built in), or the folder of one.
    :param audio: path of a recording, or ``(samples, rate)`` as for :class:`headcast.Stream`.
    :param out: folder to fill; made when missing. An earlier clip in it is replaced.
    :param start: where the part of the recording begins that is spoken, in seconds. Default: its beginning.
    :param end: where that part ends, in seconds from the beginning of the recording. Default: its end.
    :param features: speech features made elsewhere (``.npy``, one window per frame) instead of the built-in model.
    :param profile: ``quality``, ``fast``, ``preview`` (half the resolution), ``auto`` (the best of these in real time here, else
        one that is worth the wait), or ``parity`` to compare pictures with upstream's.
    :param body: what the avatar does besides speaking: ``eyes`` (``"recorded"``, ``"blink"``, or how far they are shut, 0 to 1), ``poses``
        (``"loop"``, or the number of one to keep), ``background`` (``"own"``, ``"green"``, ``"#3070ff"``, the path of a PNG or JPEG, or an array
        of shape (height, width, 3); the middle of a picture fills the frame), ``smooth_path``, ``smooth_eyes``, ``smooth_lips`` (bool). Default: as recorded.
    :param frames: folder for every frame as PNG.
    :param threads: rendering threads. Default: one per core.
    :param data_dir: where avatars are kept. Default: ``HEADCAST_DATA_DIR``, else the user's data folder.
    :param on_progress: called with frames done and frames in all, after every frame. If it raises, rendering stops.
    :raises AvatarError: there is no such avatar, or it is damaged.
    :raises AudioError: the recording cannot be used.
    :raises FeaturesError: the features are missing or of another kind than the avatar's.
    :raises OutputError: the folder cannot be written to, or holds somebody else's playlist.
    """
    choices = dict(body or {})
    background = _picture(choices.get("background"))
    if background is not None:
        del choices["background"]
    playlist, video, count, segments, warnings = _native.render(
        avatar.name if isinstance(avatar, Avatar) else os.fspath(avatar),
        _audio(audio),
        os.fspath(out),
        start=start,
        end=end,
        features=_path(features),
        profile=profile,
        body=[(name, _choice(value)) for name, value in choices.items()],
        background=background,
        frames=_path(frames),
        threads=threads,
        data_dir=_path(data_dir),
        on_progress=on_progress,
    )
    return Rendered(Path(playlist), Path(video), count, segments, tuple(warnings))
