// The newest message of a chat in one line, as WeCom's client shows it in a list.
import { line } from '../parts/plain'
import { withEmoji } from '../parts/segments'
import { t } from '../texts/chats'
import { language } from '../texts/language'
import { t as parts } from '../texts/parts'
import { personName } from './naming'
import type { Conversation, Names } from './reads'

/** Kinds whose preview is the words of a person. */
const worded = new Set(['text', 'markdown', 'mixed'])

/** as is the party whose list shows the chat; in the list of a day, empty, a single chat names the sender too. */
export function preview({ newest, kind }: Conversation, names: Names, as: string): string {
  if (!newest) return t.value.noPreview
  const who = personName(names, newest.from)
  const event = { agree: parts.value.agreed, disagree: parts.value.disagreed, revoke: parts.value.revoked, switch: parts.value.switched }[newest.kind]
  if (event) return event(who)
  const words = withEmoji(line(worded.has(newest.kind) ? newest.text : labelled(newest.kind, newest.text), 100))
  return (kind === 'single' && as) || kind === 'own' || !newest.from ? words : t.value.says(who, words)
}

/** The archive writes the kind in Chinese in front of what is no text. */
function labelled(kind: string, text: string): string {
  if (language.value === 'zh') return text
  const { kinds } = parts.value
  return text.replace(/^\[\p{Script=Han}+\]/u, `[${Object.hasOwn(kinds, kind) ? kinds[kind as keyof typeof kinds] : line(kind, 40)}]`)
}
