// One sound plays at a time, also across messages.
let current: HTMLMediaElement | undefined

/** Call this when an element begins to play. It pauses the element that played before. */
export function plays(element: HTMLMediaElement) {
  if (current !== element) current?.pause()
  current = element
}
