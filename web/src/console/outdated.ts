// A page that was loaded before the console was updated asks for scripts that are
// gone. It loads itself again once; if that does not help, it says so.
import { ref } from 'vue'

export const outdated = ref(false)

const key = 'yunduo-archive:reloaded'
/** A second failure within this time is not an update. */
const once = 60_000

export function watchVersion() {
  window.addEventListener('vite:preloadError', (event) => {
    event.preventDefault()
    const last = Number(sessionStorage.getItem(key))
    if (Date.now() - last < once) {
      outdated.value = true
      return
    }
    sessionStorage.setItem(key, String(Date.now()))
    location.reload()
  })
}
