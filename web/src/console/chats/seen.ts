// Until when this reader has seen each chat, in this browser.
import { shallowReactive } from 'vue'
import { person } from '../auth/session'

/** Chats that were seen longest ago are forgotten beyond this number. */
const most = 2000

interface Stored {
  /** What came before the reader's first visit counts as seen. */
  since: number
  until: [conversation: string, at: number][]
}

let until = shallowReactive(new Map<string, number>())
let since = Date.now()
let owner = ''

const key = () => `yunduo-archive:seen:${person.value.corp}:${person.value.subject}`

function load() {
  if (owner === key()) return
  owner = key()
  until = shallowReactive(new Map())
  since = Date.now()
  try {
    const stored = JSON.parse(localStorage.getItem(owner) ?? 'null') as Stored | null
    if (stored) {
      since = stored.since
      for (const [conversation, at] of stored.until) until.set(conversation, at)
    } else save()
  } catch {
    // A browser may refuse storage in a frame; then the marks last as long as the page.
  }
}

function save() {
  try {
    localStorage.setItem(owner, JSON.stringify({ since, until: [...until].slice(-most) } satisfies Stored))
  } catch {
    // As above.
  }
}

/** Whether the chat has a message that the reader has not seen. */
export function isFresh(conversation: string, newest: string): boolean {
  load()
  return Date.parse(newest) > (until.get(conversation) ?? since)
}

/** Records that the reader has seen the chat up to a time. */
export function sawUntil(conversation: string, at: string) {
  load()
  const time = Date.parse(at)
  if (time <= (until.get(conversation) ?? 0)) return
  until.delete(conversation)
  until.set(conversation, time)
  save()
}
