// The archive asks WeCom for the name of an id that a reader sees, and has it some
// seconds later. So what shows an id is read again, twice at most.
import { onScopeDispose, watch } from 'vue'

const pauses = [3_000, 10_000]

/** The key says what is shown: another key begins again. */
export function useLateNames(key: () => string, nameless: () => boolean, read: () => Promise<unknown>) {
  let timer: ReturnType<typeof setTimeout>
  let turn = ''
  let tries = 0

  function plan() {
    clearTimeout(timer)
    if (!nameless() || tries === pauses.length) return
    timer = setTimeout(() => void read().catch(() => {}).then(plan), pauses[tries++])
  }
  watch(
    [key, nameless],
    ([now, missing]) => {
      if (now !== turn) [turn, tries] = [now, 0]
      if (missing) plan()
    },
    { immediate: true },
  )
  onScopeDispose(() => clearTimeout(timer))
}
