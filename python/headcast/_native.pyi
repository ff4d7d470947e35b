"""The compiled half. Private: everything here is wrapped, with defaults and documentation, by the modules beside it."""

from typing import Any, Final, Optional, Union

import numpy as np

VERSION: Final[str]

class Stream:
    warnings: Final[list[str]]
    def __init__(
        self,
        audio: Union[None, str, tuple[np.ndarray[Any, Any], int]],
        width: int,
        height: int,
        fps: tuple[int, int],
        out: str,
        *,
        expected_fps: Optional[float],
        video: bool,
    ) -> None: ...
    def write(self, array: np.ndarray[Any, Any]) -> None: ...
    def finish(self) -> list[str]: ...
    def abort(self, reason: str) -> None: ...
    def playlist(self) -> str: ...
    def live_playlist(self) -> str: ...
    def segment_head(self) -> bytes: ...
    def wait_segment(self, index: int, timeout: float) -> Optional[bytes]: ...
    @property
    def end(self) -> Optional[str]: ...
    @property
    def frames(self) -> int: ...
    @property
    def total_frames(self) -> Optional[int]: ...
    @property
    def segments(self) -> int: ...
    @property
    def playlist_path(self) -> str: ...
    @property
    def video_path(self) -> str: ...

class Server:
    def __init__(
        self,
        *,
        host: str,
        port: int,
        data_dir: Optional[str],
        jobs: int,
        threads: Optional[int],
        auth: Optional[str],
        token: Optional[str],
        open_to_all: bool,
        allow_hosts: list[str],
    ) -> None: ...
    @property
    def url(self) -> str: ...
    def stop(self) -> None: ...

def page_module(file: str) -> Optional[bytes]: ...
def inspect(path: str) -> dict[str, Any]: ...
def avatars(data_dir: Optional[str]) -> tuple[list[tuple[str, str, int, int, str]], list[str]]: ...
def import_avatar(
    checkpoint: str,
    data: str,
    name: str,
    *,
    body: Optional[str],
    config: Optional[str],
    title: Optional[str],
    credits: Optional[str],
    licence: Optional[str],
    licence_file: Optional[str],
    transforms: Optional[str],
    background: Optional[str],
    full_body: Optional[str],
    full_body_offset: tuple[int, int],
    thumbnail: Optional[str],
    fix_eye: Optional[float],
    attention: Optional[int],
    max_steps: Optional[int],
    smooth_path: Optional[bool],
    smooth_eyes: Optional[bool],
    smooth_lips: Optional[bool],
    half: bool,
    overwrite: bool,
    data_dir: Optional[str],
) -> tuple[str, list[str]]: ...
def render(
    avatar: str,
    audio: Union[str, tuple[np.ndarray[Any, Any], int]],
    out: str,
    *,
    start: Optional[float],
    end: Optional[float],
    features: Optional[str],
    profile: str,
    body: list[tuple[str, str]],
    background: Union[str, np.ndarray[Any, Any], None],
    frames: Optional[str],
    threads: Optional[int],
    data_dir: Optional[str],
    on_progress: Any,
) -> tuple[str, str, int, int, list[str]]: ...
