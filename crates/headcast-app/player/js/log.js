// The live log of the job: what is told is kept, and what is shown of it is the reader's choice.

import { byId, element, setText } from './dom.js';
import { current, t } from './i18n.js';

/** Lines that are kept on the page: the log of half an hour, or of a clip of a few hours. */
const KEPT = 2000;
/** How serious a line is, by the names that the server uses, and what those from there on are called. */
const LEVEL_WORDS = { info: 'log.level_info', warn: 'log.level_warn', error: 'log.level_error' };
const LEVELS = Object.keys(LEVEL_WORDS);

/** @typedef {{line: import('./store.js').LogLine, text: string, node: HTMLElement}} Kept */

export function createLog() {
  const list = byId('log');
  const latest = byId('log-latest');
  const copy = byId('log-copy');
  const pause = byId('log-pause');
  const search = byId('log-search');
  const level = byId('log-level');
  const none = byId('log-none');
  /** @type {Kept[]} */
  let kept = [];
  let follows = true;
  let paused = false;
  /** Lines at the end of `kept` that came during the pause, and are not in the list. */
  let held = 0;
  let last = 0;
  let name = 'headcast';

  const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  const toEnd = () => {
    list.scrollTop = list.scrollHeight;
  };

  const isWanted = (/** @type {Kept} */ { line, text }) =>
    LEVELS.indexOf(line.level) >= LEVELS.indexOf(level.value) && text.toLowerCase().includes(search.value.trim().toLowerCase());

  function sift() {
    let shown = 0;
    for (const entry of kept.slice(0, kept.length - held)) {
      entry.node.hidden = !isWanted(entry);
      if (!entry.node.hidden) shown += 1;
    }
    none.hidden = shown > 0 || kept.length === held;
    if (follows) toEnd();
  }

  function drawPause() {
    pause.setAttribute('aria-pressed', String(paused));
    setText(pause, paused ? t('log.resume', { n: held }) : t('log.pause'));
  }

  /** Puts the held lines into the list. */
  function release() {
    for (const { node } of kept.slice(kept.length - held)) list.append(node);
    held = 0;
    sift();
  }

  list.addEventListener('scroll', () => {
    // Reading back stops the scrolling; coming back to the end resumes it.
    follows = atEnd();
    latest.hidden = follows;
  });
  latest.addEventListener('click', () => {
    follows = true;
    latest.hidden = true;
    toEnd();
  });
  pause.addEventListener('click', () => {
    paused = !paused;
    if (!paused) release();
    drawPause();
  });
  search.addEventListener('input', sift);
  level.addEventListener('change', sift);
  copy.addEventListener('click', async () => {
    const shown = kept.filter(({ node }) => node.isConnected && !node.hidden);
    try {
      await navigator.clipboard.writeText(shown.map(({ text }) => text).join('\n'));
      setText(copy, t('log.copied'));
    } catch {
      // No permission: select the lines, so that the reader's own copy key works.
      getSelection()?.selectAllChildren(list);
    }
    setTimeout(() => setText(copy, t('log.copy')), 1600);
  });
  byId('log-save').addEventListener('click', () => {
    // All of it, with times that mean the same everywhere.
    const text = kept.map(({ line }) => `${new Date(line.at_ms).toISOString()} ${line.level} ${line.message}\n`).join('');
    const link = element('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/plain' })), download: `${name}.log` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.getAttribute('href') ?? ''), 10_000);
  });

  return {
    /** Of another job. */
    clear() {
      list.replaceChildren();
      kept = [];
      held = 0;
      last = 0;
      paused = false;
      follows = true;
      latest.hidden = true;
      search.value = '';
      level.value = LEVELS[0];
      none.hidden = true;
      drawPause();
    },

    /** In another language. */
    render() {
      level.replaceChildren(
        ...Object.entries(LEVEL_WORDS).map(([value, word]) => {
          const option = /** @type {HTMLOptionElement} */ (element('option', { value }, [t(word)]));
          option.selected = value === level.value;
          return option;
        }),
      );
      search.placeholder = t('log.search');
      drawPause();
    },

    /** What a saved log is called. @param {string} file */
    setName(file) {
      name = file.replace(/\.[^.]*$/, '') || 'headcast';
    },

    /** @param {import('./store.js').LogLine} line */
    add(line) {
      // A reconnection may repeat what is already here.
      if (line.seq <= last) return;
      last = line.seq;
      const time = new Date(line.at_ms).toLocaleTimeString(current(), { hour12: false });
      const node = element('p', { class: `line ${line.level}` }, [element('time', {}, [time]), ' ', element('span', { lang: 'en' }, [line.message])]);
      const entry = { line, text: `${time} ${line.message}`, node };
      kept.push(entry);
      if (kept.length > KEPT) kept.shift()?.node.remove();
      if (paused) {
        held = Math.min(held + 1, KEPT);
        drawPause();
        return;
      }
      node.hidden = !isWanted(entry);
      list.append(node);
      if (!node.hidden) none.hidden = true;
      if (follows) toEnd();
    },
  };
}
