// What the chat pages read from the API.
import { api, corp, data, type Schemas } from '../api'
import type { ListPage } from './list'
import { kindGroups } from './kinds'
import type { Party, Search } from './place'
import type { Page, Query } from './timeline'

export type Conversation = Schemas['Conversation']
export type Names = Schemas['Names']

export interface ConversationRow {
  conversation: Conversation
  names: Names
}

const ofParty = ({ scope, id }: Party) => {
  switch (scope) {
    case 'members':
      return { member: id }
    case 'customers':
      return { external_contact: id }
    case 'rooms':
      return { rooms: true as const }
    case 'days':
      return { day: id }
    case 'unplaced':
      return { unplaced: true as const }
  }
}

/** Which conversations of a party. */
export interface ConversationFilter {
  /** A part of the name or the id of a room, in the list of all rooms. */
  q?: string
  kind?: 'single' | 'room' | 'group' | 'own'
  /** Only those with an external contact. */
  external?: true
  /** Only those with a message since this time. */
  since?: string
}

/** The first page is small, so that it is there at once. Who scrolls on wants more. */
export async function readConversations(party: Party, filter: ConversationFilter, page?: string): Promise<ListPage<ConversationRow>> {
  const query = { ...ofParty(party), ...filter, limit: page || party.scope === 'days' ? 200 : 50, ...(page && { page }) }
  const got = await data(api.GET('/v1/corps/{corpid}/conversations', { params: { path: corp(), query } }))
  return { rows: got.conversations.map((conversation) => ({ conversation, names: got.names })), next: got.next }
}

/** The archive lists a day in no order of time, so up to a thousand conversations are read before they are shown. */
const dayPages = 5

export async function readDay(day: Party, filter: ConversationFilter, page?: string): Promise<ListPage<ConversationRow>> {
  const all: ListPage<ConversationRow> = { rows: [], next: page ?? null }
  for (let n = 0; n < dayPages; n++) {
    const got = await readConversations(day, filter, all.next ?? undefined)
    all.rows.push(...got.rows)
    if (!(all.next = got.next)) break
  }
  return all
}

/** The newest first. */
export const byTime = (x: ConversationRow, y: ConversationRow) => Date.parse(y.conversation.last_at) - Date.parse(x.conversation.last_at)

/** Reads a page of a chat. Without a middle the API lists the newest first; the page is oldest first either way. */
export async function readPage(conversation: string, query: Query, page?: string): Promise<Page> {
  const { around, at, kinds, revoked } = query
  const newestFirst = !around && !at
  const got = await data(
    api.GET('/v1/corps/{corpid}/conversations/{conversation}/messages', {
      params: {
        path: { ...corp(), conversation },
        query: {
          limit: 50, omit: ['raw', 'json'], ...(newestFirst ? { order: 'desc' as const } : {}), ...(around && { around }), ...(at && !around && { at }),
          ...(revoked && { revoked }), ...(kinds && { kinds }), ...(page && { page }),
        },
      },
    }),
  )
  const edge = (token: string | null) => (token === null ? null : { query, page: token })
  return {
    messages: newestFirst ? got.messages.toReversed() : got.messages,
    names: got.names,
    older: edge(newestFirst ? got.next : got.prev),
    newer: edge(newestFirst ? got.prev : got.next),
    anchor: got.anchor,
  }
}

export const readMessage = (id: string) => data(api.GET('/v1/corps/{corpid}/messages/{id}', { params: { path: { ...corp(), id }, query: { omit: ['raw', 'json'] } } }))

/** Bytes of a message from a place on, at most 4 MiB. */
export async function readBytes(id: string, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  const got = await data(
    api.GET('/v1/corps/{corpid}/messages/{id}/raw', { params: { path: { ...corp(), id }, header: { Range: `bytes=${from}-${to - 1}` } }, parseAs: 'arrayBuffer' }),
  )
  return new Uint8Array(got as ArrayBuffer)
}

