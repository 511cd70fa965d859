// What an operator does to a node: drain it with a reason, bring it back.
import { send } from '../api.js';
import { t } from '../i18n/index.js';

/** Asks for a reason and drains. Answers whether it went through. */
export async function drainNode(name, { ask, attempt }) {
  const reason = await ask({
    title: t('node.drain_ask', { name }),
    text: t('node.drain_text'),
    yes: t('node.drain'),
    input: t('node.drain_why'),
  });
  return (
    Boolean(reason) &&
    attempt(() => send('POST', `/nodes/${encodeURIComponent(name)}/drain`, { reason }), t('node.drained', { name }))
  );
}

/** Brings a node back. */
export const resumeNode = (name, { attempt }) =>
  attempt(() => send('POST', `/nodes/${encodeURIComponent(name)}/resume`), t('node.resumed', { name }));
