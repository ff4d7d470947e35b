// The player's controls: a seek bar that shows what exists, what is loaded and what was played.

import { byId, element, setText } from './dom.js';
import { createCaptions } from './captions.js';
import { createPlayback } from './playback.js';
import { clock, span, spoken } from './format.js';
import { current, t } from './i18n.js';

/**
 * @param {HTMLVideoElement} video
 * @param {{made: () => [number, number][], secondsUntil: (position: number) => number | null}} job what exists,
 *   in seconds, and how long a position has to be waited for
 */
export function createControls(video, job) {
  const screen = byId('screen');
  const bar = byId('controls');
  const seek = byId('seek');
  const tip = byId('tip');
  const playback = createPlayback(video);
  const captions = createCaptions(video);
  const layers = { made: byId('made'), buffered: byId('buffered'), played: byId('played'), thumb: byId('thumb') };
  let duration = 0;
  let seeking = false;
  let madeShown = '';

  const share = (/** @type {number} */ secs) => `${Math.min(100, (100 * secs) / (duration || 1))}%`;

  /** Why there is nothing to see at a position; empty where there is. @param {number} position */
  function missingAt(position) {
    const wait = position >= duration || job.made().some(([start, end]) => position >= start && position < end) ? 0 : job.secondsUntil(position);
    if (wait === 0) return '';
    return wait === null ? t('player.not_made') : t('player.not_made_yet', { span: span(wait, t) });
  }

  function drawRanges(/** @type {HTMLElement} */ layer, /** @type {[number, number][]} */ ranges) {
    layer.replaceChildren(
      ...ranges.map(([start, end]) => {
        const part = element('span');
        part.style.left = share(start);
        part.style.width = share(end - start);
        return part;
      }),
    );
  }

  function draw() {
    const position = seeking ? Number(seek.value) : video.currentTime;
    if (!seeking) seek.value = String(position);
    layers.played.style.width = share(position);
    layers.thumb.style.left = share(position);
    setText(byId('clock-at'), clock(position));
    setText(byId('clock-length'), ` / ${clock(duration)}`);
    const [at, length] = [spoken(position, current()), spoken(duration, current())];
    const missing = missingAt(position);
    seek.setAttribute('aria-valuetext', missing ? t('player.position_missing', { at, length, missing }) : t('player.position', { at, length }));
    screen.toggleAttribute('data-playing', !video.paused);
    screen.toggleAttribute('data-muted', video.muted);
    byId('toggle').setAttribute('aria-label', t(video.paused ? 'player.play' : 'player.pause'));
    byId('mute').setAttribute('aria-label', t(video.muted ? 'player.unmute' : 'player.mute'));
  }

  function drawBuffered() {
    /** @type {[number, number][]} */
    const ranges = [];
    for (let i = 0; i < video.buffered.length; i += 1) ranges.push([video.buffered.start(i), video.buffered.end(i)]);
    drawRanges(layers.buffered, ranges);
  }

  function drawMade() {
    const ranges = job.made();
    const key = JSON.stringify([ranges, duration]);
    if (key === madeShown) return;
    madeShown = key;
    drawRanges(layers.made, ranges);
  }

  const toggle = () => {
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  };
  const jump = (/** @type {number} */ to) => {
    video.currentTime = Math.min(Math.max(0, to), Math.max(0, duration - 0.05));
  };
  const fullscreen = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (screen.requestFullscreen) screen.requestFullscreen();
    // iPhones have it on the video alone.
    else /** @type {any} */ (video).webkitEnterFullscreen?.();
  };

  for (const event of ['timeupdate', 'play', 'pause', 'volumechange', 'seeking', 'seeked', 'ended']) {
    video.addEventListener(event, draw);
  }
  video.addEventListener('progress', drawBuffered);
  video.addEventListener('timeupdate', drawBuffered);
  video.addEventListener('click', () => {
    if (!bar.hidden) toggle();
  });
  byId('toggle').addEventListener('click', toggle);
  byId('mute').addEventListener('click', () => {
    video.muted = !video.muted;
  });
  byId('fullscreen').addEventListener('click', fullscreen);
  seek.addEventListener('input', () => {
    seeking = true;
    draw();
  });
  seek.addEventListener('change', () => {
    seeking = false;
    jump(Number(seek.value));
  });
  seek.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
    const box = seek.getBoundingClientRect();
    const position = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * duration;
    const missing = missingAt(position);
    setText(tip, missing ? `${clock(position)} · ${missing}` : clock(position));
    tip.style.left = share(position);
    tip.hidden = false;
  });
  seek.addEventListener('pointerleave', () => {
    tip.hidden = true;
  });

  document.addEventListener('keydown', (event) => {
    if (bar.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const types = target.matches('input:not([type=range]), select, textarea, .log-lines');
    // A focused button or link keeps its own space key.
    if (types || (event.key === ' ' && target.matches('button, a, summary'))) return;
    const by = (/** @type {number} */ secs) => () => jump(video.currentTime + secs);
    const arrows = { ArrowLeft: by(-5), ArrowRight: by(5) };
    // Its own steps are as fine as a pointer needs them, and nobody could get anywhere by those.
    const slider = {
      ...arrows,
      ArrowDown: by(-5),
      ArrowUp: by(5),
      PageDown: by(-duration / 10),
      PageUp: by(duration / 10),
      Home: () => jump(0),
      End: () => jump(duration),
    };
    // Sliders have a use of their own for arrows, and the page scrolls by those up and down.
    const isFree = !target.matches('input');
    const isOfVideo = isFree && (screen.contains(target) || document.fullscreenElement === screen);
    /** @type {Record<string, () => void>} */
    const actions = {
      ' ': toggle,
      k: toggle,
      j: () => jump(video.currentTime - 10),
      l: () => jump(video.currentTime + 10),
      m: () => byId('mute').click(),
      f: fullscreen,
      c: captions.toggle,
      ...playback.actions,
      ...(isFree ? arrows : {}),
      ...(isOfVideo ? playback.arrows : {}),
      ...(target === seek ? slider : {}),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = /^\d$/.test(key) ? () => jump((duration * Number(key)) / 10) : actions[key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  return {
    /** @param {number} secs */
    setDuration(secs) {
      duration = secs;
      seek.max = String(secs);
      draw();
    },
    /** @param {boolean} shown */
    show(shown) {
      bar.hidden = !shown;
    },
    draw() {
      drawMade();
      draw();
    },
    /** What is said in a job, once that is known. @param {import('./store.js').Job | null} job */
    setCaptions: captions.show,
    /** In another language. */
    render: playback.render,
  };
}
