// How people, rooms and chats are called. Names are strangers' texts: they become one
// line and keep the order of their characters.
import type { Schemas } from '../../api/client'
import { line } from '../parts/plain'
import { t } from '../texts/chats'
import { list } from '../texts/format'

type Names = Schemas['Names']
type Conversation = Pick<Schemas['Conversation'], 'kind' | 'parties' | 'party_count' | 'room'>

/** The name of a person, if it is known. */
export function knownName(names: Names | undefined, id: string): string | undefined {
  const name = names && Object.hasOwn(names.people, id) ? names.people[id]!.name : undefined
  return name ? line(name, 60) : undefined
}

export const personName = (names: Names | undefined, id: string) => knownName(names, id) ?? t.value.unknown(line(id, 40))

export function roomName(names: Names | undefined, id: string) {
  const name = names && Object.hasOwn(names.rooms, id) ? names.rooms[id]!.name : undefined
  return name ? line(name, 80) : t.value.unnamedRoom
}

/** Whether WeCom has not answered about an id yet, so that its name may come. */
export const isAwaited = (names: Names, id: string) => ![names.people, names.rooms, names.missing].some((known) => Object.hasOwn(known, id))

/** Why an id has no name; undefined while WeCom was not asked. */
export function whyNameless(names: Names, id: string): string | undefined {
  const reason = Object.hasOwn(names.missing, id) ? names.missing[id] : undefined
  return reason && t.value.missing[reason]
}

/** Whether an id is that of somebody outside the company. */
export function isExternal(names: Names | undefined, id: string): boolean {
  const known = names && Object.hasOwn(names.people, id) ? names.people[id]!.kind : undefined
  return known ? known === 'external' : /^w[mo]/.test(id)
}

/** The title of a chat, as the given party sees it. */
export function chatTitle(chat: Conversation, names: Names | undefined, as?: string): string {
  if (chat.room) return roomName(names, chat.room)
  if (chat.kind === 'unplaced') return t.value.kinds.unplaced
  const others = chat.parties.filter((id) => id !== as)
  if (chat.kind === 'own' || others.length === 0) return personName(names, chat.parties[0] ?? '')
  const shown = others.slice(0, 3).map((id) => personName(names, id))
  if (!as && chat.kind === 'single') return shown.join(' ↔ ')
  return list(shown) + (chat.party_count - (chat.parties.length - others.length) > shown.length ? '…' : '')
}
