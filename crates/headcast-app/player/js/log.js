// The live log of the job.

import { byId, element } from './dom.js';
import { current, t } from './i18n.js';

/** Lines that are kept on the page. */
const KEPT = 500;

export function createLog() {
  const list = byId('log');
  const latest = byId('log-latest');
  const copy = byId('log-copy');
  let follows = true;
  let shown = 0;

  const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  const toEnd = () => {
    list.scrollTop = list.scrollHeight;
  };

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
  copy.addEventListener('click', async () => {
    const text = [...list.children].map((line) => line.textContent).join('\n');
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = t('log.copied');
    } catch {
      // No permission: select the lines, so that the reader's own copy key works.
      getSelection()?.selectAllChildren(list);
    }
    setTimeout(() => {
      copy.textContent = t('log.copy');
    }, 1600);
  });

  return {
    clear() {
      list.replaceChildren();
      shown = 0;
      follows = true;
      latest.hidden = true;
    },

    /** @param {import('./store.js').LogLine} line */
    add(line) {
      // A reconnection may repeat what is already here.
      if (line.seq <= shown) return;
      shown = line.seq;
      const time = new Date(line.at_ms).toLocaleTimeString(current(), { hour12: false });
      list.append(
        element('p', { class: `line ${line.level}` }, [element('time', {}, [time]), ` ${line.message}`]),
      );
      if (list.childElementCount > KEPT) list.firstElementChild?.remove();
      if (follows) toEnd();
    },
  };
}
