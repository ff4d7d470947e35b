"""The examples do what they say."""

import sys
import types
import unittest
from pathlib import Path

import headcast
import numpy as np
from support import Folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import er_nerf_adapter  # noqa: E402


class ErNerf(Folder):
    def test_the_recording_is_found(self):
        for name in ["a.wav", "b.wav"]:
            (self.place / name).write_bytes(b"")
        at = lambda name: str(self.place / name)  # noqa: E731
        self.assertEqual(er_nerf_adapter.recording(at("a.wav")), at("a.wav"))
        for features in ["a.npy", "a_hu.npy", "a_eo.npy"]:
            self.assertEqual(er_nerf_adapter.recording(at(features)), at("a.wav"))
        self.assertIsNone(er_nerf_adapter.recording(at("c_hu.npy")))
        self.assertIsNone(er_nerf_adapter.recording(""))

    def test_a_test_loop_is_on_air(self):
        loader = types.SimpleNamespace(_data=types.SimpleNamespace(W=64, H=48))
        speech = Path(__file__).resolve().parents[2] / "fixtures/speech/en.wav"
        stream = er_nerf_adapter.on_air(types.SimpleNamespace(aud=str(speech)), loader, self.place / "results")
        self.assertIn("ENDLIST", (self.place / "results/index.m3u8").read_text())
        for number in range(stream.total_frames):
            stream.write(np.full((48, 64, 3), number / stream.total_frames, np.float32))
        stream.close()
        self.assertTrue((self.place / "results/video.mp4").is_file())
        self.assertIsInstance(stream, headcast.Stream)


if __name__ == "__main__":
    unittest.main()
