// A list that grows by pages as the reader scrolls. No page is read before the reader
// comes near it: each reading is recorded.
import { onScopeDispose, ref, shallowRef, watch } from 'vue'
import { Failure } from '../api'

export interface ListPage<T> {
  rows: T[]
  next: string | null
}

/** Pages without rows are followed this often before the reader is asked. */
const emptyMost = 5

/** The key says which list it is: the list begins again when the key changes. */
export function useList<T>(key: () => unknown, read: (page: string | undefined) => Promise<ListPage<T>>) {
  const rows = shallowRef<T[]>([])
  const state = ref<'loading' | 'ready' | 'searching' | 'failed'>('loading')
  const error = shallowRef<unknown>()
  const more = ref(true)
  let next: string | undefined
  let turn = 0

  async function load() {
    const mine = turn
    state.value = 'loading'
    error.value = undefined
    try {
      for (let n = 1; ; n++) {
        const page = await read(next)
        if (mine !== turn) return
        rows.value = [...rows.value, ...page.rows]
        next = page.next ?? undefined
        more.value = next !== undefined
        if (page.rows.length > 0 || !next) break
        if (n === emptyMost) {
          state.value = 'searching'
          return
        }
      }
      state.value = 'ready'
    } catch (e) {
      if (mine !== turn) return
      error.value = e
      state.value = 'failed'
    }
  }

  function begin() {
    turn++
    next = undefined
    rows.value = []
    more.value = true
    void load()
  }
  watch(key, begin, { immediate: true })
  onScopeDispose(() => turn++)

  return {
    rows,
    state,
    error,
    more,
    /** Goes on, if the list has more and is not being read. */
    extend: () => (more.value && state.value === 'ready' ? load() : undefined),
    /** Goes on after a failure or a long search. */
    goOn: load,
    /** Reads the first page again, and puts its rows in front of the others. */
    async refresh(idOf: (row: T) => unknown) {
      const mine = turn
      const page = await read(undefined)
      if (mine !== turn) return
      const known = new Set(page.rows.map(idOf))
      rows.value = [...page.rows, ...rows.value.filter((r) => !known.has(idOf(r)))]
    },
    begin,
  }
}

/** Whether the answer says that there is no such thing for this reader. A token that lacks a claim may read nothing at all. */
export const isAbsent = (e: unknown) => e instanceof Failure && (e.status === 404 || e.problem?.type === 'urn:yunduo-archive:problem:forbidden')
