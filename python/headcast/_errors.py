"""What can go wrong: one class per kind of remedy. The message says what was wrong and what to do."""

__all__ = [
    "AudioError",
    "AvatarError",
    "Error",
    "FeaturesError",
    "FrameError",
    "OutputError",
    "ServerError",
    "StreamError",
]


class Error(Exception):
    """Anything that headcast raises by itself."""


class AudioError(Error, ValueError):
    """The recording cannot be used: not audio, empty, too long, of an odd shape."""


class FrameError(Error, ValueError):
    """The frame was not taken: another shape or dtype than the stream's. The stream goes on."""


class FeaturesError(Error, ValueError):
    """The speech features are of another kind than the avatar's, or no features at all."""


class AvatarError(Error, ValueError):
    """There is no such avatar, or its files cannot be used."""


class OutputError(Error, OSError):
    """The folder cannot be written to, is full, or holds what headcast did not write."""


class ServerError(Error, OSError):
    """The server cannot be started: the port is in use, or other machines would get in without a password."""


class StreamError(Error, RuntimeError):
    """The stream takes no more frames: it was closed, or its encoder failed."""
