// The videos that were made here: found again, renamed, made again with another face or other words, thrown away, and
// brought back.

import * as api from './api.js';
import { byId, element, setText } from './dom.js';
import { t } from './i18n.js';
import { stateText } from './panel.js';
import { editName } from './rename.js';

/** Videos that are shown at first, and that are added at a time. */
const [FEW, MORE] = [5, 20];
/** Most that are searched: as many as the server tells at once. */
const SEARCHED = 500;
/** How long a deletion can be taken back, in milliseconds. */
const REGRET = 7000;

const ICONS = {
  rename: 'M5 19l1-4L16.5 4.5l3 3L9 18zM14.5 6.5l3 3',
  words: 'M4 10v4M8 7v10M12 4v16M16 7v10M20 10v4',
  again: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.3M19.5 3.5v4h-4',
  remove: 'M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7',
};

/** What a row consists of. */
const ROW = ['link', 'rename', 'words', 'again', 'remove'];

/** @typedef {import('./store.js').Job} Job */

/** @param {Job} job */
const nameOf = (job) => job.title || t('recent.pushed');

/**
 * @param {{onOpen: (id: string) => void, onAgain: (job: Job) => void, onOtherWords: (job: Job) => void, onTrouble: (problem: api.ApiError) => void}} hooks
 */
