"""The real Gradio clients against the real program.

run.py --binary headcast --venvs FOLDER

Makes one virtual environment per requirements-VERSION.txt in FOLDER (kept for the next time), takes @gradio/client from
node_modules beside this file, runs every check, and every example of docs/gradio.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from commenting_proxy import Proxy
from harness import LONG, ROOT, Server, make_clips

HERE = Path(__file__).resolve().parent

# The first is the current one, with which examples are run.
VERSIONS = ["2.7.2", "2.0.0", "1.14.0"]


def environment(folder, version):
    """A Python that has this version of the client, and what that needs, pinned."""
    wanted = HERE / f"requirements-{version}.txt"
    place, python = folder / version, folder / version / "bin" / "python"
    stamp = place / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        print(f"installing gradio_client {version}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", wanted]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted.read_text())
    return python


def examples(page):
    """Blocks of a page, with their languages."""
    for block in page.read_text().split("\n```")[1:]:
        language, _, text = block.partition("\n")
        if language:
            yield language, text


def run_examples(server, python, clips):
    """Each as it stands, but for the port and the avatar, which here is a fast one."""
    failed = 0
    shown = {"python": "example.py", "js": "example.mjs", "sh": "example.sh"}
    number = 0
    for language, text in examples(ROOT / "docs/gradio.md"):
        if language not in shown:
            continue
        number += 1
        text = text.replace("http://127.0.0.1:7860", server.url).replace("milo", "cube")
        # Node looks for packages beside the file.
        file = HERE / "node_modules" / f"headcast-{shown[language]}"
        file.write_text(text)
        command = {"python": [python, file], "js": ["node", file], "sh": ["bash", "-euo", "pipefail", file]}[language]
        result = subprocess.run(command, cwd=clips, capture_output=True, text=True, timeout=300)
        # Every example ends by showing where the video is.
        fine = result.returncode == 0 and ".mp4" in result.stdout
        print(f"{'ok    ' if fine else 'FAILED'} example {number} of docs/gradio.md, {language}", flush=True)
        if not fine:
            failed += 1
            print(text, result.stdout, result.stderr, sep="\n")
    print(f"{number} examples, {failed} failed", flush=True)
    return [] if number and not failed else ["examples"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--venvs", required=True, type=Path)
    options = parser.parse_args()
    options.venvs.mkdir(parents=True, exist_ok=True)
    pythons = {version: environment(options.venvs, version) for version in VERSIONS}
    with tempfile.TemporaryDirectory(prefix="headcast-gradio-") as scratch:
        scratch = Path(scratch)
        clips = scratch / "clips"
        clips.mkdir()
        make_clips(clips)
        secrets = ["--auth", "ann:correct horse", "--token", "an-unguessable-token"]
        env = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}

        def passes(command):
            print(f"\n$ {' '.join(str(part) for part in command)}", flush=True)
            try:
                return subprocess.run(command, cwd=clips, env=env, timeout=300).returncode == 0
            except subprocess.TimeoutExpired as slow:
                print(f"FAILED {slow}", flush=True)
                return False

        failed = []
        with (
            Server(options.binary, scratch / "open") as server,
            Server(options.binary, scratch / "guarded", *secrets) as guarded,
        ):
            checks = HERE / "check_python.py"
            for version, python in pythons.items():
                if not passes([python, checks, server.url, guarded.url]):
                    failed.append(f"gradio_client {version}")
            with Proxy(server.url, False) as plain, Proxy(server.url, True) as commenting:
                if not passes([pythons[VERSIONS[0]], checks, "--control", plain.url, commenting.url]):
                    failed.append("control")
            if not passes(["node", HERE / "check_js.mjs", server.url, guarded.url, str(150 * LONG)]):
                failed.append("@gradio/client")
            failed += run_examples(server, pythons[VERSIONS[0]], clips)
    print(f"\nfailed: {', '.join(failed)}" if failed else "\neverything passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
