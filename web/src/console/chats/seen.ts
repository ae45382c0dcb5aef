// Until when this reader has seen each chat. The archive keeps it, so the marks are
// the same in every browser.
import { shallowReactive } from 'vue'
import { api, corp, data, type Schemas } from '../api'

/** What this page has noted, in milliseconds. */
const until = shallowReactive(new Map<string, number>())
/** A chat that the reader never opened is fresh if a message came since. */
const begun = Date.now()

/** Whether the chat has a message that the reader has not seen. */
export function isFresh({ id, last_at, seen_at }: Pick<Schemas['Conversation'], 'id' | 'last_at' | 'seen_at'>): boolean {
  return Date.parse(last_at) > Math.max(until.get(id) ?? 0, seen_at ? Date.parse(seen_at) : begun)
}

/** Notes that the reader has seen the chat up to a time. Only the mark is lost if that fails. */
export function sawUntil(conversation: string, at: string) {
  const time = Date.parse(at)
  if (time <= (until.get(conversation) ?? 0)) return
  until.set(conversation, time)
  void data(api.PUT('/v1/corps/{corpid}/seen', { params: { path: corp() }, body: { conversation, until: at } })).catch(() => {})
}
