// A file that WeCom has just announced is copied some seconds later. So the messages in
// sight whose files are on their way are read again, after pauses that grow: a file may
// wait for hours. A hidden page waits too.
import { onScopeDispose } from 'vue'

const first = 5_000
const longest = 5 * 60_000
/** The bound of the API. */
const most = 50

/** waiting names the messages in sight with such a file. */
export function useLateFiles(waiting: () => string[], read: (ids: string[]) => Promise<void>) {
  let pause = first
  let left = first
  let known = new Set<string>()

  // What is in sight is looked at every five seconds; nothing is asked for before the pause is over.
  const timer = setInterval(() => {
    if (document.hidden) return
    const ids = waiting().slice(0, most)
    if (ids.some((id) => !known.has(id))) left = pause = first
    known = new Set(ids)
    if (ids.length === 0 || (left -= first) > 0) return
    left = pause = Math.min(2 * pause, longest)
    void read(ids).catch(() => {})
  }, first)
  onScopeDispose(() => clearInterval(timer))
}
