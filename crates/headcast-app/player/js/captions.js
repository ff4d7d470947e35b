// What is said, written under the picture: on or off, and remembered.

import { byId } from './dom.js';

const REMEMBERED = 'headcast.captions';
/** Height of the control bar, in pixels, and of a line of captions, as a share of the picture's. */
const [BAR, LINE] = [98, 0.06];

/** @param {HTMLVideoElement} video */
export function createCaptions(video) {
  const button = byId('captions');
  let on = localStorage.getItem(REMEMBERED) === 'on';
  /** Whose they are. */
  let address = '';

  function draw() {
    button.setAttribute('aria-pressed', String(on));
    for (const track of video.textTracks) if (track.kind === 'captions') track.mode = on ? 'showing' : 'disabled';
  }

  function toggle() {
    if (button.hidden) return;
    on = !on;
    localStorage.setItem(REMEMBERED, on ? 'on' : 'off');
    draw();
  }
  button.addEventListener('click', toggle);

  /** Above the control bar, which comes and goes. */
  function lift() {
    const free = Math.ceil(BAR / (LINE * video.clientHeight || BAR));
    for (const { cues } of video.textTracks) {
      for (const cue of /** @type {any} */ (cues ?? [])) cue.line = -free - cue.text.split('\n').length;
    }
  }
  new ResizeObserver(lift).observe(video);

  return {
    toggle,

    /** Takes the captions of a job, once there are some. @param {import('./store.js').Job | null} job */
    show(job) {
      const wanted = job?.captions ? job.links.vtt : '';
      if (wanted === address) return;
      address = wanted;
      for (const track of video.querySelectorAll('track')) track.remove();
      button.hidden = wanted === '';
      if (wanted === '') return;
      const track = document.createElement('track');
      track.kind = 'captions';
      track.src = wanted;
      track.addEventListener('load', lift);
      video.append(track);
      draw();
    },
  };
}
