// Single keys as shortcuts. They do nothing in fields, in dialogs and with modifiers,
// and the reader can switch them off.
import { ref, watch } from 'vue'

const kept = 'yunduo-archive:keys'

function read(): boolean {
  try {
    return localStorage.getItem(kept) !== 'off'
  } catch {
    return true
  }
}

export const keysOn = ref(read())
watch(keysOn, (on) => {
  try {
    localStorage.setItem(kept, on ? 'on' : 'off')
  } catch {
    // The choice then lasts as long as the page.
  }
})

/** Calls act for each shortcut. act returns true if the key did something. */
export function onKey(act: (key: string) => boolean | undefined) {
  const press = (event: KeyboardEvent) => {
    const at = event.target instanceof HTMLElement ? event.target : document.body
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
    if (at.closest('input, textarea, select, [contenteditable], [role="dialog"], [role="menu"], [role="tablist"], video, audio')) return
    // Esc goes back whether the single keys are on or not.
    if (!keysOn.value && event.key !== 'Escape') return
    if (act(event.key)) event.preventDefault()
  }
  return { start: () => window.addEventListener('keydown', press), end: () => window.removeEventListener('keydown', press) }
}
