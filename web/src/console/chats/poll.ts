// Asks whether something is new: every 15 seconds, every 60 after five quiet minutes,
// and never while the page is hidden.
import { onBeforeUnmount, onMounted } from 'vue'

const often = 15_000
const seldom = 60_000
const quiet = 5 * 60_000

/** look returns whether something was new. */
export function usePoll(look: () => Promise<boolean>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  let last = Date.now()
  let ended = false

  function plan() {
    clearTimeout(timer)
    if (!ended && !document.hidden) timer = setTimeout(run, Date.now() - last > quiet ? seldom : often)
  }
  async function run() {
    try {
      if (await look()) last = Date.now()
    } catch {
      // The next look may succeed; the page shows what it has.
    }
    plan()
  }
  /** A reader who comes back wants to know at once. */
  function appear() {
    if (document.hidden) clearTimeout(timer)
    else {
      last = Date.now()
      void run()
    }
  }
  onMounted(() => {
    document.addEventListener('visibilitychange', appear)
    plan()
  })
  onBeforeUnmount(() => {
    ended = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', appear)
  })
}
