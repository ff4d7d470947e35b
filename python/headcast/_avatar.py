"""Avatars: faces that can speak, and the checkpoints that they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from . import _native

PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Report:
    """What a checkpoint, an avatar's folder or a data folder holds. ``str()`` of it is what ``headcast avatar inspect`` says."""

    path: Path
    """As given."""
    bytes: int
    """Size of the file, or of the avatar's model."""
    family: str
    """``ER-NeRF``, ``RAD-NeRF``, ``AD-NeRF`` or ``unknown``."""
    tensors: int
    parameters: int
    features: Optional[str]
    """Which extractor drives it; ``None`` if that cannot be told."""
    attention: bool
    """Whether audio attention is on."""
    eye: bool
    """Whether it follows an eye value."""
    torso: bool
    """Whether it has a torso net."""
    problems: list[str]
    """Why it cannot be rendered; empty if it can."""
    text: str
    title: Optional[str] = None
    """This and what follows: avatars only."""
    size: Optional[tuple[int, int]] = None
    """Width and height of its video, pixels."""
    poses: Optional[int] = None
    """Frames before the poses turn back."""
    credits: Optional[str] = None
    licence: Optional[str] = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Avatar:
    """A face that can speak. :func:`avatars` lists those there are, :meth:`import_` makes one."""

    name: str
    """For :func:`headcast.render`."""
    title: str
    """For people."""
    size: tuple[int, int]
    """Width and height of its video, pixels."""
    credits: str = ""
    notes: tuple[str, ...] = ()
    """What its owner should know, after an import."""

    @classmethod
    def import_(
        cls,
        checkpoint: PathLike,
        data: PathLike,
        name: str,
        *,
        body: Optional[PathLike] = None,
        config: Optional[PathLike] = None,
        title: Optional[str] = None,
        credits: Optional[str] = None,
        licence: Optional[str] = None,
        licence_file: Optional[PathLike] = None,
        transforms: Optional[PathLike] = None,
        background: Optional[PathLike] = None,
        full_body: Optional[PathLike] = None,
        full_body_offset: tuple[int, int] = (0, 0),
        thumbnail: Optional[PathLike] = None,
        fix_eye: Optional[float] = None,
        attention: Optional[int] = None,
        max_steps: Optional[int] = None,
        smooth_path: Optional[bool] = None,
        smooth_eyes: Optional[bool] = None,
        smooth_lips: Optional[bool] = None,
        half: bool = False,
        overwrite: bool = False,
        data_dir: Optional[PathLike] = None,
    ) -> Avatar:
        """Makes an avatar of an upstream checkpoint and its data folder. Nothing in the checkpoint is executed.

        :param checkpoint: ``ngp.pth`` of a trained ER-NeRF or RAD-NeRF, AD-NeRF's ``NNNNNN_head.tar``, or the folder of a
            training run.
        :param data: upstream's data folder: ``transforms_train.json``, ``au.csv``, ``bc.jpg``, ``torso_imgs/``.
        :param name: 1 to 64 letters, digits, ``-`` and ``_``.
        :param body: AD-NeRF's torso, ``NNNNNN_body.tar``. Default: the last one beside the checkpoint.
        :param config: AD-NeRF's config file. Default: ``TorsoNeRFTest_config.txt`` of the data folder.
        :param title: what people see instead of the name.
        :param licence_file: a text file to keep with it.
        :param transforms: pose file. Default: ``transforms_train.json``, else ``transforms_val.json`` of the data folder.
        :param background: a picture, ``white`` or ``black``. Default: ``bc.jpg`` or ``bc.png`` of the data folder.
        :param full_body: LiveTalking's ``--fullbody_img``: a folder of larger pictures, ``<img_id>.jpg`` or ``.png``, that what
            is rendered is pasted into, or one picture for every frame.
        :param full_body_offset: column and row of those pictures at which the training video was cut out.
        :param thumbnail: a small JPEG or PNG to show in lists.
        :param fix_eye: eye closure of every frame, 0 (open) to 1, for data without ``au.csv``.
        :param attention: upstream's ``--att``, 1 or 2, which a checkpoint cannot tell. Default 2.
        :param max_steps: upstream's ``--max_steps``. Default 16.
        :param smooth_path: average camera poses over seven frames; ``smooth_eyes`` and ``smooth_lips`` likewise. Default of
            all three: as upstream's renderer of the family does; of the others when one is given: ``False``.
        :param half: keep weights as 16-bit floats: half the size.
        :param overwrite: replace an avatar of the same name.
        :param data_dir: where avatars are kept. Default: ``HEADCAST_DATA_DIR``, else the user's data folder.
        :raises AvatarError: the files do not make an avatar; the message says what is missing.
        """
        path, notes = _native.import_avatar(
            os.fspath(checkpoint),
            os.fspath(data),
            name,
            body=_path(body),
            config=_path(config),
            title=title,
            credits=credits,
            licence=licence,
            licence_file=_path(licence_file),
            transforms=_path(transforms),
            background=_path(background),
            full_body=_path(full_body),
            full_body_offset=full_body_offset,
            thumbnail=_path(thumbnail),
            fix_eye=fix_eye,
            attention=attention,
            max_steps=max_steps,
            smooth_path=smooth_path,
            smooth_eyes=smooth_eyes,
            smooth_lips=smooth_lips,
            half=half,
            overwrite=overwrite,
            data_dir=_path(data_dir),
        )
        report = inspect(path)
        return cls(name, report.title or name, report.size or (0, 0), report.credits or "", tuple(notes))


def avatars(data_dir: Optional[PathLike] = None) -> list[Avatar]:
    """Every avatar that can speak, the built-in one first.

    :param data_dir: where avatars are kept. Default: ``HEADCAST_DATA_DIR``, else the user's data folder.
    """
    entries, _problems = _native.avatars(_path(data_dir))
    return [Avatar(name, title, (width, height), credits) for name, title, width, height, credits in entries]


def inspect(path: PathLike) -> Report:
    """Says what a checkpoint (``.pth``, ``.tar``, ``.safetensors``), an avatar's folder or a data folder holds.

    :raises AvatarError: it cannot be read, or is no model at all.
    """
    return Report(**_native.inspect(os.fspath(path)))


def _path(path: Optional[PathLike]) -> Optional[str]:
    return None if path is None else os.fspath(path)
