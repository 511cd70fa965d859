// Asks before something that cannot be taken back; says briefly what came of it.
import { t } from '../i18n/index.js';
import { announce, h } from './dom.js';

/**
 * Asks. Answers `true`, or the typed text when `input` names a label, or null when declined.
 */
export function ask({ title, text, yes, danger, input }) {
  return new Promise((done) => {
    const field =
      input && h('input', { type: 'text', name: 'text', required: true, maxlength: 200, autocomplete: 'off' });
    const form = h(
      'form',
      { method: 'dialog' },
      h('h2', title),
      text && h('p', text),
      input && h('label.field', input, field),
      h(
        'div.row.end',
        h('button', { type: 'submit', value: 'no', formnovalidate: true, autofocus: !input }, t('ask.no')),
        h('button', { type: 'submit', value: 'yes', class: danger ? 'danger' : 'primary' }, yes),
      ),
    );
    const dialog = h('dialog', { 'aria-label': title }, form);
    // Enter in the field means yes, although "no" stands first in the form.
    field?.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      if (form.reportValidity()) dialog.close('yes');
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      done(dialog.returnValue === 'yes' ? (field ? field.value.trim() : true) : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    field?.focus();
  });
}

/** A line at the foot of the window that goes by itself. */
export function toast(text, bad) {
  document.querySelector('.toast')?.remove();
  const line = h('div.toast', { 'data-tone': bad ? 'bad' : 'good', role: bad ? 'alert' : null }, text);
  document.body.append(line);
  if (!bad) announce(text);
  setTimeout(() => line.remove(), bad ? 9000 : 4000);
}

/** Does something that the server may refuse, and says what came of it. Answers whether it went through. */
export async function attempt(doing, done) {
  try {
    await doing();
    toast(done);
    return true;
  } catch (problem) {
    toast([problem.detail || t('problem.offline'), problem.hint].filter(Boolean).join(' — '), true);
    return false;
  }
}
