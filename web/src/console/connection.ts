// Whether the archive answers. The frame says so while it does not, because what the
// page shows may then be old.
import { ref } from 'vue'

/** Whether the last request had no answer, or the browser has no network. */
export const lost = ref(false)

/** Notes whether a request had an answer, of whatever kind. */
export function heard(answer: boolean) {
  lost.value = !answer
}

addEventListener('offline', () => heard(false))
// Another request shows whether the archive answers; a page that asks by itself asks now.
addEventListener('online', () => heard(true))
