"""Frames and a recording from Python to HLS: what people do with two ffmpeg passes per five seconds, against headcast.Stream.

    pip install . && python python/bench/two_pass.py [--seconds 30] [--frames FOLDER]

One process, one input, in turns. The pictures are those of the built-in avatar (rendered first, which is not counted, or read
from a folder that an earlier run kept), there and back again until they are enough; the sound is a fixture's, repeated.
Needs ffmpeg and ffprobe. CPU is user and system time of this process and of all its children.
"""

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import headcast
import numpy as np

SIDE, FPS, BATCH = 512, 25, 125
ROOT = Path(__file__).resolve().parents[2]


def cpu():
    """Seconds, of this process and of the children that it has waited for."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def run(*command):
    return subprocess.run(command, capture_output=True, check=True)


def pictures(folder, count, unique=150):
    """`count` frames; the file of each was rendered once."""
    wav = folder / "head.wav"
    if not (folder / f"frame_{unique - 1:06}.png").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(ROOT / "fixtures/speech/en.wav"), "-t", str(unique / FPS), str(wav))
        with tempfile.TemporaryDirectory() as scratch:
            headcast.render("milo", wav, scratch, frames=folder, data_dir=Path(scratch) / "data")
    raw = run("ffmpeg", "-v", "error", "-i", str(folder / "frame_%06d.png"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-").stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, SIDE, SIDE, 3)
    there_and_back = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    return [frames[there_and_back[i % len(there_and_back)]] for i in range(count)]


def sound(folder, seconds):
    wav = folder / "sound.wav"
    run("ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(ROOT / "fixtures/speech/en.wav"), "-t", str(seconds), "-ar", "16000", str(wav))
    return wav


def with_headcast(frames, wav, folder):
    writes, first = [], None
    start, before = time.perf_counter(), cpu()
    with headcast.Stream(wav, size=(SIDE, SIDE), fps=FPS, out=folder, video=False, expected_fps=10 * FPS) as stream:
        for frame in frames:
            began = time.perf_counter()
            stream.write(frame)
            now = time.perf_counter()
            writes.append(now - began)
            if first is None and stream.segments:
                first = now - start
    wall, spent = time.perf_counter() - start, cpu() - before
    names = [line for line in stream.playlist.splitlines() if not line.startswith("#")]
    length = next(float(line[8:].rstrip(",")) for line in stream.playlist.splitlines() if line.startswith("#EXTINF"))
    return dict(name="headcast.Stream", wall=wall, cpu=spent, first=first or wall, long=length, files=[folder / n for n in names], writes=writes)


def paced(frames, wav, folder, rate):
    """What one `write` costs a model that makes `rate` frames a second."""
    writes = []
    with headcast.Stream(wav, size=(SIDE, SIDE), fps=FPS, out=folder, video=False) as stream:
        start = time.perf_counter()
        for number, frame in enumerate(frames):
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
            began = time.perf_counter()
            stream.write(frame)
            writes.append(time.perf_counter() - began)
    return writes


def with_two_passes(name, codec, frames, wav, folder):
    folder.mkdir()
    first, files = None, []
    start, before = time.perf_counter(), cpu()
    for k in range(0, len(frames), BATCH):
        batch = frames[k : k + BATCH]
        silent, segment = folder / f"{k}.mp4", folder / f"{k}.ts"
        feed = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", str(FPS), "-i", "-",
             "-c:v", "libx264", "-pix_fmt", "yuv420p", str(silent)],
            stdin=subprocess.PIPE,
        )
        for frame in batch:
            feed.stdin.write(frame.tobytes())
        feed.stdin.close()
        assert feed.wait() == 0
        at = str(k / FPS)
        run("ffmpeg", "-v", "error", "-y", "-i", str(silent), "-ss", at, "-t", str(len(batch) / FPS), "-i", str(wav),
            "-c:v", codec, "-c:a", "aac", "-output_ts_offset", at, str(segment))
        files.append(segment)
        first = first or time.perf_counter() - start
    return dict(name=name, wall=time.perf_counter() - start, cpu=cpu() - before, first=first, long=BATCH / FPS, files=files)


def joins(files):
    """Joins where sound or picture overlaps or leaves a gap of more than a millisecond, and the largest, in milliseconds."""
    ends, bad, worst = {}, set(), 0.0
    for index, file in enumerate(files):
        for kind, length in (("v", 1 / FPS), ("a", None)):
            out = run("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time:stream=sample_rate", "-of", "json", str(file)).stdout
            found = json.loads(out)
            times = sorted(float(packet["pts_time"]) for packet in found["packets"])
            length = length or 1024 / int(found["streams"][0]["sample_rate"])
            if kind in ends and abs(times[0] - ends[kind]) > 1e-3:
                bad.add(index)
                worst = max(worst, abs(times[0] - ends[kind]) * 1e3)
            ends[kind] = times[-1] + length
    return len(bad), worst


def quality(files, frames):
    """PSNR over all channels, as a player shows it, and the lines that ffmpeg complains with."""
    together = "concat:" + "|".join(str(file) for file in files)
    complaints = run("ffmpeg", "-v", "warning", "-i", together, "-f", "null", "-").stderr.decode().splitlines()
    child = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-i", together, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        stdout=subprocess.PIPE,
    )
    squares = 0.0
    for frame in frames:
        raw = child.stdout.read(frame.size)
        shown = np.frombuffer(raw.ljust(frame.size, b"\0"), np.uint8).reshape(frame.shape)
        squares += float(np.square(frame.astype(np.int32) - shown, dtype=np.int32).sum(dtype=np.int64))
    extra = len(child.stdout.read())
    child.wait()
    values = len(frames) * frames[0].size
    return 10 * np.log10(255**2 * values / squares), len(complaints), extra // frames[0].size


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=int, default=30)
    options.add_argument("--frames", type=Path, help="folder that keeps the rendered frames")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        frames = pictures(options.frames or place / "frames", options.seconds * FPS)
        wav = sound(place, options.seconds)
        with wave.open(str(wav)) as reader:
            assert reader.getnframes() == options.seconds * 16000
        print(f"{len(frames)} frames of {SIDE}x{SIDE}, {options.seconds} s of sound; headcast {headcast.__version__}")
        results = [
            with_headcast(frames, wav, place / "ours"),
            with_two_passes("two passes, both encode", "libx264", frames, wav, place / "both"),
            with_two_passes("two passes, second copies", "copy", frames, wav, place / "copy"),
        ]
        print(f"{'':27} {'CPU s':>7} {'wall s':>7} {'first segment':>20} {'bytes':>9} {'PSNR':>6} {'bad joins':>16} {'warnings':>8}")
        for each in results:
            psnr, complaints, extra = quality(each["files"], frames)
            bad, worst = joins(each["files"])
            size = sum(file.stat().st_size for file in each["files"])
            first = f"{each['first']:.2f} s ({each['long']:.2f} s)"
            defects = f"{bad} of {len(each['files']) - 1}" + (f", {worst:.0f} ms" if bad else "")
            print(f"{each['name']:27} {each['cpu']:7.2f} {each['wall']:7.2f} {first:>20} {size:9} {psnr:6.2f} {defects:>16} {complaints:8}" + (f"  ({extra} frames too many)" if extra else ""))
        ours = results[0]
        for each in results[1:]:
            print(f"{each['name']} over headcast.Stream: " + ", ".join(f"{what} {each[key] / ours[key]:.1f}x" for what, key in [("CPU", "cpu"), ("wall", "wall"), ("first segment", "first")]))
        print(f"write, as fast as it goes: median {statistics.median(ours['writes']) * 1e3:.2f} ms")
        for rate in (25, 100):
            writes = paced(frames[:250], wav, place / "paced", rate)
            print(f"write, model at {rate} frames/s: median {statistics.median(writes) * 1e3:.2f} ms, 99th percentile {sorted(writes)[len(writes) * 99 // 100] * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
