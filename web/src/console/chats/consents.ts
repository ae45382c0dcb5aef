// What customers answered to archiving: the newest answers, and every answer.
import { api, corp, data, type Schemas } from '../api'
import type { ListPage } from './list'
import type { Party } from './place'

export type Consent = Schemas['Consent']
export type Names = Schemas['Names']

/** Whose answers: a customer's to a member or in a room, or all of one of them. */
export interface ConsentsOf {
  member?: string
  external_contact?: string
  room?: string
}

/** The answers that the list of a party is about; none for a day, for the rooms and for messages without a party. */
export const answersTo = ({ scope, id }: Party): ConsentsOf | undefined =>
  scope === 'members' ? { member: id } : scope === 'customers' ? { external_contact: id } : undefined

export interface ConsentRow {
  consent: Consent
  names: Names
}

export async function readConsents(of: ConsentsOf, page?: string): Promise<ListPage<ConsentRow>> {
  const got = await data(api.GET('/v1/corps/{corpid}/consents', { params: { path: corp(), query: { ...of, limit: 200, ...(page && { page }) } } }))
  return { rows: got.consents.map((consent) => ({ consent, names: got.names })), next: got.next }
}

/** Every answer; with a time, those that held then. */
export async function readHistory(of: ConsentsOf, at?: string): Promise<{ history: Consent[]; whole: boolean }> {
  const got = await data(api.GET('/v1/corps/{corpid}/consents/history', { params: { path: corp(), query: { ...of, limit: 200, ...(at && { at }) } } }))
  return { history: got.history, whole: got.next === null }
}

/** The pair or room of an answer. */
export const historyOf = ({ external_contact, member, room }: Consent): ConsentsOf => ({ external_contact, ...(room !== null ? { room } : member !== null && { member }) })

/** An answer, with each way in which the archive learned of it. */
export interface Answer {
  status: Consent['status']
  /** When the customer answered; for a customer without an answer, when the archive learned that. */
  at: string
  sources: Consent['source'][]
}

/** WeCom's events and checks tell a time in seconds, messages in milliseconds. */
const same = 2_000

/** The answers of one customer, the oldest first. Several sources may tell of one answer. */
export function answersIn(history: Consent[]): Answer[] {
  const answers: Answer[] = []
  for (const { status, changed_at, at, source } of history) {
    const time = changed_at ?? at
    const last = answers.at(-1)
    if (last?.status === status && (changed_at === null || Math.abs(Date.parse(time) - Date.parse(last.at)) < same)) {
      if (!last.sources.includes(source)) last.sources.push(source)
    } else answers.push({ status, at: time, sources: [source] })
  }
  return answers
}

/** How many customers gave each answer. */
export function countAnswers(list: Consent[]): Record<Consent['status'], number> {
  const counts = { agree: 0, disagree: 0, default_agree: 0 }
  for (const c of list) counts[c.status]++
  return counts
}
