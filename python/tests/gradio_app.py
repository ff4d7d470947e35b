"""A Gradio app with generators of known speed, for ``tests/browser/gradio.mjs``.

A generator stops half-way until there is a line on stdin: so whoever writes one when the video plays knows that it played before
the generator had ended, on a machine of any speed.
"""

import sys
import time

import gradio as gr
import headcast
import headcast.gradio
import numpy as np

SIDE, SECONDS = 256, 8
RATE = 48000


def sound():
    t = np.arange(SECONDS * RATE) / RATE
    return (0.2 * np.sin(2 * np.pi * 330 * t)).astype(np.float32), RATE


def picture(number):
    x = np.arange(SIDE)
    return np.stack(np.broadcast_arrays((x + 3 * number)[None, :] % 256, (x * 2)[:, None] % 256, number % 256), axis=-1).astype(np.uint8)


def generate(frames_per_second, breaks_at=None):
    with headcast.Stream(sound(), size=(SIDE, SIDE)) as stream:
        yield stream
        start = time.monotonic()
        for number in range(stream.total_frames):
            time.sleep(max(0.0, start + number / frames_per_second - time.monotonic()))
            if number == breaks_at:
                raise RuntimeError("the model is out of memory")
            if breaks_at is None and number == stream.total_frames // 2:
                sys.stdin.readline()
                # The rest comes at the same speed.
                start = time.monotonic() - number / frames_per_second
            stream.write(picture(number))
            if number % 100 == 0:
                stream.log(f"frame {number} is here")


with gr.Blocks() as demo:
    player = headcast.gradio.Player(height=300)
    headcast.gradio.log(player)

    def fast():
        yield from generate(50)

    def broken():
        yield from generate(50, breaks_at=60)

    gr.Button("Fast", elem_id="fast").click(fast, None, player)
    gr.Button("Broken", elem_id="broken").click(broken, None, player)

demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), app_kwargs=headcast.gradio.app_kwargs(), quiet=True)
