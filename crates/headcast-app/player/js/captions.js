// What is said, written under the picture: on or off, and remembered.

import { byId } from './dom.js';

const REMEMBERED = 'headcast.captions';

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
      video.append(track);
      draw();
    },
  };
}
