"""Frames and audio in, a playing stream out."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import traceback
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

from . import _local, _native, _site
from ._arrays import as_array
from ._errors import AudioError, FrameError, StreamError
from ._log import Line, Log

Audio = Union[str, "os.PathLike[str]", tuple[Any, int], tuple[int, Any]]
Rate = Union[int, float, Fraction]


class Stream:
    """Takes the frames that a model makes and turns them into HLS that plays while they come.

    With ``audio`` the playlist is complete before the first frame (its length follows from the audio's), so a player can
    start at once and seek; without, it grows. Encoding runs on other threads; :meth:`write` copies the frame and returns,
    and waits only while six frames are on their way, so memory is bounded.

    ::

        with headcast.Stream("speech.wav", size=(512, 512), out="out") as stream:
            for frame in model("speech.wav"):      # (512, 512, 3) uint8
                stream.write(frame)

    ``out`` then holds ``index.m3u8`` (there before the first frame), ``segment_00000.ts`` and so on, ``video.mp4``, and
    ``log.txt``. If the body raises, what was written until then plays, and the traceback is in the log. A stream that is
    neither closed nor used in a ``with`` block ends early, and plays, when nobody holds it any more.

    :param audio: path of a recording (wav, mp3, m4a, aac, flac, ogg, opus, webm); or ``(samples, rate)``, in either order,
        with samples of shape ``(n,)`` or ``(n, channels)``, float in [-1, 1] or int16, int32, uint8; or ``None`` for
        silence of any length.
    :param size: ``(width, height)`` of the frames in pixels, 16 to 4096 a side.
    :param fps: frames per second: an integer, a :class:`~fractions.Fraction` such as ``Fraction(30000, 1001)``, or a float
        that is near such a number.
    :param out: folder to fill; made when missing. An earlier clip in it is replaced. Default: a folder of its own in the
        system's folder for temporary files, removed when Python ends.
    :param expected_fps: how fast frames will come, frames per second. Decides how fast segments grow from short (a quick
        start) to long, and nothing else. Default: one and a half times ``fps``.
    :param video: whether to make ``video.mp4`` at the end.
    :raises AudioError: the recording cannot be used.
    :raises FrameError: no video can have that size.
    :raises OutputError: the folder cannot be written to, or holds somebody else's playlist.
    """

    def __init__(
        self,
        audio: Optional[Audio] = None,
        *,
        size: tuple[int, int],
        fps: Rate = 25,
        out: Optional[Union[str, "os.PathLike[str]"]] = None,
        expected_fps: Optional[float] = None,
        video: bool = True,
    ) -> None:
        width, height = _size(size)
        rate = _rate(fps)
        self._folder = Path(out) if out is not None else _scratch()
        self._native = _native.Stream(
            _audio(audio),
            width,
            height,
            (rate.numerator, rate.denominator),
            os.fspath(self._folder.absolute()),
            expected_fps=expected_fps,
            video=video,
        )
        self._segments = 0
        self._log = Log(self._folder / "log.txt")
        total = self.total_frames
        length = "of any length" if total is None else f"{total} frames, {float(total / rate):.2f} s"
        self._log.add("info", f"opened: {width}x{height}, {_rate_text(rate)} frames/s, {length}")
        for warning in self._native.warnings:
            self._log.add("warning", warning)

    def write(self, frame: Any) -> None:
        """Takes the next frame, or several.

        The numbers are copied before this returns, so the array may be used again. Waits while six frames are on their way
        to the encoder; Ctrl-C is noticed meanwhile (that frame is not taken, and the stream can go on). Frames after the end
        of the audio are left out; the log says how many.

        :param frame: ``(height, width, 3)``, or ``(n, height, width, 3)`` for n frames; RGB. ``uint8``, or ``float16``,
            ``float32``, ``float64`` (for torch ``bfloat16`` too) in [0, 1]: what is outside is clamped, NaN is black. A
            numpy array in any memory order (``frame[..., ::-1]`` turns BGR into RGB without a copy), a torch tensor on any
            device, or anything with ``__array__`` or ``__dlpack__``.
        :raises FrameError: another shape or dtype; the message says what to do, and the stream goes on. Of several frames,
            those before the bad one are taken.
        :raises StreamError: the stream is closed, or its encoder failed.
        :raises OutputError: the disk does not take it.
        """
        self._native.write(as_array(frame, FrameError, "a frame"))
        if self._native.segments > self._segments:
            self._note_segments()

    def log(self, message: object, level: str = "info") -> None:
        """Adds a line to the log: ``log.txt`` of the folder, and :func:`headcast.gradio.log`."""
        self._log.add(level, str(message))

    def close(self) -> None:
        """Ends the clip: the last segment is made, then ``video.mp4``. If the audio is longer than the frames, the last
        frame is held, and the log says for how long. A second call does nothing.

        :raises StreamError: no frame was written.
        :raises OutputError: the disk does not take it.
        """
        if self._log.closed:
            return
        try:
            warnings = self._native.finish()
        except BaseException as error:
            self._log.add("error", f"{type(error).__name__}: {error}")
            self._log.close()
            raise
        self._note_segments()
        for warning in warnings:
            self._log.add("warning", warning)
        self._log.add("info", f"done: {self.frames} frames in {self._segments} segments")
        self._log.close()

    def abort(self, reason: str = "stopped") -> None:
        """Ends the clip early: the playlist ends where the frames do, and plays. A second call does nothing."""
        if self._log.closed:
            return
        try:
            self._native.abort(reason)
            self._note_segments()
            self._log.add("error", f"ended early, after {self.frames} frames that play: {reason}")
        finally:
            self._log.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if error is None:
            self.close()
            return
        if isinstance(error, GeneratorExit):
            # A generator that is not read to its end is closed in the middle: nothing went wrong, and no frame comes.
            self.abort("the generator was closed")
            return
        if not self._log.closed:
            self._log.add("error", "".join(traceback.format_exception(kind, error, trace)).rstrip())
        try:
            self.abort("".join(traceback.format_exception_only(kind, error)).strip())
        except Exception as second:
            # The first one is what went wrong.
            self._log.add("error", f"{type(second).__name__}: {second}")

    def __del__(self) -> None:
        # What was written plays, as after an early end; one that could not be opened has no log.
        if hasattr(self, "_log"):
            self.abort("nobody held the stream any more, and it was not closed")

    @property
    def playlist(self) -> str:
        """Text of the playlist as it is now: complete from the start with ``audio`` (``VOD``), growing without (``EVENT``)."""
        return self._native.playlist()

    @property
    def url(self) -> str:
        """A page that plays the stream at once and shows its log, for a browser on this machine. Asking for it starts a small
        server in the background, which ends with Python.

        Below it are ``index.m3u8`` for players (``mpv URL + "index.m3u8"``; a segment that is not made yet is held, not refused),
        ``live.m3u8`` for those that cannot wait, and ``video.mp4`` after the end.

        :raises ServerError: the system gives no port.
        """
        return f"{_local.address()}s/{_site.name_of(self)}/"

    @property
    def playlist_path(self) -> Path:
        """``index.m3u8`` of the folder: what a player opens."""
        return Path(self._native.playlist_path)

    @property
    def video_path(self) -> Path:
        """``video.mp4`` of the folder: there after the end."""
        return Path(self._native.video_path)

    @property
    def log_path(self) -> Path:
        """``log.txt`` of the folder."""
        return self._log.path

    @property
    def folder(self) -> Path:
        """What is filled."""
        return self._folder

    @property
    def frames(self) -> int:
        """Frames that are encoded; after an early end, frames that play."""
        return self._native.frames

    @property
    def total_frames(self) -> Optional[int]:
        """Frames of the clip: ``ceil(seconds of audio * fps)``; ``None`` without audio."""
        return self._native.total_frames

    @property
    def segments(self) -> int:
        """Segments that are made."""
        return self._native.segments

    @property
    def closed(self) -> bool:
        """Whether it takes no more frames."""
        return self._log.closed

    def log_lines(self, after: int = 0, timeout: float = 0.0) -> list[Line]:
        """Entries of the log after number ``after``, waiting up to ``timeout`` seconds for one: the last 2000 at most."""
        return self._log.after(after, timeout)

    def _note_segments(self) -> None:
        made = self._native.segments
        for index in range(self._segments, made):
            self._log.add("info", f"segment {index} is ready")
        self._segments = made

    def __repr__(self) -> str:
        total = "?" if self.total_frames is None else self.total_frames
        return f"<headcast.Stream {self._folder}: {self.frames} of {total} frames{', closed' if self.closed else ''}>"


def _size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError):
        raise FrameError(f"size is (width, height) in pixels, not {size!r}") from None
    if not (0 < width <= 8192 and 0 < height <= 8192):
        raise FrameError(f"no video is {width}x{height}; sides are 16 to 4096 pixels")
    return width, height


def _rate(fps: Rate) -> Fraction:
    """29.97 means 30000/1001, as everywhere in television."""
    try:
        rate = Fraction(fps)
    except (TypeError, ValueError, OverflowError):
        raise StreamError(f"fps is a number of frames per second, not {fps!r}") from None
    if isinstance(fps, float) and rate.denominator != 1:
        near = Fraction(round(fps * 1.001) * 1000, 1001)
        rate = near if abs(near - rate) < Fraction(1, 1000) else rate.limit_denominator(1001)
    if not 1 <= rate <= 240:
        raise StreamError(f"fps is {float(rate):g}; 1 to 240 frames per second are accepted")
    return rate


def _rate_text(rate: Fraction) -> str:
    return str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


def _audio(audio: Any) -> Any:
    if audio is None:
        return None
    if not isinstance(audio, tuple):
        try:
            return os.fspath(audio)
        except TypeError:
            raise AudioError(
                f"audio is a path, (samples, rate) or None, not {type(audio).__name__}; give the rate with the samples"
            ) from None
    if len(audio) != 2:
        raise AudioError(f"audio is (samples, rate), not {len(audio)} values")
    # scipy and Gradio say the rate first, soundfile and librosa last.
    first_is_rate = isinstance(audio[0], (int, float)) or getattr(audio[0], "ndim", None) == 0
    samples, rate = (audio[1], audio[0]) if first_is_rate else audio
    try:
        rate = int(rate)
    except (TypeError, ValueError):
        raise AudioError(f"the rate is a number of samples per second, not {rate!r}") from None
    if not 0 < rate < 2**32:
        raise AudioError(f"the rate is a number of samples per second, not {rate}")
    return as_array(samples, AudioError, "samples"), rate


def _scratch() -> Path:
    folder = tempfile.mkdtemp(prefix="headcast-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
