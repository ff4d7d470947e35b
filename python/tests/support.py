"""What the tests share: clips, and other people's software that reads what we write."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
SIZE = (64, 48)


def tone(seconds, rate=48000):
    """A quiet tone, float32."""
    return (0.2 * np.sin(np.arange(round(seconds * rate)) * (2 * np.pi * 440 / rate))).astype(np.float32)


def pictures(count, size=SIZE, seed=1):
    """Smooth pictures that move: uint8, (count, height, width, 3)."""
    width, height = size
    x = np.arange(width)[None, None, :, None]
    y = np.arange(height)[None, :, None, None]
    n = np.arange(count)[:, None, None, None]
    channel = np.arange(3)[None, None, None, :]
    return ((x * 3 + y * 2 + n * 5 * seed + channel * 60) % 256).astype(np.uint8)


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="headcast-test-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def segments(self, folder):
        """All segments as one stream of bytes, as the playlist lists them."""
        names = [line for line in (folder / "index.m3u8").read_text().splitlines() if not line.startswith("#")]
        return b"".join((folder / name).read_bytes() for name in names)


def needs_ffmpeg(test):
    """Skips, loudly, where ffmpeg is missing; fails if tools are required."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return test
    if os.environ.get("HEADCAST_REQUIRE_TOOLS", "0") not in ("", "0"):
        raise RuntimeError("ffmpeg and ffprobe are required (HEADCAST_REQUIRE_TOOLS is set)")
    print("SKIPPED: ffmpeg or ffprobe is not on PATH")
    return unittest.skip("ffmpeg or ffprobe is not on PATH")(test)


def skip_loudly(what, tool=False):
    """Ends a test that needs ``what``, in a line that is counted; fails it if that is a tool, and tools are required."""
    if tool and os.environ.get("HEADCAST_REQUIRE_TOOLS", "0") not in ("", "0"):
        raise RuntimeError(f"{what} required (HEADCAST_REQUIRE_TOOLS is set)")
    print(f"SKIPPED: needs {what}", flush=True)
    raise unittest.SkipTest(what)


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, f"{command}: {done.stderr}"
    return done.stdout


def assert_perfect(test, file, frames, fps=Fraction(25), sound=True):
    """ffmpeg decodes it without a word; every frame is there, at its time, and so is every unit of the sound."""
    file = str(file)
    _run("ffmpeg", "-v", "warning", "-xerror", "-i", file, "-f", "null", "-")
    times = {}
    for kind in "va":
        out = _run("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "json", file)
        times[kind] = [float(packet["pts_time"]) for packet in json.loads(out).get("packets", [])]
    test.assertEqual(len(times["v"]), frames)
    steps = np.diff(times["v"])
    test.assertLess(np.abs(steps - float(1 / fps)).max(initial=0), 2e-5, f"{file}: {steps}")
    if not sound:
        test.assertEqual(times["a"], [])
        return
    steps = np.diff(times["a"])
    test.assertLess(np.abs(steps - 1024 / 48000).max(initial=0), 2e-5, f"{file}: {steps}")
    test.assertLess(abs(times["v"][0] - times["a"][0]), 1e-3)
    ends = times["v"][-1] + float(1 / fps), times["a"][-1] + 1024 / 48000
    test.assertLess(abs(ends[0] - ends[1]), 1024 / 48000)


def decoded(file):
    """The pictures of a video, as ffmpeg shows them: uint8, (frames, height, width, 3)."""
    out = _run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(file))
    width, height = (int(side) for side in out.split("\n")[0].strip(",").split(","))
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(file), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
