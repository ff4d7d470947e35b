// A name that is changed where it stands.

import { element } from './dom.js';

/** Longest name that the server takes. */
const MAX_CHARS = 120;

/**
 * Puts a field in the place of what shows a name. Enter and leaving the field save it, Escape leaves it as it was.
 * @param {HTMLElement} shown
 * @param {{value: string, label: string, onSave: (title: string) => void, onEnd: (byKey: boolean) => void}} edit `onSave` is
 *   called when the name is another one, `onEnd` always, after it: by a key the focus is there still
 */
export function editName(shown, { value, label, onSave, onEnd }) {
  const attributes = { type: 'text', class: 'rename', maxlength: String(MAX_CHARS), 'aria-label': label, autocomplete: 'off', enterkeyhint: 'done' };
  const input = /** @type {HTMLInputElement} */ (element('input', attributes));
  input.value = value;
  let over = false;
  const end = (/** @type {boolean} */ save, /** @type {boolean} */ byKey) => {
    // Removing the field takes the focus from it, too.
    if (over) return;
    over = true;
    const title = input.value.trim();
    shown.hidden = false;
    input.remove();
    if (save && title !== value) onSave(title);
    onEnd(byKey);
  };
  input.addEventListener('keydown', (event) => {
    // An input method's own Enter chooses a word; Safari tells by the code alone.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' || event.key === 'Escape') {
      event.preventDefault();
      end(event.key === 'Enter', true);
    }
  });
  input.addEventListener('blur', () => end(true, false));
  shown.hidden = true;
  shown.after(input);
  input.focus();
  input.select();
}
