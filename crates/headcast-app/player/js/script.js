// A text instead of a recording: what is to be said, and by whom.

import { byId, element, setText } from './dom.js';
import { current, t } from './i18n.js';

const REMEMBERED = 'headcast.voice';
/** How fast, as the server takes it. */
const SPEEDS = ['0.75', '1', '1.25', '1.5'];

/** @typedef {{name: string, title: string, language: string, kind: string}} Voice */

/**
 * @param {{onChange: () => void, voices: () => Promise<Voice[]>}} hooks what is to be said may be another; asks for the voices, once
 *   somebody wants them: looking for them may take the server a while
 */
export function createScript(hooks) {
  const tabs = /** @type {HTMLInputElement[]} */ ([byId('from-sound'), byId('from-text')]);
  const area = /** @type {HTMLTextAreaElement} */ (byId('script'));
  const select = /** @type {HTMLSelectElement} */ (byId('voice'));
  const speed = /** @type {HTMLSelectElement} */ (byId('speed'));
  let limit = Infinity;
  /** @type {Voice[] | null} */
  let voices = null;
  let speedChosen = '1';
  let voiceChosen = localStorage.getItem(REMEMBERED) ?? '';
  let isAsking = false;

  const isChosen = () => tabs[1].checked;
  /** As the server counts them. */
  const length = () => [...area.value].length;

  async function askForVoices() {
    if (voices || isAsking) return;
    isAsking = true;
    try {
      voices = await hooks.voices();
      renderVoices();
      render();
    } catch {
      // Asked again with the next look; until then the server takes its first voice.
    }
    isAsking = false;
  }

  function render() {
    if (isChosen()) askForVoices();
    byId('sound-part').hidden = isChosen();
    byId('text-part').hidden = !isChosen();
    const count = byId('script-count');
    setText(count, Number.isFinite(limit) ? t('script.count', { n: length().toLocaleString(current()), limit: limit.toLocaleString(current()) }) : '');
    count.classList.toggle('over', length() > limit);
    byId('script-none').hidden = voices === null || voices.length > 0;
    byId('script-choices').hidden = voices === null || voices.length === 0;
  }

  /** Voices by language, the reader's own first. */
  function renderVoices() {
    const own = current();
    const speaks = (/** @type {Voice} */ voice) => voice.language.toLowerCase().split('-')[0] === own || (own === 'zh' && voice.language === 'cmn');
    const list = voices ?? [];
    const options = (/** @type {Voice[]} */ some) => some.map((voice) => element('option', { value: voice.name }, [label(voice)]));
    const [near, far] = [list.filter(speaks), list.filter((voice) => !speaks(voice))];
    const group = (/** @type {string} */ key, /** @type {Voice[]} */ some) => (some.length > 0 ? [element('optgroup', { label: t(key) }, options(some))] : []);
    select.replaceChildren(...group('script.own_language', near), ...group('script.other_languages', far));
    if (list.some(({ name }) => name === voiceChosen)) select.value = voiceChosen;
    speed.replaceChildren(...SPEEDS.map((value) => element('option', { value }, [t(`speed.${value.replace('.', '_')}`)])));
    speed.value = speedChosen;
  }
  /** @param {Voice} voice */
  function label({ title, language, kind }) {
    const names = new Intl.DisplayNames([current()], { type: 'language' });
    let spoken = '';
    try {
      spoken = language ? (names.of(language) ?? '') : '';
    } catch {
      // Not every program names languages as BCP 47 does.
      spoken = language;
    }
    return [title, spoken === title ? '' : spoken, kind === title ? '' : kind].filter(Boolean).join(' · ');
  }

  for (const tab of tabs) {
    tab.addEventListener('change', () => {
      hooks.onChange();
      render();
    });
  }
  area.addEventListener('input', () => {
    hooks.onChange();
    render();
  });
  select.addEventListener('change', () => {
    voiceChosen = select.value;
    localStorage.setItem(REMEMBERED, voiceChosen);
  });
  speed.addEventListener('change', () => {
    speedChosen = speed.value;
  });

  return {
    isChosen,
    hasText: () => isChosen() && area.value.trim() !== '',
    /** A recording was chosen. */
    leave() {
      tabs[0].checked = true;
      render();
    },
    focus: () => area.focus(),

    /** A text is asked for, by this voice where it is still here. @param {string} voice @param {number} pace */
    take(voice, pace) {
      tabs[1].checked = true;
      voiceChosen = voice;
      if (SPEEDS.includes(String(pace))) speedChosen = String(pace);
      renderVoices();
      render();
    },

    /** What keeps it from being spoken; `null` where nothing does. @returns {{code: string} | null} */
    problem() {
      if (voices?.length === 0) return { code: 'voice_none' };
      if (area.value.trim() === '') return { code: 'text_missing' };
      return length() > limit ? { code: 'text_too_long' } : null;
    },

    /** Fields of a new job. @returns {Record<string, string>} */
    fields: () => ({ text: area.value, ...(select.value ? { voice: select.value } : {}), speed: speedChosen }),

    /** @param {number} characters */
    fill(characters) {
      limit = characters;
      render();
    },

    /** In another language. */
    render() {
      area.placeholder = t('script.placeholder');
      renderVoices();
      render();
    },
  };
}