export function createRecent(hooks) {
  const search = byId('recent-search');
  const more = byId('recent-more');
  const undo = byId('undo');
  /** @type {Job[]} */
  let jobs = [];
  let shown = FEW;
  let wanted = false;
  /** Whether a name is being written. */
  let isEdited = false;
  /** What is about to be deleted, and can be taken back. @type {{job: Job, row: number, timer: number} | null} */
  let doomed = null;

  const query = () => search.value.trim().toLowerCase();
  const isWanted = (/** @type {Job} */ job) => job.id !== doomed?.job.id && `${job.title} ${job.audio_name} ${job.avatar}`.toLowerCase().includes(query());

  function render() {
    const found = jobs.filter(isWanted);
    byId('recent').hidden = !wanted || (jobs.length === 0 && query() === '');
    search.hidden = jobs.length <= FEW && query() === '';
    more.hidden = found.length <= shown;
    byId('recent-none').hidden = found.length > 0 || query() === '';
    // A field that somebody writes in stays where it is.
    if (!isEdited) {
      const focused = place();
      byId('recent-list').replaceChildren(...found.slice(0, shown).map(entry));
      if (focused) focus(focused.id, focused.row, focused.part);
    }
    undo.hidden = doomed === null;
    if (doomed) setText(byId('undo-text'), t('recent.deleted', { name: nameOf(doomed.job) }));
  }

  /** Where in the list the focus is: the job, which row that is, and which part of it. */
  function place() {
    const row = document.activeElement?.closest('#recent-list > li');
    if (!row) return null;
    const part = [...row.children].indexOf(/** @type {Element} */ (document.activeElement));
    return { id: row.getAttribute('data-job') ?? '', row: [...byId('recent-list').children].indexOf(row), part };
  }

  /** What had the focus has it again; where its job is gone, what came in its place.
   * @param {string} id @param {number} row @param {number} part */
  function focus(id, row, part) {
    const rows = [...byId('recent-list').children];
    const found = rows.find((other) => other.getAttribute('data-job') === id) ?? rows[Math.min(row, rows.length - 1)];
    /** @type {HTMLElement | undefined} */ (found?.children[part])?.focus();
  }

  /** @param {Job} job */
  function entry(job) {
    const link = element('a', { href: job.links.page }, [
      element('img', { src: job.links.poster, alt: '', width: '44', height: '44', loading: 'lazy' }),
      element('span', { class: 'recent-name' }, [nameOf(job)]),
      element('span', { class: 'recent-state' }, [stateText(job)]),
    ]);
    link.addEventListener('click', (event) => {
      // A new tab or window stays the browser's matter.
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      hooks.onOpen(job.id);
    });
    const again = iconButton('again', t('recent.again', { name: nameOf(job) }), () => hooks.onAgain(job));
    const words = iconButton('words', t('recent.other_words', { name: nameOf(job) }), () => hooks.onOtherWords(job));
    // Nobody here can make the frames of another program once more.
    again.hidden = words.hidden = Boolean(job.frames);
    const remove = iconButton('remove', t('recent.delete', { name: nameOf(job) }), () => doom(job));
    const rename = iconButton('rename', t('recent.rename', { name: nameOf(job) }), () => edit(job, row));
    rename.classList.add('edit');
    const row = element('li', { 'data-job': job.id }, [link, rename, words, again, remove]);
    return row;
  }

  /** @param {Job} job @param {HTMLElement} row */
  function edit(job, row) {
    isEdited = true;
    editName(/** @type {HTMLElement} */ (row.firstElementChild), {
      value: nameOf(job),
      label: t('recent.new_name'),
      onSave(title) {
        api.rename(job.id, title).then(
          (renamed) => {
            jobs = jobs.map((other) => (other.id === job.id ? renamed : other));
            render();
          },
          (problem) => hooks.onTrouble(problem),
        );
      },
      onEnd(byKey) {
        isEdited = false;
        // Else somebody is just pressing what would be replaced.
        if (!byKey) return;
        render();
        const button = byId('recent-list').querySelector(`[data-job="${job.id}"] button`);
        /** @type {HTMLElement | null} */ (button)?.focus();
      },
    });
  }

  /** Takes a video away, for good unless that is taken back soon. @param {Job} job */
  function doom(job) {
    carryOut();
    const row = place()?.row ?? 0;
    doomed = { job, row, timer: window.setTimeout(carryOut, REGRET) };
    render();
    byId('undo-button').focus();
  }

  /** Deletes what is about to be. */
  async function carryOut() {
    if (!doomed) return;
    const { job, row, timer } = doomed;
    clearTimeout(timer);
    jobs = jobs.filter(({ id }) => id !== job.id);
    doomed = null;
    const isFocused = document.activeElement === byId('undo-button');
    render();
    if (isFocused) focus(job.id, row, 0);
    try {
      await api.deleteJob(job.id);
    } catch (error) {
      // Somebody else was faster.
      if (/** @type {api.ApiError} */ (error).status === 404) return;
      hooks.onTrouble(/** @type {api.ApiError} */ (error));
      load(jobs.length + 1);
    }
  }

  /** @param {number} count */
  async function load(count) {
    try {
      jobs = await api.jobs(Math.min(SEARCHED, count));
    } catch {
      // The page is of use without the list, or with the one that it had; the form says what is wrong when it is sent.
    }
    render();
  }

  byId('undo-button').addEventListener('click', () => {
    const kept = doomed;
    clearTimeout(kept?.timer);
    doomed = null;
    render();
    // To what was pressed before.
    if (kept) focus(kept.job.id, kept.row, ROW.indexOf('remove'));
  });
  // A tab that is closed has been told.
  addEventListener('pagehide', carryOut);
  more.addEventListener('click', () => {
    const first = shown;
    shown += MORE;
    load(shown + 1).then(() => more.hidden && focus('', first, 0));
  });
  search.addEventListener('input', () => {
    if (jobs.length < SEARCHED) load(SEARCHED);
    else render();
  });

  return {
    render() {
      search.placeholder = t('recent.search');
      render();
    },

    refresh() {
      wanted = true;
      shown = FEW;
      search.value = '';
      render();
      // One more than is shown tells whether there are more.
      return load(FEW + 1);
    },

    hide() {
      wanted = false;
      carryOut();
      render();
    },
  };
}

/** @param {keyof typeof ICONS} icon @param {string} label @param {() => void} onClick */
function iconButton(icon, label, onClick) {
  const button = element('button', { type: 'button', class: 'icon', 'aria-label': label, title: label });
  const picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  picture.setAttribute('viewBox', '0 0 24 24');
  picture.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[icon]);
  picture.append(path);
  button.append(picture);
  button.addEventListener('click', onClick);
  return button;
}
