// Tells screen readers what has changed. UiAnnouncer shows the texts to them.
import { nextTick, shallowReactive } from 'vue'

export const announced = shallowReactive({ polite: '', urgent: '' })

/** Says a text after what the person does now; with urgent, at once. */
export async function announce(text: string, urgent = false): Promise<void> {
  const region = urgent ? 'urgent' : 'polite'
  // The same text is said again only if the region was empty in between.
  announced[region] = ''
  await nextTick()
  announced[region] = text
}
