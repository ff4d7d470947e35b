"""A stream from its first playlist to its last word."""

import fcntl
import http.client
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
import wave
from fractions import Fraction

import headcast
import numpy as np
from support import FIXTURES, SIZE, Folder, assert_perfect, decoded, needs_ffmpeg, pictures, skip_loudly, tone


def listed(playlist):
    return [line for line in playlist.splitlines() if not line.startswith("#")]


class Streams(Folder):
    def test_the_playlist_is_complete_before_the_first_frame(self):
        out = self.place / "out"
        with headcast.Stream((tone(4.0), 48000), size=SIZE, out=out) as stream:
            self.assertEqual(stream.total_frames, 100)
            text = stream.playlist
            self.assertEqual(stream.playlist_path.read_text(), text)
            self.assertIn("#EXT-X-PLAYLIST-TYPE:VOD", text)
            self.assertIn("#EXT-X-ENDLIST", text)
            lengths = [float(line[8:].rstrip(",")) for line in text.splitlines() if line.startswith("#EXTINF:")]
            self.assertAlmostEqual(sum(lengths), 4.0, places=6)
            self.assertFalse((out / listed(text)[0]).exists())
            stream.write(pictures(100))
        self.assertEqual(stream.playlist, text)
        self.assertTrue(stream.closed)
        self.assertEqual((stream.frames, stream.segments), (100, len(listed(text))))
        for name in [*listed(text), "video.mp4", "log.txt"]:
            self.assertTrue((out / name).is_file(), name)

    def test_without_audio_the_playlist_grows(self):
        out = self.place / "out"
        with headcast.Stream(size=SIZE, out=out) as stream:
            self.assertIsNone(stream.total_frames)
            self.assertIn("#EXT-X-PLAYLIST-TYPE:EVENT", stream.playlist)
            self.assertEqual(listed(stream.playlist), [])
            stream.write(pictures(60))
            while stream.segments == 0:
                time.sleep(0.01)
            self.assertEqual(listed(stream.playlist), listed(stream.playlist_path.read_text()))
            self.assertNotIn("#EXT-X-ENDLIST", stream.playlist)
        self.assertIn("#EXT-X-ENDLIST", stream.playlist_path.read_text())
        self.assertEqual(stream.frames, 60)

    @needs_ffmpeg
    def test_slow_and_fast_generators_end_with_perfect_files(self):
        for name, rate, seconds in [("slower than real time", 12, 2.0), ("faster", 200, 6.0)]:
            with self.subTest(name):
                out = self.place / name.replace(" ", "-")
                frames = pictures(round(seconds * 25))
                started = time.monotonic()
                with headcast.Stream((tone(seconds), 48000), size=SIZE, out=out) as stream:
                    for number, frame in enumerate(frames):
                        time.sleep(max(0.0, started + number / rate - time.monotonic()))
                        stream.write(frame)
                assert_perfect(self, stream.video_path, len(frames))
                assert_perfect(self, stream.playlist_path, len(frames))

    @needs_ffmpeg
    def test_other_frame_rates(self):
        for fps, exact in [(30, Fraction(30)), (29.97, Fraction(30000, 1001)), (Fraction(24000, 1001), Fraction(24000, 1001))]:
            with self.subTest(fps=fps):
                with headcast.Stream(size=SIZE, fps=fps, out=self.place / "out") as stream:
                    stream.write(pictures(40))
                assert_perfect(self, stream.video_path, 40, fps=exact, sound=False)

    @needs_ffmpeg
    def test_a_generator_that_raises_leaves_what_plays_and_the_traceback(self):
        def model():
            yield from pictures(70)
            raise ZeroDivisionError("the model broke at frame 70")

        out = self.place / "out"
        with self.assertRaisesRegex(ZeroDivisionError, "frame 70"):
            with headcast.Stream((tone(8.0), 48000), size=SIZE, out=out) as stream:
                for frame in model():
                    stream.write(frame)
        self.assertTrue(stream.closed)
        text = (out / "index.m3u8").read_text()
        self.assertIn("#EXT-X-ENDLIST", text)
        self.assertTrue(0 < len(listed(text)) == stream.segments)
        self.assertTrue(0 < stream.frames <= 70)
        assert_perfect(self, out / "index.m3u8", stream.frames)
        log = (out / "log.txt").read_text()
        for part in ["Traceback (most recent call last)", "in model", "ZeroDivisionError: the model broke at frame 70", f"after {stream.frames} frames"]:
            self.assertIn(part, log)
        levels = [line.level for line in stream.log_lines()]
        self.assertIn("error", levels)
        with self.assertRaises(headcast.StreamError):
            stream.write(pictures(1)[0])

    def test_a_generator_that_raises_at_once_leaves_nothing_to_play(self):
        with self.assertRaises(KeyError):
            with headcast.Stream((tone(1.0), 48000), size=SIZE, out=self.place / "out") as stream:
                raise KeyError("weights")
        self.assertFalse(stream.playlist_path.exists())
        self.assertIn("KeyError: 'weights'", stream.log_path.read_text())

    @needs_ffmpeg
    def test_too_few_and_too_many_frames_are_said(self):
        frames = pictures(30)
        with headcast.Stream((tone(1.0), 48000), size=SIZE, out=self.place / "few") as few:
            few.write(frames[:20])
        self.assertIn("the last picture is held", few.log_path.read_text())
        assert_perfect(self, few.video_path, 25)
        shown = decoded(few.video_path).astype(int)
        self.assertLess(np.abs(shown[24] - shown[19]).mean(), 2)
        self.assertGreater(np.abs(shown[19] - shown[10]).mean(), 2)
        with headcast.Stream((tone(1.0), 48000), size=SIZE, out=self.place / "many") as many:
            many.write(frames)
        self.assertIn("5 frames after the end", many.log_path.read_text())
        assert_perfect(self, many.video_path, 25)

    def test_no_frame_at_all(self):
        with self.assertRaisesRegex(headcast.StreamError, "no frame was written"):
            with headcast.Stream((tone(1.0), 48000), size=SIZE, out=self.place / "out"):
                pass

    def test_ways_to_give_audio(self):
        samples = (tone(1.0) * 32767).astype(np.int16)
        file = self.place / "tone.wav"
        with wave.open(str(file), "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(48000)
            writer.writeframes(samples.tobytes())
        stereo = np.stack([samples, samples], axis=1)

        def made(audio):
            with headcast.Stream(audio, size=SIZE, out=self.place / "out", video=False) as stream:
                stream.write(pictures(25))
            return self.segments(stream.folder)

        expected = made(file)
        ways = {
            "str": str(file),
            "samples": (samples, 48000),
            "as Gradio gives it": (48000, samples),
            "as scipy gives it": (np.int64(48000), samples),
            "floats": (samples / 32768.0, 48000),
            "float32": ((samples / 32768.0).astype(np.float32), 48000),
            "32 bits": (samples.astype(np.int32) << 16, 48000),
            "one channel": (samples[:, None], 48000),
            "every second": (np.repeat(samples, 2)[::2], 48000.0),
        }
        for name, audio in ways.items():
            with self.subTest(name):
                self.assertEqual(made(audio), expected)
        self.assertNotEqual(made((samples // 2, 48000)), expected)
        self.assertNotEqual(made((stereo, 48000)), expected)

    def test_audio_that_cannot_be_used(self):
        text = self.place / "speech.wav"
        text.write_text("no sound\n" * 100)
        nan = tone(1.0)
        nan[100] = np.nan
        wrong = [
            (self.place / "none.wav", "cannot be read"),
            (self.place, "it is a folder"),
            (text, "not an audio file"),
            ((tone(1.0), 4), "4 samples per second"),
            ((tone(1.0), "fast"), "'fast'"),
            ((nan, 48000), "sample 100"),
            ((np.zeros((2, 48000), np.float32), 48000), "samples.T"),
            ((np.zeros((48000, 9), np.float32), 48000), "1 to 8 channels"),
            ((np.zeros(48000, np.int64), 48000), "dtype int64"),
            ((np.zeros(0, np.float32), 48000), ""),
            (tone(1.0), "give the rate"),
            ((tone(1.0), 48000, 1), "3 values"),
        ]
        for audio, advice in wrong:
            with self.subTest(advice):
                with self.assertRaises(headcast.AudioError) as caught:
                    headcast.Stream(audio, size=SIZE, out=self.place / "out")
                self.assertIn(advice, str(caught.exception))
        self.assertFalse((self.place / "out" / "index.m3u8").exists())

    def test_sizes_and_rates_that_cannot_be(self):
        for size in [(0, 10), (8, 8), (5000, 16), (-4, 4), (1 << 40, 1), 512, (512,), "ab"]:
            with self.subTest(size=size), self.assertRaises(headcast.FrameError):
                headcast.Stream(size=size, out=self.place / "out")
        for fps in [0, -25, 1e9, float("nan"), float("inf"), "fast"]:
            with self.subTest(fps=fps), self.assertRaises(headcast.StreamError):
                headcast.Stream(size=SIZE, fps=fps, out=self.place / "out")

    def test_somebody_elses_folder_is_left_alone(self):
        out = self.place / "out"
        out.mkdir()
        (out / "index.m3u8").write_text("#EXTM3U\nchunk1.ts\n")
        with self.assertRaisesRegex(headcast.OutputError, "choose another folder"):
            headcast.Stream(size=SIZE, out=out)
        self.assertEqual((out / "index.m3u8").read_text(), "#EXTM3U\nchunk1.ts\n")
        (self.place / "file").write_text("")
        with self.assertRaises(OSError):
            headcast.Stream(size=SIZE, out=self.place / "file")

    def test_a_folder_of_its_own(self):
        with headcast.Stream(size=SIZE) as stream:
            stream.write(pictures(10))
        self.assertTrue(stream.video_path.is_file())
        # Removed when Python ends.
        code = textwrap.dedent(
            """
            import headcast, numpy
            with headcast.Stream(size=(64, 48)) as stream:
                stream.write(numpy.zeros((10, 48, 64, 3), "uint8"))
            print(stream.folder)
            """
        )
        folder = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        self.assertTrue(folder)
        self.assertFalse(os.path.exists(folder))

    def test_other_threads_run_meanwhile(self):
        counted = 0
        stop = threading.Event()

        def count():
            nonlocal counted
            while not stop.is_set():
                counted += 1

        # Holds the last picture for many frames: time that is spent in the library.
        stream = headcast.Stream((tone(30.0), 48000), size=(512, 512), out=self.place / "out", video=False)
        stream.write(np.zeros((512, 512, 3), np.uint8))
        counter = threading.Thread(target=count)
        counter.start()
        while counted == 0:
            time.sleep(0)
        before = counted
        stream._native.finish()
        during = counted - before
        stop.set()
        counter.join()
        stream.close()
        # With the GIL held the other thread would have stood still.
        self.assertGreater(during, 1000)

    def test_dropped_streams_let_other_threads_run(self):
        def drop_native(stream):
            # What is left when Python's own half does not end it.
            native = stream._native
            stream._native = None
            stream._log.close()
            return [native]

        for name, hold in [("stream", lambda stream: [stream]), ("native half", drop_native)]:
            with self.subTest(name):
                out = self.place / name
                stream = headcast.Stream(size=(1024, 1024), out=out)
                # Full, so that there is something to wait for: noise takes long.
                noise = np.random.default_rng(1).integers(0, 256, (14, 1024, 1024, 3), np.uint8)
                stream.write(noise)
                held = hold(stream)
                del stream
                counted = 0
                stop = threading.Event()

                def count():
                    nonlocal counted
                    while not stop.is_set():
                        counted += 1
                        time.sleep(0.001)

                counter = threading.Thread(target=count)
                counter.start()
                interval = sys.getswitchinterval()
                try:
                    while counted == 0:
                        time.sleep(0.001)
                    # From here on nobody gets the GIL that is not given it.
                    sys.setswitchinterval(1000)
                    before = counted
                    held.clear()
                    during = counted - before
                finally:
                    sys.setswitchinterval(interval)
                    stop.set()
                    counter.join()
                self.assertGreater(during, 0)
                text = (out / "index.m3u8").read_text()
                self.assertTrue(listed(text) and text.endswith("#EXT-X-ENDLIST\n"), text)
        self.assertIn("nobody held the stream", (self.place / "stream" / "log.txt").read_text())

    def test_ctrl_c_is_noticed_while_a_frame_waits(self):
        out = self.place / "out"
        stream = headcast.Stream(size=SIZE, out=out, video=False)
        self.addCleanup(stream.abort)
        # The encoder cannot open the file that becomes the next playlist for as long as somebody has a lease on it.
        draft = os.open(out / ".index.m3u8.part", os.O_CREAT | os.O_RDWR)
        self.addCleanup(os.close, draft)
        ignored = signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGIO, ignored)
        try:
            fcntl.fcntl(draft, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except (AttributeError, OSError):
            skip_loudly("leases on files")
        written = 0
        late = False
        noticed = threading.Event()
        # What is started in the background of a shell ignores it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

        def press():
            nonlocal late
            seen, since = -1, 0
            while since < 20:
                time.sleep(0.025)
                seen, since = written, since + 1 if seen == written else 0
            os.kill(os.getpid(), signal.SIGINT)
            if not noticed.wait(20):
                # Let go, so that the test ends.
                late = True
                fcntl.fcntl(draft, fcntl.F_SETLEASE, fcntl.F_UNLCK)

        presser = threading.Thread(target=press)
        presser.start()
        with self.assertRaises(KeyboardInterrupt):
            while True:
                stream.write(pictures(1)[0])
                written += 1
                self.assertLess(written, 1000)
        noticed.set()
        presser.join()
        self.assertFalse(late, "only the end of the wait ended it")
        fcntl.fcntl(draft, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        # The frame that waited was not taken, and the stream goes on.
        stream.write(pictures(1)[0])
        stream.close()
        self.assertEqual(stream.frames, written + 1)

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "needs /proc")
    def test_the_sound_of_a_long_clip_is_not_kept_in_memory(self):
        def files_aside():
            files = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
            place = os.path.realpath(self.place)
            return sum(file.startswith(place) and file.endswith(" (deleted)") for file in files)

        def put_aside(seconds, frames, patience):
            stream = headcast.Stream((tone(seconds), 48000), size=SIZE, out=self.place / f"{seconds}")
            self.addCleanup(stream.abort)
            # Sound is compressed some way ahead of the pictures that ask for it.
            stream.write(pictures(frames))
            late = time.monotonic() + patience
            while not (aside := files_aside()) and time.monotonic() < late:
                time.sleep(0.01)
            stream.abort()
            return aside

        # Of four minutes, forty seconds are asked for; a file is there as soon as there is too much for memory.
        self.assertGreater(put_aside(240.0, 1000, patience=60), 0)
        # Control: that of a short one needs no file.
        self.assertEqual(put_aside(4.0, 90, patience=2), 0)

    def test_ctrl_c_stops_and_what_there_is_plays(self):
        code = textwrap.dedent(
            """
            import signal, sys, headcast, numpy
            # What is started in the background of a shell ignores it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with headcast.Stream(size=(512, 512), out=sys.argv[1]) as stream:
                frame = numpy.zeros((200, 512, 512, 3), "uint8")
                print("ready", flush=True)
                while True:
                    stream.write(frame)
            """
        )
        out = self.place / "out"
        child = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "ready\n")
        while not (out / "segment_00000.ts").exists():
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _out, trouble = child.communicate(timeout=60)
        self.assertIn("KeyboardInterrupt", trouble)
        self.assertIn("#EXT-X-ENDLIST", (out / "index.m3u8").read_text())
        self.assertIn("KeyboardInterrupt", (out / "log.txt").read_text())

    def test_the_log_is_said_as_it_happens(self):
        with headcast.Stream(size=SIZE, out=self.place / "out") as stream:
            stream.log("loading weights")
            stream.log(ValueError("odd"), "warning")
            lines = stream.log_lines()
            self.assertEqual([line.text for line in lines[1:]], ["loading weights", "odd"])
            self.assertEqual(lines[2].level, "warning")
            self.assertEqual(stream.log_lines(after=lines[-1].number), [])
            stream.write(pictures(10))
        self.assertIn("loading weights", stream.log_path.read_text())
        self.assertIn("done: 10 frames", stream.log_path.read_text())

    def test_everything_is_served_while_it_is_made(self):
        stream = headcast.Stream((tone(4.0), 48000), size=SIZE, out=self.place / "out")
        self.addCleanup(stream.abort)
        url = stream.url
        self.assertEqual(stream.url, url)

        def get(path, **headers):
            with urllib.request.urlopen(urllib.request.Request(urllib.parse.urljoin(url, path), headers=headers), timeout=30) as answer:
                return answer.headers["Content-Type"], answer.read()

        kind, page = get("")
        self.assertIn("text/html", kind)
        for name in re.findall(r'(?:src|href)="\.\./\.\./w/([^"]+)"', page.decode()):
            self.assertGreater(len(get(f"../../w/{name}")[1]), 50)
        for module in ["player.html", "player.js", "log.html", "log.js", "hls.mjs", "loader.js"]:
            self.assertGreater(len(get(f"../../w/{module}")[1]), 50)
        self.assertEqual(get("index.m3u8"), ("application/vnd.apple.mpegurl", stream.playlist.encode()))

        # Asked for before it is made: its head comes at once, the rest when it is there.
        address = urllib.parse.urlparse(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        connection.request("GET", address.path + "segment_00001.ts")
        held = connection.getresponse()
        head = held.read(188)
        self.assertEqual(head[0], 0x47)
        self.assertEqual(stream.segments, 0)
        stream.write(pictures(100))
        rest = held.read()
        self.assertEqual(head + rest, (stream.folder / "segment_00001.ts").read_bytes())
        connection.close()

        # Never made: breaks off instead of ending.
        other = headcast.Stream((tone(2.0), 48000), size=SIZE, out=self.place / "other")
        address = urllib.parse.urlparse(other.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        connection.request("GET", address.path + "segment_00001.ts")
        held = connection.getresponse()
        held.read(188)
        other.abort("no more")
        with self.assertRaises(http.client.IncompleteRead):
            held.read()
        connection.close()

        stream.close()
        self.assertEqual(get("segment_00000.ts")[1], (stream.folder / "segment_00000.ts").read_bytes())
        self.assertEqual(get("video.mp4"), ("video/mp4", stream.video_path.read_bytes()))
        events = get("events")[1].decode()
        self.assertIn('"end": "finished"', events)
        self.assertIn("opened: 64x48", events)
        self.assertTrue(events.endswith("event: over\ndata: {}\n\n"))
        after = re.findall(r"^id: (\d+)$", events, re.MULTILINE)[-1]
        self.assertNotIn("event: log", get("events", **{"Last-Event-ID": after})[1].decode())

        for path, headers, status in [
            ("segment_00099.ts", {}, 410),
            ("segment_1.ts", {}, 404),
            ("log.txt", {}, 404),
            ("../../w/secret", {}, 404),
            ("../../s/AAAAAAAAAAAAAAAAAAAAAA/index.m3u8", {}, 404),
            ("index.m3u8", {"Host": "evil.example"}, 421),
        ]:
            with self.subTest(path=path, **headers), self.assertRaises(urllib.error.HTTPError) as caught:
                get(path, **headers)
            self.assertEqual(caught.exception.code, status)
            caught.exception.close()

    @needs_ffmpeg
    def test_the_speech_of_the_fixtures(self):
        file = FIXTURES / "speech" / "en.wav"
        with headcast.Stream(file, size=SIZE, out=self.place / "out") as stream:
            stream.write(pictures(stream.total_frames))
        assert_perfect(self, stream.video_path, stream.total_frames)


if __name__ == "__main__":
    unittest.main()
