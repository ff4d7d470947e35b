// How fast frames were made, from the job's first segment to its last.

import { byId } from './dom.js';

/** Columns: more cannot be told apart in the width of the panel. */
const COLUMNS = 96;
const [WIDTH, HEIGHT] = [COLUMNS, 40];

export function createPlot() {
  const figure = byId('plot');
  const curve = byId('plot-curve');
  const area = byId('plot-area');
  const line = byId('plot-real-time');
  /** When segments became ready, in milliseconds since 1970, and how many frames each has. @type {[number, number][]} */
  let made = [];
  let frameRate = 0;
  let queued = false;

  /** Frames per second of runs of neighbouring segments, in the order in which they were made. */
  function speeds() {
    const runs = Math.min(COLUMNS, made.length - 1);
    return Array.from({ length: Math.max(0, runs) }, (_, run) => {
      const first = Math.floor((run * (made.length - 1)) / runs);
      const end = Math.floor(((run + 1) * (made.length - 1)) / runs);
      const frames = made.slice(first + 1, end + 1).reduce((sum, [, frames]) => sum + frames, 0);
      return (1000 * frames) / Math.max(1, made[end][0] - made[first][0]);
    });
  }

  function draw() {
    queued = false;
    const found = speeds();
    figure.classList.toggle('empty', found.length === 0);
    const top = 1.15 * Math.max(1, 1.4 * frameRate, ...found);
    const y = (/** @type {number} */ fps) => (HEIGHT * (1 - fps / top)).toFixed(2);
    const steps = found.map((fps, k) => `${((k * WIDTH) / found.length).toFixed(2)},${y(fps)} ${(((k + 1) * WIDTH) / found.length).toFixed(2)},${y(fps)}`);
    curve.setAttribute('points', steps.join(' '));
    area.setAttribute('points', found.length > 0 ? `0,${HEIGHT} ${steps.join(' ')} ${WIDTH},${HEIGHT}` : '');
    line.setAttribute('y1', y(frameRate));
    line.setAttribute('y2', y(frameRate));
  }

  function soon() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(draw);
  }

  return {
    clear() {
      made = [];
      soon();
    },
    /** @param {number} fps of the clip: what real time is */
    setFrameRate(fps) {
      if (fps === frameRate) return;
      frameRate = fps;
      soon();
    },
    /** A segment became ready. @param {number} at milliseconds since 1970 @param {number} frames */
    add(at, frames) {
      made.push([at, frames]);
      soon();
    },
  };
}
