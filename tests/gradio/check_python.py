"""gradio_client against `headcast serve`.

check_python.py URL GUARDED_URL, in a folder with speech.wav, long.wav and notes.wav; the second server asks for
ann:correct horse. With --control URL COMMENTED_URL: both lead to the same server, and the streams of the second have a
comment in them, which this client does not survive.
"""

import contextlib
import io
import os
import sys
import time
import traceback
from pathlib import Path

import gradio_client
from gradio_client import Client, handle_file
from harness import LONG, PATIENCE, check, finish, get, job_of, until


def connect(url, **options):
    # It greets.
    with contextlib.redirect_stdout(io.StringIO()):
        return Client(url, download_files=Path("downloads") / gradio_client.__version__, **options)


def error_of(call):
    """What a call says when it fails."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def describes(client):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        client.view_api()
    text = shown.getvalue()
    words = ["/generate", "/avatars", "handle_file", "Literal['milo', 'cube']", "recordings alone so far", "playlist"]
    missing = [word for word in words if word not in text]
    check("view_api() says what there is", not missing, missing or f"{len(text)} characters")


def predicts(client):
    video, playlist, progress = client.predict(handle_file("speech.wav"), "cube", api_name="/generate")
    data = Path(video).read_bytes()
    check("predict() returns a whole MP4", data[4:8] == b"ftyp" and b"moov" in data, f"{len(data)} bytes")
    check("under a name to keep", Path(video).name == "speech-cube.mp4", Path(video).name)
    check("the same as on the server", data == get(playlist.replace("index.m3u8", "video.mp4")))
    check("and what became of the job", progress["state"] == "done" and progress["frames"] == 50, progress)
    video, _, _ = client.predict(
        audio=handle_file("speech.wav"), avatar="cube", profile="parity", api_name="/generate"
    )
    check("arguments have names and defaults", Path(video).read_bytes() != data)
    avatars = client.predict(api_name="/avatars")
    check("/avatars lists them", [avatar["name"] for avatar in avatars] == ["milo", "cube"], avatars)


def follows(client):
    job = client.submit(handle_file("long.wav"), "cube", api_name="/generate")
    _, playlist, _ = until("the first output", lambda: job.outputs() and job.outputs()[0])
    text = get(playlist).decode()
    names = [line for line in text.splitlines() if line.endswith(".ts")]
    segment = get(playlist.replace("index.m3u8", names[0]))
    state = job_of(playlist)["state"]
    check("the playlist is whole before the video", "#EXT-X-ENDLIST" in text and len(names) > 10, f"{len(names)} segments")
    check("and plays while it is rendered", segment[:1] == b"G" and state == "rendering", state)

    def seen():
        units = job.status().progress_data or []
        return [unit for unit in units if unit.progress and 0 < unit.progress < 1 and unit.unit == "frames"]

    unit = until("progress", seen)[0]
    check("progress is seen before the end", unit.index < unit.length, f"{unit.index} of {unit.length}")
    later = until("a second output", lambda: len(job.outputs()) > 1 and job.outputs()[-1])
    check("updates follow, the video last", later[0] is None and later[1] == playlist, later[2]["frames"])
    check("the job is not done", not job.done())

    began = time.monotonic()
    check("cancel() is taken", job.cancel())
    found = until("the end of the job", lambda: job_of(playlist)["state"] in ("cancelled", "done") and job_of(playlist))
    frames = found["progress"]["frames"]
    check("and stops the job itself", found["state"] == "cancelled" and frames < 150 * LONG, f"{frames} frames, {time.monotonic() - began:.2f} s")
    said = error_of(lambda: job.result(timeout=PATIENCE))
    # The last is a race inside the client: it heard of the end and was done with its own cancelling at once.
    ends = ("CancelledError", "AppError: Cancelled", "ValueError: Did not expect 2 tasks to be done")
    check("the caller learns that it was cancelled", said.startswith(ends), said)

    short = client.submit(handle_file("speech.wav"), "cube", api_name="/generate")
    *_, last = list(short)
    check("a loop over a job ends with its video", Path(last[0]).read_bytes()[4:8] == b"ftyp", last[0])


def explains(client):
    generate = lambda *arguments: error_of(lambda: client.predict(*arguments, api_name="/generate"))
    for what, said, words in [
        ("a file that is no recording", generate(handle_file("notes.wav"), "cube"), "text"),
        ("text without audio", generate(None, "cube", "Hello, world."), "recordings alone so far"),
        ("no audio at all", generate(), "there is no audio"),
        ("an avatar that is not there", generate(handle_file("speech.wav"), "nobody"), "choose one of: milo, cube"),
        ("an address", generate(handle_file("https://example.org/a.wav"), "cube"), "fetches nothing"),
        ("two calls at once", both(client), "no error"),
    ]:
        check(f"{what}: the message arrives", words in said, said)


def both(client):
    def call():
        jobs = [client.submit(handle_file("speech.wav"), "cube", api_name="/generate") for _ in range(2)]
        urls = {job.result(timeout=PATIENCE)[1] for job in jobs}
        if len(urls) != 2:
            raise AssertionError(f"not two jobs: {urls}")

    return error_of(call)


def signs_in(url):
    said = error_of(lambda: connect(url))
    check("a stranger is not let in", "AuthenticationError" in said or "401" in said, said)
    said = error_of(lambda: connect(url, auth=("ann", "wrong horse")))
    check("nor a wrong password", "Authentication" in said or "401" in said or "login" in said, said)
    client = connect(url, auth=("ann", "correct horse"))
    video, playlist, _ = client.predict(handle_file("speech.wav"), "cube", api_name="/generate")
    check("the right one is, to the video", Path(video).stat().st_size > 1000, video)
    said = error_of(lambda: get(playlist))
    check("which strangers do not get", "401" in said, said)
    bearer = {"Authorization": "Bearer an-unguessable-token"}
    client = connect(url, headers=bearer)
    check("a token is enough", len(client.predict(api_name="/avatars")) == 2)


def main():
    print(f"\ngradio_client {gradio_client.__version__}")
    if sys.argv[1] == "--control":
        for what, url, fails in [("a proxy does no harm", sys.argv[2], False), ("a comment does", sys.argv[3], True)]:
            client = connect(url)
            said = error_of(lambda: client.predict(handle_file("speech.wav"), "cube", api_name="/generate"))
            check(what, fails == (said != "no error"), said)
        return finish()
    client = connect(sys.argv[1])
    describes(client)
    predicts(client)
    follows(client)
    explains(client)
    signs_in(sys.argv[2])
    return finish()


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    # Not by returning: the threads of a client wait for jobs that nobody wants any more.
    sys.stdout.flush()
    os._exit(code)
