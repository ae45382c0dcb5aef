// Whether a media query fits, as the window changes.
import { onUnmounted, ref } from 'vue'

export function useMedia(query: string) {
  const list = matchMedia(query)
  const fits = ref(list.matches)
  const update = () => (fits.value = list.matches)
  list.addEventListener('change', update)
  onUnmounted(() => list.removeEventListener('change', update))
  return fits
}
