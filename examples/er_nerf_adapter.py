"""ER-NeRF's own ``main.py --test``, on air.

Upstream's ``Trainer.test`` (``nerf_triplane/utils.py``) keeps every picture in memory, ten minutes of 512x512 as 15 GB and twice
that at the end, and then writes an MP4 without sound. Three lines put each picture on air as soon as it is rendered, with
its sound, and one goes away:

1. before the loop over ``loader``::

       from er_nerf_adapter import on_air
       stream = on_air(self.opt, loader, save_path)

2. in the loop, where the picture is appended to ``all_preds``, instead of that line::

       stream.write(preds[0])

   ``preds[0]`` is a CUDA tensor of shape (H, W, 3) in [0, 1]. It is copied to the host and encoded on other threads while the
   next one is rendered. The lines that make ``pred`` and ``pred_depth`` of it are needed for ``write_image`` only.

3. after the loop, instead of stacking ``all_preds`` and writing the MP4::

       stream.close()

Then, with this file beside ``main.py``::

    python main.py data/may/ --workspace trial_may/ -O --test --test_train --asr_model ave --aud speech.wav
    mpv trial_may/results/index.m3u8        # plays while it is rendered; so does any browser with a web server
"""

import os

import headcast


def on_air(opt, loader, save_path):
    """A stream for the pictures of ``loader``, with the sound that ER-NeRF was given.

    :param opt: ER-NeRF's options; ``opt.aud`` is the recording, or the features that were made of it.
    :param loader: its test loader, whose ``_data`` knows the size of the pictures.
    :param save_path: folder for ``index.m3u8``, the segments and ``video.mp4``.
    """
    stream = headcast.Stream(recording(opt.aud), size=(loader._data.W, loader._data.H), fps=25, out=save_path)
    print(f"[on air] {stream.playlist_path}")
    return stream


def recording(aud):
    """The recording itself, or the ``.wav`` that ``speech.npy``, ``speech_hu.npy`` or ``speech_eo.npy`` was made of; ``None``,
    which is silence, where there is none.
    """
    if not aud:
        return None
    stem, extension = os.path.splitext(aud)
    if extension != ".npy":
        return aud
    for end in ("_hu", "_eo", ""):
        wav = stem[: len(stem) - len(end)] + ".wav"
        if stem.endswith(end) and os.path.isfile(wav):
            return wav
    return None
