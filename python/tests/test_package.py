"""Avatars, rendering and the server: the program's own functions, called from Python."""

import json
import struct
import unittest
import urllib.request
import zlib

import headcast
import numpy as np
from support import FIXTURES, Folder, assert_perfect, needs_ffmpeg, tone


def png(width, height, colour=(30, 60, 90)):
    """A picture of one colour, as a file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Package(Folder):
    def test_version_and_names(self):
        self.assertRegex(headcast.__version__, r"^\d+\.\d+\.\d+$")
        for name in headcast.__all__:
            self.assertTrue(hasattr(headcast, name), name)
        for error in [headcast.AudioError, headcast.FrameError, headcast.AvatarError, headcast.OutputError]:
            self.assertTrue(issubclass(error, headcast.Error))

    def test_the_built_in_avatar_is_there(self):
        avatars = headcast.avatars(data_dir=self.place)
        self.assertEqual([(avatar.name, avatar.size) for avatar in avatars], [("milo", (512, 512))])

    @needs_ffmpeg
    def test_render(self):
        seen = []
        rendered = headcast.render(
            "milo",
            (tone(0.5), 48000),
            self.place / "out",
            data_dir=self.place / "data",
            on_progress=lambda done, total: seen.append((done, total)),
        )
        self.assertEqual(seen, [(done, 13) for done in range(14)])
        self.assertEqual(rendered.frames, 13)
        assert_perfect(self, rendered.video, 13)
        assert_perfect(self, rendered.playlist, 13)

    def test_a_body_is_chosen(self):
        def render(**body):
            out = self.place / "out"
            headcast.render("milo", (tone(0.2), 48000), out, profile="preview", body=body, frames=self.place / "frames", data_dir=self.place / "data")
            return [file.read_bytes() for file in sorted((self.place / "frames").iterdir())]

        plain = render()
        self.assertEqual(render(eyes="recorded", background="own", poses="loop"), plain)
        self.assertNotEqual(render(background="green", smooth_lips=True, poses=2), plain)
        sea = self.place / "sea.png"
        sea.write_bytes(png(90, 60, (0, 177, 64)))
        self.assertEqual(render(background=sea), render(background="green"))
        self.assertEqual(render(background=str(sea)), render(background="green"))
        pixels = np.full((40, 30, 3), (0, 177, 64), dtype=np.uint8)
        self.assertEqual(render(background=pixels), render(background="green"))
        with self.assertRaisesRegex(headcast.Error, "height, width, 3"):
            render(background=np.zeros((2, 40, 30, 3), dtype=np.uint8))
        sea.write_bytes(sea.read_bytes()[:50])
        with self.assertRaisesRegex(headcast.Error, "sea.png"):
            render(background=sea)
        with self.assertRaisesRegex(headcast.Error, "no body option 'legs'|no body option \"legs\""):
            render(legs="long")
        with self.assertRaisesRegex(headcast.Error, "eyes"):
            render(eyes=1.5)

    def test_render_stops_when_it_is_told(self):
        def stop(done, total):
            if done == 2:
                raise InterruptedError("enough")

        with self.assertRaisesRegex(InterruptedError, "enough"):
            headcast.render("milo", (tone(2.0), 48000), self.place / "out", data_dir=self.place / "data", on_progress=stop)
        self.assertFalse((self.place / "out" / "video.mp4").exists())

    def test_render_says_what_is_wrong(self):
        text = self.place / "speech.wav"
        text.write_text("no sound\n" * 100)
        foreign = self.place / "foreign"
        foreign.mkdir()
        (foreign / "index.m3u8").write_text("chunk1.ts\n")
        sound = (tone(0.5), 48000)
        cases = [
            (dict(avatar="nobody"), headcast.AvatarError, "no avatar"),
            (dict(audio=text), headcast.AudioError, "not an audio file"),
            (dict(audio=self.place / "none.wav"), headcast.AudioError, "cannot be read"),
            (dict(features=text), headcast.FeaturesError, ""),
            (dict(features=self.place / "none.npy"), headcast.FeaturesError, "cannot be read"),
            (dict(out=foreign), headcast.OutputError, "choose another folder"),
            (dict(profile="best"), headcast.Error, "quality"),
        ]
        for changed, error, words in cases:
            arguments = {"avatar": "milo", "audio": sound, "out": self.place / "out", **changed}
            with self.subTest(str(changed)), self.assertRaisesRegex(error, words):
                headcast.render(**arguments, data_dir=self.place / "data")
        self.assertFalse((self.place / "out").exists())

    def test_inspect_and_import_say_what_is_wrong(self):
        with self.assertRaises(headcast.AvatarError):
            headcast.inspect(self.place / "none.pth")
        text = self.place / "ngp.pth"
        text.write_text("no checkpoint")
        with self.assertRaises(headcast.AvatarError):
            headcast.inspect(text)
        with self.assertRaises(headcast.AvatarError):
            headcast.Avatar.import_(text, self.place, "eva", data_dir=self.place / "data")
        self.assertEqual(len(headcast.avatars(self.place / "data")), 1)

    def test_an_avatar_is_imported(self):
        data = FIXTURES / "nerf/er-torso"
        report = headcast.inspect(data / "ngp.pth")
        self.assertEqual((report.family, report.torso, report.problems), ("ER-NeRF", True, []))
        self.assertIn("ER-NeRF", str(report))

        def make(**options):
            return headcast.Avatar.import_(data / "ngp.pth", data, "ann", title="Ann", data_dir=self.place, **options)

        avatar = make()
        self.assertEqual((avatar.name, avatar.title), ("ann", "Ann"))
        self.assertEqual([each.name for each in headcast.avatars(self.place)], ["milo", "ann"])
        self.assertEqual(headcast.inspect(self.place / "avatars/ann").size, avatar.size)
        with self.assertRaisesRegex(headcast.AvatarError, "overwrite=True"):
            make()
        make(overwrite=True)
        width, height = avatar.size
        body = self.place / "body.png"
        body.write_bytes(png(width + 7, height + 20))
        with self.assertRaisesRegex(headcast.AvatarError, "does not fit at column 8, row 20"):
            make(overwrite=True, full_body=body, full_body_offset=(8, 20))
        larger = make(overwrite=True, full_body=body, full_body_offset=(7, 20))
        self.assertEqual(larger.size, (width + 7, height + 20))

    def test_serve(self):
        with headcast.serve(port=0, data_dir=self.place) as server:
            with urllib.request.urlopen(server.url + "healthz") as answer:
                self.assertEqual(answer.status, 200)
            with urllib.request.urlopen(server.url + "api/v1/avatars") as answer:
                self.assertIn("milo", json.dumps(json.load(answer)))
            port = int(server.url.rstrip("/").rsplit(":", 1)[1])
            with self.assertRaisesRegex(headcast.ServerError, "in use"):
                headcast.serve(port=port, data_dir=self.place / "other")
            with self.assertRaisesRegex(headcast.ServerError, "another"):
                headcast.serve(port=0, data_dir=self.place)
        with self.assertRaises(OSError):
            urllib.request.urlopen(server.url + "healthz")
        with self.assertRaisesRegex(headcast.ServerError, "password"):
            headcast.serve(host="0.0.0.0", port=0, data_dir=self.place)


if __name__ == "__main__":
    unittest.main()
