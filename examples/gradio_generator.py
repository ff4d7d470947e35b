"""A Gradio page around a PyTorch-style model: the answer plays while the model is still making it.

    pip install '.[gradio]'
    python examples/gradio_generator.py [--fps 100] [--port 7861]

``Model`` stands for yours: it takes a recording and yields one picture after the other. Everything that makes it play is in
``speak``: open a stream, yield it, write frames.
"""

import argparse
import time

import gradio as gr
import numpy as np

import headcast
import headcast.gradio


class Model:
    """Draws a bar that moves; give it your weights and a `forward`."""

    size = (512, 512)

    def __init__(self, frames_per_second):
        self.frames_per_second = frames_per_second

    def __call__(self, frames):
        width, height = self.size
        x = np.linspace(0, 1, width, dtype=np.float32)
        y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        start = time.monotonic()
        for number in range(frames):
            # As fast as the GPU that it stands for, and no faster.
            time.sleep(max(0.0, start + number / self.frames_per_second - time.monotonic()))
            phase = number / 25
            red = np.broadcast_to(0.5 + 0.5 * np.sin(6 * x + phase), (height, width))
            green = np.broadcast_to(0.5 + 0.5 * np.cos(5 * y - phase), (height, width))
            blue = np.broadcast_to(np.abs(x - (phase / 4) % 1) < 0.02, (height, width))
            # (height, width, 3) in [0, 1], as `tensor.permute(1, 2, 0)` would be.
            yield np.stack([red, green, blue.astype(np.float32)], axis=-1)


def page(model):
    def speak(audio, progress_every=50):
        with headcast.Stream(audio, size=model.size) as stream:
            yield stream  # The player has it from here on.
            for number, frame in enumerate(model(stream.total_frames), start=1):
                stream.write(frame)
                if number % progress_every == 0:
                    stream.log(f"{number} of {stream.total_frames} frames")

    with gr.Blocks(title="headcast and Gradio") as demo:
        with gr.Row():
            audio = gr.Audio(type="filepath", label="Speech")
            with gr.Column():
                player = headcast.gradio.Player(height=420)
                headcast.gradio.log(player, height=160)
        gr.Button("Generate", elem_id="generate").click(speak, audio, player)
    return demo


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--fps", type=float, default=100, help="speed of the pretended model")
    options.add_argument("--port", type=int, default=7861)
    options = options.parse_args()
    page(Model(options.fps)).launch(server_port=options.port, app_kwargs=headcast.gradio.app_kwargs())
