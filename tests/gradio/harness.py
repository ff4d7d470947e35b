"""What the client checks need, with nothing but the standard library: the program, clips, counted checks."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Far longer than anything here takes, far shorter than for ever.
PATIENCE = 120

# Frames per second that the server makes at most, on any machine.
PACE = 40

# How often the clip of six seconds (150 frames) is repeated in the long one: it takes longer than anybody here waits, so whatever is
# seen of it is seen while it is rendered.
LONG = 40
assert LONG * 150 / PACE > PATIENCE

_counts = {"passed": 0, "failed": 0}


def check(what, fine, detail=""):
    """Counts and prints one check."""
    _counts["passed" if fine else "failed"] += 1
    detail = str(detail).replace("\n", " ")[:300]
    print(f"{'ok    ' if fine else 'FAILED'} {what}{f' ({detail})' if detail else ''}", flush=True)
    return fine


def finish():
    """Prints the count and returns the exit status."""
    print(f"{_counts['passed']} passed, {_counts['failed']} failed", flush=True)
    return 0 if _counts["passed"] and not _counts["failed"] else 1


def get(url):
    """Body of an address; asked for again where the server says that it is not there yet, as players do."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > end:
                raise
        time.sleep(0.2)


def job_of(url):
    """The job that a playlist belongs to, as API v1 has it."""
    return json.loads(get(url.removesuffix("/index.m3u8")))


def until(what, look):
    """Waits until `look` finds something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"never came: {what}")


def make_clips(folder):
    """A short clip, one long enough to look at while it is rendered, and a text that is called a recording."""
    wav = (ROOT / "fixtures/speech/en.wav").read_bytes()
    head, sound = wav[:44], wav[44:]

    def clip(name, sound):
        size = len(sound).to_bytes(4, "little")
        whole = (36 + len(sound)).to_bytes(4, "little")
        (folder / name).write_bytes(head[:4] + whole + head[8:40] + size + sound)

    clip("speech.wav", sound[: 16000 * 2 * 2])
    clip("long.wav", sound * LONG)
    (folder / "notes.wav").write_text("Dear diary, today I renamed a text file.\n")


class Server:
    """The program with an avatar of 64x64 pixels, which renders fast."""

    def __init__(self, binary, data, *options):
        subject = ROOT / "fixtures/nerf/er-torso"
        common = ["--data-dir", str(data)]
        imported = [binary, "avatar", "import", "--name", "cube", "--checkpoint", subject / "ngp.pth", "--data", subject]
        subprocess.run([*imported, *common], check=True, stdout=subprocess.DEVNULL)
        # Two jobs at a time, so that one that was cancelled is seen to end although another runs.
        pace = ["--max-fps", str(PACE)]
        command = [binary, "serve", "--port", "0", "--threads", "1", "--jobs", "2", *pace, *options, *common]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(f"the server did not start: {line!r}")
        self.url = "http://" + line.split("http://")[1].split("/")[0]
        # A full pipe would stop the server.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)


if __name__ == "__main__":
    sys.exit("this is a part of run.py")