/** Somebody to choose. */
export interface PartyRow {
  id: string
  name: string | null
  /** Why WeCom has no name; null while it was not asked. */
  missing: Schemas['Missing']
  /** What is known besides the name. */
  note?: string
  /** The day of the newest message. */
  day?: string
}

export async function readParties(scope: 'members' | 'customers', sought: string, page?: string): Promise<ListPage<PartyRow>> {
  const query = { limit: 100, ...(sought && { q: sought }), ...(page && { page }) }
  const kind = scope === 'members' ? ('member' as const) : ('external' as const)
  const got = await data(api.GET('/v1/corps/{corpid}/people', { params: { path: corp(), query: { ...query, kind } } }))
  return { rows: got.people.map(({ id, name, missing, company, last_day }) => ({ id, name, missing, ...(company && { note: company }), ...(last_day && { day: last_day }) })), next: got.next }
}

export const readConversation = (id: string) => data(api.GET('/v1/corps/{corpid}/conversations/{conversation}', { params: { path: { ...corp(), conversation: id } } }))
export type ConversationDetail = Schemas['ConversationDetail']

export const readDays = (id: string, month: string) =>
  data(api.GET('/v1/corps/{corpid}/conversations/{conversation}/days', { params: { path: { ...corp(), conversation: id }, query: { month } } }))

/** The single chat of a member with a customer; undefined if there is none. Both may also take part in rooms, and newer ones. */
export async function readPair(member: string, external: string): Promise<Conversation | undefined> {
  let page: string | null | undefined
  do {
    const query = { member, external_contact: external, kind: 'single' as const, limit: 1, ...(page && { page }) }
    const got = await data(api.GET('/v1/corps/{corpid}/conversations', { params: { path: corp(), query } }))
    if (got.conversations[0]) return got.conversations[0]
    page = got.next
  } while (page)
  return undefined
}

export const readRoom = async (room: string) => (await data(api.GET('/v1/corps/{corpid}/conversations', { params: { path: corp(), query: { room } } }))).conversations[0]

/** A search for a withdrawn message follows so many pages. Each looks at up to 2,000 messages. */
const revokedPages = 5

/** The message that was withdrawn at a time: its id, or whether the search reached the beginning of the chat. */
export async function findRevoked(conversation: string, msgid: string, at: string): Promise<{ id?: string; whole: boolean }> {
  // The end is exclusive, and a withdrawal may come in the same millisecond.
  const to = new Date(Date.parse(at) + 1).toISOString()
  let page: string | null | undefined
  for (let n = 0; n < revokedPages; n++) {
    const query = { msgid, to, order: 'desc' as const, limit: 1, omit: ['raw' as const, 'json' as const], ...(page && { page }) }
    const got = await data(api.GET('/v1/corps/{corpid}/conversations/{conversation}/messages', { params: { path: { ...corp(), conversation }, query } }))
    if (got.messages[0]) return { id: got.messages[0].id, whole: true }
    if (!(page = got.next)) return { whole: true }
  }
  return { whole: false }
}
export const revokedMost = revokedPages * 2000

/** Messages of the ids that are there. */
export const readMessages = async (ids: string[]) => (await data(api.POST('/v1/corps/{corpid}/messages:batch', { params: { path: corp() }, body: { ids, omit: ['raw', 'json'] } }))).messages

/** Days are those of Beijing. */
const dayBegins = (day: string) => `${day}T00:00:00+08:00`
const dayEnds = (day: string) => new Date(Date.parse(dayBegins(day)) + 86_400_000).toISOString()

export async function findHits(conversation: string, { words, kind, by, from, to }: Search, page?: string) {
  const query = {
    q: words, limit: 50, ...(kind && { kinds: [...kindGroups[kind]] }), ...(by && { from_party: by }), ...(from && { from: dayBegins(from) }), ...(to && { to: dayEnds(to) }), ...(page && { page }),
  }
  return data(api.GET('/v1/corps/{corpid}/conversations/{conversation}/search', { params: { path: { ...corp(), conversation }, query } }))
}
export type Hit = Schemas['SearchPage']['hits'][number]
