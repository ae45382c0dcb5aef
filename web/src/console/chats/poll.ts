// Asks whether the chats have anything new: every 15 seconds, every 60 after five quiet
// minutes, and never while the page is hidden. Only then are messages read again.
import { onBeforeUnmount, onMounted, watch } from 'vue'
import { api, corp, data, Failure, type Schemas } from '../api'
import { lost } from '../connection'

const often = 15_000
const seldom = 60_000
const quiet = 5 * 60_000

/** What the last answer said. */
let tag: string | undefined
let last: Schemas['Changes'] | undefined

/** Returns whether messages or answers to archiving may have come since the last question. */
async function changed(): Promise<boolean> {
  const header = tag === undefined ? {} : { 'If-None-Match': tag }
  const answer = api.GET('/v1/corps/{corpid}/changes', { params: { path: corp(), header } })
  const { response } = await answer.catch(() => Promise.reject(new Failure(0)))
  if (response.status === 304) return false
  const now = await data(answer)
  tag = response.headers.get('etag') ?? undefined
  const moved = last !== undefined && (now.chats !== last.chats || now.consents !== last.consents)
  last = now
  return moved
}

/** Calls read when something came. */
export function usePoll(read: () => Promise<void>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  let last = Date.now()
  let ended = false

  function plan() {
    clearTimeout(timer)
    if (!ended && !document.hidden) timer = setTimeout(ask, Date.now() - last > quiet ? seldom : often)
  }
  async function ask() {
    try {
      if (await changed()) {
        last = Date.now()
        await read()
      }
    } catch {
      // The next question may succeed; the page shows what it has.
    }
    plan()
  }
  /** A reader who comes back wants to know at once. */
  function appear() {
    if (document.hidden) clearTimeout(timer)
    else {
      last = Date.now()
      void ask()
    }
  }
  // After a lost connection too.
  watch(lost, (now) => now || appear())
  onMounted(() => {
    document.addEventListener('visibilitychange', appear)
    // The first answer is what later answers are compared with.
    void changed().catch(() => {})
    plan()
  })
  onBeforeUnmount(() => {
    ended = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', appear)
  })
}
