"""The recipes of docs/recipes.md that are in Python, run as they stand there."""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path
from unittest import mock

import headcast
import numpy as np
from support import FIXTURES, Folder, assert_perfect, decoded, needs_ffmpeg, skip_loudly

PAGE = FIXTURES.parent / "docs" / "recipes.md"
SIDE = 512

# Of every frame, as OpenCV has it: much blue, little red.
BLUE, GREEN, RED = 200, 120, 40


def recipe(name):
    """The block after ``<!-- recipe: name -->``."""
    found = re.search(rf"^<!-- recipe: {re.escape(name)} -->\n```python\n(.*?)\n```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"no recipe {name} in {PAGE}"
    return found.group(1)


def model(_audio):
    """Half a second of frames."""
    for _ in range(13):
        yield np.full((SIDE, SIDE, 3), (BLUE, GREEN, RED), np.uint8)


class Recipes(Folder):
    def cook(self, name):
        """Runs a recipe in a folder with half a second of speech."""
        wav = (FIXTURES / "speech" / "en.wav").read_bytes()[: 44 + 16_000]
        (self.place / "speech.wav").write_bytes(wav)
        before = os.getcwd()
        os.chdir(self.place)
        try:
            exec(compile(recipe(name), f"{PAGE}: {name}", "exec"), self.pantry())
        finally:
            os.chdir(before)
        out = self.place / "out"
        for file in (out / "index.m3u8", out / "video.mp4"):
            assert_perfect(self, file, 13)
        # Red and blue are where they belong: the other way round they would be 160 steps off.
        shown = decoded(out / "video.mp4").reshape(-1, 3).mean(axis=0)
        self.assertLess(np.abs(shown - (RED, GREEN, BLUE)).max(), 10, shown)

    def pantry(self):
        return {"headcast": headcast, "subprocess": subprocess, "model": model, "audio": "speech.wav"}

    @needs_ffmpeg
    def test_two_lines_are_other_ones(self):
        self.cook("python-stream")

    @needs_ffmpeg
    def test_any_other_language_opens_a_pipe(self):
        program = os.environ.get("HEADCAST_BIN") or shutil.which("headcast")
        if program is None:
            skip_loudly("the program `headcast` (HEADCAST_BIN)", tool=True)
        place = self.place / "bin"
        place.mkdir()
        (place / "headcast").symlink_to(Path(program).resolve())
        with mock.patch.dict(os.environ, PATH=f"{place}{os.pathsep}{os.environ['PATH']}"):
            self.cook("python-pipe")

    def test_a_recipe_that_is_not_there_is_missed(self):
        with self.assertRaisesRegex(AssertionError, "no recipe none-of-ours"):
            recipe("none-of-ours")


if __name__ == "__main__":
    unittest.main()
