// Where the reader is: the address says it, so that back, reload and a shared link
// lead to the same place.
import { computed, ref } from 'vue'
import { useRoute, useRouter, type LocationQueryRaw, type RouteLocationRaw } from 'vue-router'
import type { Schemas } from '../api'
import { person } from '../auth/session'
import { isDay } from '../texts/format'
import { announce } from '../ui'
import { isKindGroup, type KindGroup } from './kinds'
import { chatTitle } from './naming'
import type { ConversationRow } from './reads'

export type Scope = 'members' | 'customers' | 'rooms' | 'unplaced' | 'days'
export const scopes: Scope[] = ['members', 'customers', 'rooms', 'unplaced', 'days']

/** A chosen party, whose id is empty for all rooms and for messages without a party; or a day of the whole company. */
export interface Party {
  scope: Scope
  id: string
}

const one = (value: unknown): string | undefined => {
  const v = Array.isArray(value) ? value[0] : value
  return typeof v === 'string' && v !== '' ? v : undefined
}

/** A search in the open chat: words, and which messages are looked at. */
export interface Search {
  words: string
  kind?: KindGroup
  /** The sender. */
  by?: string
  /** The first and the last day. */
  from?: string
  to?: string
}

/** The list in which a party stands. */
const scopeOf = (id: string): Scope => (/^wr/.test(id) ? 'rooms' : /^w[mob]/.test(id) ? 'customers' : 'members')

/** The party whose side a list shows; a day has none. */
export const sideOf = ({ scope, id }: Party): string => (scope === 'days' ? '' : id)

// The lists beside an open chat are those that the reader came from.
const last = ref<{ scope: Scope; party: Party | undefined }>({ scope: 'members', party: undefined })

export function usePlace() {
  const route = useRoute()
  const router = useRouter()
  const conversation = computed(() => one(route.params.conversation))
  const as = computed(() => one(route.query.as))
  const message = computed(() => one(route.query.m))
  const panel = computed(() => one(route.query.panel))

  const search = computed((): Search | undefined => {
    const { q, kind, by, from, to } = Object.fromEntries(Object.entries(route.query).map(([name, value]) => [name, one(value)]))
    if (q === undefined) return undefined
    return { words: q, ...(isKindGroup(kind) && { kind }), ...(by && { by }), ...(isDay(from) && { from }), ...(isDay(to) && { to }) }
  })
  /** Puts a search into the address, or takes it away. */
  const turnSearch = (to?: Search) => turn({ q: to?.words, kind: to?.kind, by: to?.by, from: to?.from, to: to?.to })

  const here = computed(() => {
    if (conversation.value) {
      const { party } = last.value
      if (!as.value || as.value === party?.id) return last.value
      // A shared link names the party and not the list it stands in.
      const scope = scopeOf(as.value)
      if (scope === 'rooms') return { scope: person.value.staff ? ('members' as Scope) : scope, party: undefined }
      return { scope, party: { scope, id: as.value } }
    }
    const scope = (one(route.params.scope) as Scope | undefined) ?? 'members'
    const of = one(route.query.of)
    const id = scope === 'rooms' || (scope === 'days' && !isDay(of)) ? undefined : of
    return { scope, party: id ? { scope, id } : scope === 'unplaced' ? { scope, id: '' } : undefined }
  })

  /** Remembers the lists when a chat is opened from them. */
  const leave = () => (last.value = here.value)

  const toScope = (scope: Scope): RouteLocationRaw => ({ name: 'list', params: { scope } })
  const toParty = (party: Party): RouteLocationRaw => ({ name: 'list', params: { scope: party.scope }, query: party.id ? { of: party.id } : {} })
  /** A list of a day leads to the newest message of the day. */
  const toChat = ({ id, room, newest }: Pick<Schemas['Conversation'], 'id' | 'room' | 'newest'>, { scope, id: party }: Party): RouteLocationRaw => {
    const as = scope === 'rooms' ? room : party
    return { name: 'chat', params: { conversation: id }, query: scope === 'days' ? (newest ? { m: newest.message_id } : {}) : as ? { as } : {} }
  }

  /** Opens the conversation of a party's list that stands after or before the open one. */
  function step(rows: ConversationRow[], party: Party, by: number): boolean {
    const at = rows.findIndex((r) => r.conversation.id === conversation.value)
    const to = rows[at < 0 ? 0 : at + by]
    if (!to) return false
    leave()
    void router.push(toChat(to.conversation, party))
    announce(chatTitle(to.conversation, to.names, sideOf(party)))
    return true
  }

  /** Changes the query of the open chat. Opening a panel adds to the history, so that back closes it. */
  function turn(change: LocationQueryRaw) {
    const to = { query: { ...route.query, ...change } }
    return 'panel' in change && change.panel && !panel.value ? router.push(to) : router.replace(to)
  }

  return { conversation, as, message, panel, search, turnSearch, here, leave, toScope, toParty, toChat, step, turn, router }
}
