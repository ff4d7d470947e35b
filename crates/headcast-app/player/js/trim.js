// Which part of a recording is spoken: handles over its waveform, or two fields where there is none.

import { byId, setText } from './dom.js';
import { exactClock, readClock } from './format.js';
import { t } from './i18n.js';
import { draw, look } from './waveform.js';

/** The shortest clip that the server accepts, in seconds. */
const SHORTEST = 0.1;
/** What keys do, in seconds. */
const STEPS = { small: 0.1, big: 1, page: 5 };

/**
 * @param {{onLength: (seconds: number) => void, onChange: () => void}} hooks the length of the recording is known; another part is chosen
 */
export function createTrim(hooks) {
  const box = byId('trim');
  const wave = byId('wave');
  const canvas = /** @type {HTMLCanvasElement} */ (byId('wave-canvas'));
  const position = byId('wave-position');
  const handles = { start: byId('trim-start'), end: byId('trim-end') };
  const fields = { start: byId('trim-from'), end: byId('trim-to') };
  const sound = /** @type {HTMLAudioElement} */ (byId('preview'));
  const toggle = byId('trim-play');

  /** @type {File | null} */
  let file = null;
  /** Length of the recording; 0 while nobody knows. */
  let secs = 0;
  /** @type {Float32Array | null} */
  let peaks = null;
  /** Whether the waveform may still come. */
  let looking = false;
  let isPlayable = false;
  let start = 0;
  /** `null` is the end of the recording. @type {number | null} */
  let end = null;

  const until = () => end ?? secs;

  /** @param {File | null} chosen */
  function choose(chosen) {
    if (sound.src) URL.revokeObjectURL(sound.src);
    file = chosen;
    [secs, peaks, looking, isPlayable] = [0, null, chosen !== null, false];
    for (const field of Object.values(fields)) field.value = '';
    reset();
    if (chosen) sound.src = URL.createObjectURL(chosen);
    else sound.removeAttribute('src');
    sound.load();
  }

  /** @param {number} known */
  async function see(known) {
    const wanted = file;
    if (!wanted) return;
    setLength(known);
    const seen = await look(wanted, known, () => file === wanted);
    if (file !== wanted) return;
    looking = false;
    peaks = seen?.peaks ?? null;
    if (seen) setLength(seen.secs);
    render();
  }

  /** @param {number} found */
  function setLength(found) {
    secs = found;
    if (secs > 0) hooks.onLength(secs);
    if (end !== null && secs > 0 && end >= secs) end = null;
    render();
  }

  sound.addEventListener('loadedmetadata', () => {
    // Recordings of browsers do not know their length before they were played through.
    isPlayable = true;
    see(Number.isFinite(sound.duration) ? sound.duration : 0);
  });
  // It may be something that the server reads all the same.
  sound.addEventListener('error', () => see(0));

  /** @param {'start' | 'end'} which @param {number} to seconds */
  function move(which, to) {
    const shortest = Math.min(SHORTEST, secs);
    if (which === 'start') start = Math.max(0, Math.min(to, until() - shortest));
    else end = Math.max(to, start + shortest) >= secs ? null : Math.max(to, start + shortest);
    render();
  }

  function reset() {
    sound.pause();
    [start, end] = [0, null];
    render();
  }

  /** Seconds at that place of the screen. @param {number} x */
  function at(x) {
    const { left, width } = canvas.getBoundingClientRect();
    return (secs * Math.max(0, Math.min(width, x - left))) / Math.max(1, width);
  }

  for (const which of /** @type {('start' | 'end')[]} */ (['start', 'end'])) {
    const handle = handles[which];
    /** From the finger to the edge that it moves, in pixels. */
    let offset = 0;
    handle.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      const { left, width } = canvas.getBoundingClientRect();
      offset = left + (width * (which === 'start' ? start : until())) / secs - event.clientX;
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      if (handle.hasPointerCapture(event.pointerId)) move(which, at(event.clientX + offset));
    });
    handle.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      const step = event.shiftKey ? STEPS.big : STEPS.small;
      const now = which === 'start' ? start : until();
      /** @type {Record<string, number>} */
      const places = {
        ArrowLeft: now - step,
        ArrowDown: now - step,
        ArrowRight: now + step,
        ArrowUp: now + step,
        PageDown: now - STEPS.page,
        PageUp: now + STEPS.page,
        Home: 0,
        End: secs,
      };
      if (!(event.key in places)) return;
      event.preventDefault();
      move(which, places[event.key]);
    });
    fields[which].addEventListener('input', () => {
      const given = readClock(fields[which].value);
      if (which === 'start') start = given ?? 0;
      else end = given;
      render();
      hooks.onChange();
    });
  }
  byId('trim-reset').addEventListener('click', () => {
    for (const field of Object.values(fields)) field.value = '';
    reset();
    // The button that was pressed is gone.
    (peaks ? handles.start : fields.start).focus();
  });

  toggle.addEventListener('click', () => {
    if (!sound.paused) {
      sound.pause();
      return;
    }
    const from = sound.currentTime;
    if (from < start || (until() > 0 && from >= until() - 0.05)) sound.currentTime = start;
    sound.play().catch(() => {});
  });
  canvas.addEventListener('click', (event) => {
    if (!peaks || !isPlayable) return;
    sound.currentTime = Math.max(start, Math.min(at(event.clientX), until()));
    follow();
  });
  /** Shows where the sound is, and ends it with the selection. */
  function follow() {
    const ended = until() > 0 && sound.currentTime >= until();
    if (ended && !sound.paused) sound.pause();
    position.style.left = secs > 0 ? `${(100 * Math.min(sound.currentTime, secs)) / secs}%` : '0';
    position.hidden = !peaks || (sound.paused && sound.currentTime <= start);
    if (!sound.paused) requestAnimationFrame(follow);
  }
  for (const event of ['play', 'pause', 'ended', 'seeked']) {
    sound.addEventListener(event, () => {
      follow();
      renderToggle();
    });
  }
  // Hidden tabs draw nothing, and the sound is to end there, too.
  sound.addEventListener('timeupdate', follow);

  function renderToggle() {
    toggle.hidden = !isPlayable;
    toggle.classList.toggle('playing', !sound.paused);
    setText(byId('trim-play-text'), t(sound.paused ? 'trim.play' : 'trim.pause'));
  }

  function renderHandles() {
    const bounds = { start: [0, Math.max(0, until() - SHORTEST), start], end: [Math.min(secs, start + SHORTEST), secs, until()] };
    for (const [which, [least, most, now]] of Object.entries(bounds)) {
      const handle = handles[/** @type {'start' | 'end'} */ (which)];
      handle.style.left = secs > 0 ? `${(100 * now) / secs}%` : '0';
      handle.setAttribute('aria-valuemin', least.toFixed(2));
      handle.setAttribute('aria-valuemax', most.toFixed(2));
      handle.setAttribute('aria-valuenow', now.toFixed(2));
      handle.setAttribute('aria-valuetext', exactClock(now));
    }
  }

  function render() {
    box.hidden = file === null;
    if (file === null) return;
    wave.hidden = !peaks && !looking;
    wave.classList.toggle('looking', looking);
    for (const handle of Object.values(handles)) handle.hidden = !peaks;
    byId('trim-fields').hidden = Boolean(peaks) || looking;
    if (peaks) {
      renderHandles();
      draw(canvas, peaks, start / secs, until() / secs);
    }
    const isCut = start > 0 || end !== null;
    const length = until() - start;
    const facts = { length: exactClock(length), whole: exactClock(secs) };
    setText(byId('trim-length'), secs > 0 && length > 0 ? t(isCut ? 'trim.part' : 'trim.whole', facts) : '');
    byId('trim-reset').hidden = !isCut;
    renderToggle();
  }
  new ResizeObserver(render).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', render);

  return {
    choose,
    render,
    pause: () => sound.pause(),

    /** Fields of a new job. @returns {Record<string, string>} */
    cut: () => ({ ...(start > 0 && { start: start.toFixed(3) }), ...(end !== null && { end: end.toFixed(3) }) }),

    /** What is wrong with the fields, and which one. @returns {{code: string, detail?: string, field: HTMLElement} | null} */
    problem() {
      if (peaks || !file) return null;
      for (const field of Object.values(fields)) {
        if (field.value.trim() && readClock(field.value) === null) return { code: 'trim_not_time', field };
      }
      if (end !== null && end <= start) return { code: 'trim_backwards', field: fields.end };
      if (secs > 0 && start >= secs) return { code: 'trim_beyond', field: fields.start };
      if (secs > 0 && end !== null && end > secs + SHORTEST) return { code: 'trim_beyond', field: fields.end };
      return null;
    },
  };
}
