// The time, for texts that say how long something has lasted.
import { onUnmounted, ref } from 'vue'

/** The time in milliseconds, renewed while the component exists. */
export function useNow(every: number) {
  const now = ref(Date.now())
  const timer = setInterval(() => (now.value = Date.now()), every)
  onUnmounted(() => clearInterval(timer))
  return now
}
