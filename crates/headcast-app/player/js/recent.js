// The last videos, so that one that was left can be found again.

import * as api from './api.js';
import { byId, element } from './dom.js';
import { stateText } from './panel.js';

const SHOWN = 5;

/** @param {(id: string) => void} onOpen */
export function createRecent(onOpen) {
  /** @type {import('./store.js').Job[]} */
  let jobs = [];
  let wanted = false;

  function render() {
    byId('recent').hidden = !wanted || jobs.length === 0;
    byId('recent-list').replaceChildren(
      ...jobs.map((job) => {
        const link = element('a', { href: job.links.page }, [
          element('img', { src: job.links.poster, alt: '', width: '44', height: '44', loading: 'lazy' }),
          element('span', { class: 'recent-name' }, [job.audio_name]),
          element('span', { class: 'recent-state' }, [stateText(job)]),
        ]);
        link.addEventListener('click', (event) => {
          // A new tab or window stays the browser's matter.
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          onOpen(job.id);
        });
        return element('li', {}, [link]);
      }),
    );
  }

  return {
    render,

    async refresh() {
      wanted = true;
      render();
      try {
        jobs = await api.jobs(SHOWN);
      } catch {
        // The page is of use without the list; the form says what is wrong when it is sent.
        jobs = [];
      }
      render();
    },

    hide() {
      wanted = false;
      render();
    },
  };
}
