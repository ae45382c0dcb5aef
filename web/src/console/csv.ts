// Tables as files. Columns with a title in words have what the page shows, with times of
// Beijing, and with times, counts and digests in full; behind them, columns with a name of
// the API have what the API answers. A cell that a spreadsheet would take for a formula is
// kept a text.
import type { Ref } from 'vue'

type Cell = string | number | null | undefined

const cell = (v: Cell) => {
  const text = v === null || v === undefined ? '' : String(v)
  const safe = typeof v === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

export const csv = (head: string[], rows: Cell[][]): string => [head, ...rows].map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n'

/** Saves a text as a file of this name. */
export function save(name: string, content: string, type: string) {
  // The mark lets a spreadsheet read Chinese.
  const url = URL.createObjectURL(new Blob([type === 'text/csv' ? '\ufeff' : '', content], { type: `${type};charset=utf-8` }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

interface Paged {
  hasNextPage: Ref<boolean>
  fetchNextPage: () => Promise<{ isError: boolean }>
}

/** Loads the rest of a table, so that its file has all of it. False says that a page failed, which the table shows. */
export async function loadAll(list: Paged): Promise<boolean> {
  while (list.hasNextPage.value) if ((await list.fetchNextPage()).isError) return false
  return true
}

export const saveCsv = (name: string, head: string[], rows: Cell[][]) => save(`${name}.csv`, csv(head, rows), 'text/csv')
export const saveJson = (name: string, value: unknown) => save(`${name}.json`, JSON.stringify(value, null, 2), 'application/json')
