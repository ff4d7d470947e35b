"""Whatever array holds a picture, the stream shows that picture."""

import unittest

import headcast
import numpy as np
from support import SIZE, Folder, decoded, needs_ffmpeg, pictures


class Lookalike:
    """Something of another library."""

    def __init__(self, array):
        self.array = array


class Torchlike(Lookalike):
    """As much of a torch tensor on another device as is asked of it."""

    dtype = "torch.float32"

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


class Dunder(Lookalike):
    def __array__(self, dtype=None, copy=None):
        return self.array


class Dlpack(Lookalike):
    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Frames(Folder):
    def bytes_of(self, name, frames):
        """What a stream without sound makes of `frames`."""
        folder = self.place / name
        with headcast.Stream(size=SIZE, out=folder, video=False) as stream:
            for frame in frames:
                stream.write(frame)
        return self.segments(folder)

    def test_every_layout_of_the_same_picture_gives_the_same_bytes(self):
        frames = pictures(6)
        expected = self.bytes_of("plain", frames)
        wide = np.zeros((6, SIZE[1], SIZE[0] * 2, 3), np.uint8)
        wide[:, :, ::2] = frames
        bgr = np.ascontiguousarray(frames[..., ::-1])
        planes = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        upside_down = np.ascontiguousarray(frames[:, ::-1])
        read_only = frames.copy()
        read_only.flags.writeable = False
        layouts = {
            "fortran": [np.asfortranarray(frame) for frame in frames],
            "every second pixel": list(wide[:, :, ::2]),
            "bgr": list(bgr[..., ::-1]),
            "planes": list(planes.transpose(0, 2, 3, 1)),
            "upside down": list(upside_down[:, ::-1]),
            "read only": list(read_only),
            "batch": [frames],
            "batches": [frames[:2], frames[2:2], frames[2:]],
            "batch in fortran order": [np.asfortranarray(frames)],
            "float64": list(frames / 255),
            "float32": list((frames / 255).astype(np.float32)),
            "float32 batch": [(frames / 255).astype(np.float32)],
            "float32 planes": list((planes / 255).astype(np.float32).transpose(0, 2, 3, 1)),
            "big endian": list((frames / 255).astype(">f4")),
            "subclass": [np.ma.masked_array(frame) for frame in frames],
            "tensor": [Torchlike(frame) for frame in frames],
            "__array__": [Dunder(frame) for frame in frames],
            "__dlpack__": [Dlpack(frame) for frame in frames],
        }
        for name, layout in layouts.items():
            with self.subTest(name):
                self.assertEqual(self.bytes_of("other", layout), expected)
        # The control: these bytes do follow the picture.
        self.assertNotEqual(self.bytes_of("other", list(bgr)), expected)
        self.assertNotEqual(self.bytes_of("other", pictures(6, seed=2)), expected)

    def test_half_precision_is_as_near_as_it_can_be(self):
        halves = (pictures(6) / 255).astype(np.float16)
        nearest = np.floor(halves.astype(np.float32) * 255 + 0.5).astype(np.uint8)
        self.assertEqual(self.bytes_of("half", halves), self.bytes_of("bytes", nearest))

    def test_numbers_outside_are_clamped_and_nan_is_black(self):
        frames = pictures(4)
        floats = {kind: frames.astype(kind) / 255 for kind in ("float32", "float64", "float16")}
        shown = frames.copy()
        for (y, x), value, byte in [((3, 4), np.nan, 0), ((5, 6), -0.5, 0), ((7, 8), np.inf, 255), ((9, 1), -np.inf, 0), ((0, 0), 1.25, 255)]:
            shown[:, y, x] = byte
            for values in floats.values():
                values[:, y, x] = value
        expected = self.bytes_of("bytes", shown)
        for kind, values in floats.items():
            with self.subTest(kind):
                self.assertEqual(self.bytes_of("floats", values), expected)

    def test_what_is_no_frame_is_refused_and_the_stream_goes_on(self):
        width, height = SIZE
        frame = pictures(1)[0]
        tensors = [
            (frame.transpose(2, 0, 1), "frame.transpose(1, 2, 0)"),
            (frame.transpose(2, 0, 1)[None], "permute(0, 2, 3, 1)"),
            (frame[..., 0], "numpy.stack([frame] * 3, axis=-1)"),
            (frame[..., :1], "numpy.repeat"),
            (np.dstack([frame, frame[..., 0]]), "frame[..., :3]"),
            (frame.transpose(1, 0, 2), f"size=({height}, {width})"),
            (frame[:-1], f"size=({width}, {height - 1})"),
            (frame[None, None], "(n, height, width, 3)"),
            (np.uint8(3), "(height, width, 3)"),
            (frame.astype(np.int64), "dtype int64"),
            (frame > 3, "dtype bool"),
            (frame.astype(np.complex64), "dtype complex64"),
            (frame.astype(object), "dtype object"),
            (frame.astype(np.float32), "divide it by 255"),
            (frame.tolist(), "numpy.asarray"),
            (None, "NoneType"),
        ]
        with headcast.Stream(size=SIZE, out=self.place / "out") as stream:
            stream.write(frame)
            for value, advice in tensors:
                with self.subTest(advice):
                    with self.assertRaises(headcast.FrameError) as caught:
                        stream.write(value)
                    self.assertIn(advice, str(caught.exception))
                    self.assertIsInstance(caught.exception, ValueError)
            stream.write(frame)
        self.assertEqual(stream.frames, 2)

    def test_the_array_may_be_used_again_at_once(self):
        frames = pictures(20)
        expected = self.bytes_of("plain", frames)
        folder = self.place / "again"
        buffer = np.empty_like(frames[0])
        with headcast.Stream(size=SIZE, out=folder, video=False) as stream:
            for frame in frames:
                buffer[:] = frame
                stream.write(buffer)
                buffer[:] = 255
        self.assertEqual(self.segments(folder), expected)

    @needs_ffmpeg
    def test_colours_and_places_are_right(self):
        width, height = SIZE
        frame = np.zeros((height, width, 3), np.uint8)
        frame[: height // 2, : width // 2] = (220, 30, 40)
        frame[height // 2 :, width // 2 :] = (20, 60, 210)
        with headcast.Stream(size=SIZE, out=self.place / "out") as stream:
            stream.write(np.stack([frame] * 5))
        shown = decoded(stream.video_path).astype(int)
        self.assertEqual(len(shown), 5)
        for y, x in [(10, 10), (40, 50), (10, 50)]:
            off = np.abs(shown[-1][y, x] - frame[y, x]).max()
            self.assertLess(off, 14, f"({x}, {y}): {shown[-1][y, x]} for {frame[y, x]}")

    def test_torch_where_it_is_installed(self):
        try:
            import torch
        except ImportError:
            print("SKIPPED: torch is not installed; stand-ins are tested")
            self.skipTest("torch is not installed")
        frames = pictures(6)
        expected = self.bytes_of("plain", frames)
        tensor = torch.from_numpy(frames)
        floats = (tensor.float() / 255).requires_grad_()
        planes = tensor.permute(0, 3, 1, 2).contiguous()
        kinds = {"bytes": tensor, "attached": floats, "permuted": planes.permute(0, 2, 3, 1), "double": floats.double()}
        if torch.cuda.is_available():
            kinds["device"] = tensor.cuda()
            kinds["floats on the device"] = floats.cuda()
        for name, batch in kinds.items():
            with self.subTest(name):
                self.assertEqual(self.bytes_of("tensors", batch), expected)
        brain = self.bytes_of("brain", floats.bfloat16())
        self.assertEqual(brain, self.bytes_of("float", floats.bfloat16().float()))
        with self.assertRaisesRegex(headcast.FrameError, r"frame\.permute\(1, 2, 0\)"):
            self.bytes_of("wrong", planes)


if __name__ == "__main__":
    unittest.main()
