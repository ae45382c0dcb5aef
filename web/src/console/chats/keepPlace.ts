// Browsers keep the place of a reader only in part: not at the top of a box, and not
// in every browser. So the box of messages has overflow-anchor: none, and each change
// of its rows goes through keepPlace.
import { nextTick } from 'vue'

/** Runs a change of the rows of a box. The first row in sight stays where it is. */
export async function keepPlace(box: HTMLElement, change: () => void, rows = '[data-row]'): Promise<void> {
  const row = firstInSight(box, rows)
  const before = row?.getBoundingClientRect().top
  change()
  await nextTick()
  if (row?.isConnected) box.scrollTop += row.getBoundingClientRect().top - before!
}

/** The first row of which a part is in sight. */
export function firstInSight(box: HTMLElement, rows = '[data-row]'): HTMLElement | undefined {
  const all = box.querySelectorAll<HTMLElement>(rows)
  const top = box.getBoundingClientRect().top
  let [from, to] = [0, all.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (all[middle]!.getBoundingClientRect().bottom > top) to = middle
    else from = middle + 1
  }
  return all[from]
}
