// What people expect of a player beside playing: speed, volume, picture-in-picture, and what the keys do.

import { byId, element } from './dom.js';
import { decimal } from './format.js';
import { current, t } from './i18n.js';

const RATES = [0.5, 0.75, 1, 1.25, 1.5, 2];
const REMEMBERED = 'headcast.volume';
/** Keys as they are printed, and the word for what they do. */
const KEYS = [
  [['Space', 'K'], 'keys.play'],
  [['J', 'L'], 'keys.ten'],
  [['←', '→'], 'keys.five'],
  [['0', '9'], 'keys.tenths'],
  [['↑', '↓'], 'keys.volume'],
  [['M'], 'keys.mute'],
  [['<', '>'], 'keys.rate'],
  [['C'], 'keys.captions'],
  [['F'], 'keys.fullscreen'],
  [['P'], 'keys.picture'],
  [['?'], 'keys.help'],
];

/** @param {HTMLVideoElement} video */
export function createPlayback(video) {
  const rate = byId('rate');
  const volume = byId('volume');
  const picture = byId('pip');
  const help = /** @type {HTMLDialogElement} */ (byId('keys'));

  rate.addEventListener('change', () => setRate(Number(rate.value)));
  function setRate(/** @type {number} */ value) {
    // The second one is what a video goes back to when it is given another source.
    video.playbackRate = value;
    video.defaultPlaybackRate = value;
    rate.value = String(value);
  }
  const faster = (/** @type {number} */ steps) => {
    const at = RATES.indexOf(video.playbackRate) + steps;
    setRate(RATES[Math.min(RATES.length - 1, Math.max(0, at))]);
  };

  function setVolume(/** @type {number} */ value) {
    video.volume = Math.min(1, Math.max(0, value));
    video.muted = false;
    localStorage.setItem(REMEMBERED, String(video.volume));
  }
  volume.addEventListener('input', () => setVolume(Number(volume.value)));
  video.addEventListener('volumechange', () => {
    volume.value = String(video.muted ? 0 : video.volume);
    volume.style.setProperty('--share', `${100 * Number(volume.value)}%`);
  });
  const remembered = Number(localStorage.getItem(REMEMBERED) ?? 1);
  video.volume = remembered >= 0 && remembered <= 1 ? remembered : 1;

  picture.hidden = !document.pictureInPictureEnabled;
  const togglePicture = () => {
    if (picture.hidden) return;
    const done = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
    // It needs a video that has begun to load, and a gesture.
    done.catch(() => {});
  };
  picture.addEventListener('click', togglePicture);

  const toggleHelp = () => (help.open ? help.close() : help.showModal());
  byId('keys-close').addEventListener('click', () => help.close());
  help.addEventListener('click', (event) => {
    // Beside it.
    if (event.target === help) help.close();
  });

  return {
    /** What keys do, by `KeyboardEvent.key`. */
    actions: {
      '>': () => faster(1),
      '<': () => faster(-1),
      p: togglePicture,
      '?': toggleHelp,
    },
    /** Those of the keyboard that the page needs itself, unless the video has the focus. */
    arrows: {
      ArrowUp: () => setVolume(video.volume + 0.1),
      ArrowDown: () => setVolume(video.volume - 0.1),
    },

    /** In another language. */
    render() {
      rate.replaceChildren(
        ...RATES.map((value) => {
          const option = /** @type {HTMLOptionElement} */ (element('option', { value: String(value) }, [`${decimal(value, value % 1 ? (value * 4) % 2 ? 2 : 1 : 0, current())}×`]));
          option.selected = value === video.playbackRate;
          return option;
        }),
      );
      byId('keys-list').replaceChildren(
        ...KEYS.flatMap(([keys, what]) => [
          element('dt', {}, /** @type {string[]} */ (keys).flatMap((key, k) => [...(k > 0 ? [' '] : []), element('kbd', {}, [key])])),
          element('dd', {}, [t(/** @type {string} */ (what))]),
        ]),
      );
    },
  };
}
