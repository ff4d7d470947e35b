// An avatar's picture that speaks, without a sound, while somebody points at it or has come to it with the keyboard.

import { element } from './dom.js';

const still = matchMedia('(prefers-reduced-motion: reduce)');

/**
 * Puts the picture of `avatar` in front of what `card` has, and brings it to life with the card.
 * @param {HTMLElement} card
 * @param {import('./store.js').Avatar} avatar
 */
export function addLivePicture(card, avatar) {
  const image = element('img', { src: avatar.thumbnail, alt: '', width: '96', height: '96', decoding: 'async' });
  const picture = element('span', { class: 'face-picture' }, [image]);
  card.prepend(picture);
  if (!avatar.preview) return;
  const address = avatar.preview;
  /** @type {HTMLVideoElement | null} */
  let video = null;
  /** Reasons to speak: the pointer, the keyboard. */
  const reasons = new Set();

  function begin() {
    if (video || still.matches) return;
    video = /** @type {HTMLVideoElement} */ (element('video', { loop: '', playsinline: '', 'aria-hidden': 'true' }));
    video.muted = true;
    video.disablePictureInPicture = true;
    video.src = address;
    picture.append(video);
    // A browser that does not want to goes on showing the picture.
    video.play().catch(end);
  }

  function end() {
    if (!video) return;
    const gone = video;
    video = null;
    gone.remove();
    gone.removeAttribute('src');
    gone.load();
  }

  /**
   * @param {string} reason
   * @param {boolean} there
   */
  const because = (reason, there) => () => {
    if (there) reasons.add(reason);
    else reasons.delete(reason);
    if (reasons.size > 0) begin();
    else end();
  };
  card.addEventListener('pointerenter', because('pointer', true));
  card.addEventListener('pointerleave', because('pointer', false));
  card.addEventListener('focusin', because('keyboard', true));
  card.addEventListener('focusout', because('keyboard', false));
}
