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
      return { room: id }
    case 'days':
      return { day: id }
    case 'unplaced':
      return { unplaced: true as const }
  }
}

/** Which conversations of a party. */
export interface ConversationFilter {
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

/** Somebody or a room to choose. */
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

export async function readParties(scope: Party['scope'], sought: string, page?: string): Promise<ListPage<PartyRow>> {
  const query = { limit: 100, ...(sought && { q: sought }), ...(page && { page }) }
  if (scope === 'rooms') {
    const got = await data(api.GET('/v1/corps/{corpid}/rooms', { params: { path: corp(), query } }))
    return { rows: got.rooms.map(({ id, name, missing }) => ({ id, name, missing })), next: got.next }
  }
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

/** The message that a revocation names; undefined if the archive does not have it. */
export async function findRevoked(conversation: string, msgid: string): Promise<string | undefined> {
  let page: string | null | undefined
  // WeCom lets people revoke for minutes, so the message is near the end of the search.
  for (let n = 0; n < 5; n++) {
    const query = { msgid, order: 'desc' as const, limit: 1, omit: ['raw' as const, 'json' as const], ...(page && { page }) }
    const got = await data(api.GET('/v1/corps/{corpid}/conversations/{conversation}/messages', { params: { path: { ...corp(), conversation }, query } }))
    if (got.messages[0]) return got.messages[0].id
    if (!(page = got.next)) return undefined
  }
  return undefined
}

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
