// What an avatar hears through is not on the server: which public model that is, and how it gets there.

import { byId, element, setText } from './dom.js';
import { t } from './i18n.js';

/**
 * An avatar that cannot hear.
 * @typedef {{title: string, missing_extractor: {model: string, page: string, files: string[], folder: string, command: string}}} Deaf
 */

/** How long it says that something was copied, milliseconds. */
const SAID_FOR = 3000;

export function createMissing() {
  const dialog = /** @type {HTMLDialogElement} */ (byId('missing'));
  const command = /** @type {HTMLInputElement} */ (byId('missing-command'));
  const copy = byId('missing-copy');
  const again = byId('missing-again');
  const still = byId('missing-still');
  /** @type {{avatar: Deaf, retry: () => Promise<Deaf | null>} | null} */
  let asked = null;
  let copied = 0;
  let trying = false;

  function render() {
    setText(copy, copied ? t('missing.copied') : t('missing.copy'));
    again.setAttribute('aria-disabled', String(trying));
    if (!asked) return;
    const { title, missing_extractor: missing } = asked.avatar;
    setText(byId('missing-lead'), t('missing.lead', { name: title, model: missing.model }));
    byId('missing-page').href = missing.page;
    setText(byId('missing-page'), missing.model);
    const [config, preprocessor, ...weights] = missing.files;
    const lines = [config, preprocessor, weights.join(` ${t('missing.or')} `)];
    byId('missing-files').replaceChildren(...lines.map((line) => element('li', {}, [line])));
    setText(byId('missing-folder'), t('missing.folder', { folder: missing.folder }));
    command.value = missing.command;
  }

  byId('missing-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => {
    // Beside it.
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('close', () => {
    asked = null;
    still.hidden = true;
  });
  command.addEventListener('focus', () => command.select());
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(command.value);
    } catch {
      // Other machines have no clipboard without HTTPS: the command is selected, and the keyboard copies it.
      command.focus();
      return;
    }
    copied += 1;
    render();
    byId('announce').textContent = t('missing.copied');
    setTimeout(() => {
      copied -= 1;
      render();
    }, SAID_FOR);
  });
  again.addEventListener('click', async () => {
    if (!asked || trying) return;
    const { avatar, retry } = asked;
    trying = true;
    still.hidden = true;
    render();
    const deaf = await retry().finally(() => {
      trying = false;
      render();
    });
    // Closed meanwhile.
    if (asked?.avatar !== avatar) return;
    if (!deaf) {
      dialog.close();
      return;
    }
    setText(still, t('missing.still', { model: avatar.missing_extractor.model }));
    still.hidden = false;
  });

  return {
    /** In another language. */
    render,

    /**
     * Says what to do; `retry` tries again, and gives the avatar if it still cannot hear.
     * @param {Deaf} avatar @param {() => Promise<Deaf | null>} retry
     */
    show(avatar, retry) {
      asked = { avatar, retry };
      still.hidden = true;
      render();
      if (!dialog.open) dialog.showModal();
    },
  };
}
