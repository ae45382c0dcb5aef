// The archive asks WeCom for the name of an id that a reader sees, and has it some
// seconds later. So what shows an id is read again, twice at most. Each reading is
// recorded, so a page that is hidden waits until it is seen.
import { onScopeDispose, watch } from 'vue'

const pauses = [3_000, 10_000]

/** The key says what is shown: another key begins again. */
export function useLateNames(key: () => string, nameless: () => boolean, read: () => Promise<unknown>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  let turn = ''
  let tries = 0
  /** The pause has passed while the page was hidden. */
  let due = false
  let ended = false

  function plan() {
    clearTimeout(timer)
    due = false
    if (ended || !nameless() || tries === pauses.length) return
    timer = setTimeout(look, pauses[tries])
  }
  function look() {
    due = document.hidden
    if (due) return
    tries++
    void read().catch(() => {}).then(plan)
  }
  const appear = () => {
    if (due) look()
  }
  document.addEventListener('visibilitychange', appear)
  watch(
    [key, nameless],
    ([now, missing]) => {
      if (now !== turn) [turn, tries] = [now, 0]
      if (missing) plan()
    },
    { immediate: true },
  )
  onScopeDispose(() => {
    ended = true
    due = false
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', appear)
  })
}
