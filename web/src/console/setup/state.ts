// What the set-up pages know: the answers of the API, asked for again while a
// step waits for WeCom. Secrets are never part of an answer.
import { useMutation, useQuery } from '@tanstack/vue-query'
import { computed, ref, watchEffect } from 'vue'
import { api, corp, data, Failure, queries, type Schemas } from '../api'
import { person } from '../auth/session'

export type Mark = 'todo' | 'waiting' | 'done' | 'redo'

export const key = (name: string) => ['setup', person.value.corp, name]

/** When a person last changed something, or a step last changed its mark. */
const changedAt = ref(Date.now())
export const touched = () => (changedAt.value = Date.now())

// An answer is expected within seconds of a change. A step that waits for a
// person may wait for days.
const soon = 3_000
const later = 15_000
const seldom = 60_000
const eager = 3 * 60_000
/** After a change even a step that was done is looked at again. */
const fresh = 30_000

export function useSetup() {
  // The queries ask this; the marks follow from their answers.
  const waits = ref(true)
  const interval = () => {
    const since = Date.now() - changedAt.value
    if (since < fresh || (waits.value && since < eager)) return soon
    return waits.value ? later : seldom
  }
  const read = <T>(name: string, queryFn: () => Promise<T>, enabled: () => boolean = () => true) =>
    useQuery({ queryKey: key(name), queryFn, enabled, refetchInterval: interval, refetchOnWindowFocus: true })

  const setup = read('setup', () => data(api.GET('/v1/corps/{corpid}/setup', { params: { path: corp() } })))
  const registered = () => !!setup.data.value
  const company = read('corp', () => data(api.GET('/v1/corps/{corpid}', { params: { path: corp() } })), registered)
  const status = read('status', () => data(api.GET('/v1/corps/{corpid}/status', { params: { path: corp() } })), registered)
  const app = read('app', () => data(api.GET('/v1/corps/{corpid}/app', { params: { path: corp() } })), registered)
  const inspection = read('inspection', () => data(api.GET('/v1/corps/{corpid}/inspect', { params: { path: corp() } })), registered)

  const marks = computed<Mark[]>(() => {
    const of = (n: number) => setup.data.value?.steps.find((s) => s.step === n)?.state as Mark | undefined
    return [setup.data.value ? 'done' : 'todo', ...[1, 2, 3, 4, 5, 6].map((n) => of(n) ?? 'todo'), (app.data.value?.state as Mark | undefined) ?? 'todo']
  })
  watchEffect(() => {
    // After a rotation the step stays done by the old key, while the new one waits.
    const rotating = setup.data.value?.keys.some((k) => k.current && k.claimed_version && k.proved.length === 0)
    waits.value = !!rotating || marks.value.slice(0, 7).some((m) => m === 'waiting')
  })

  /** The company does not exist yet: step 0 is the first. */
  const unregistered = computed(() => !setup.data.value && setup.error.value instanceof Failure && setup.error.value.status === 404)

  /** The trouble of a step, from where it was learned. */
  function troubleOf(step: number): Schemas['Trouble'] | undefined {
    const candidates = [
      setup.data.value?.secret?.trouble,
      status.data.value?.trouble,
      ...(inspection.data.value?.accesses ?? []).map((a) => a.trouble),
      step === 7 ? app.data.value?.secret?.trouble : undefined,
    ]
    // An archive that is not switched on may lack members (step 1) or 立即开启 (step 5).
    return candidates.find((x) => x?.step === step || (step === 5 && x?.cause === 'not_open')) ?? undefined
  }
  /** A trouble that no step can end. */
  const otherTrouble = computed(() => {
    const x = status.data.value?.trouble
    return x && x.step === null ? x : undefined
  })

  /** The first step that a person has to do. Step 7 is optional. */
  const first = computed(() => {
    const open = marks.value.slice(0, 7).findIndex((m) => m === 'redo' || m === 'todo')
    if (open >= 0) return open
    const waiting = marks.value.slice(0, 7).findIndex((m) => m === 'waiting')
    return waiting >= 0 ? waiting : 6
  })

  return { setup, company, status, app, inspection, marks, unregistered, troubleOf, otherTrouble, first }
}

export type SetupState = ReturnType<typeof useSetup>

/** A change by a person. Everything is read again afterwards. */
export function useChange<In, Out>(change: (input: In) => Promise<Out>, then?: (out: Out) => void) {
  return useMutation({
    mutationFn: change,
    onSuccess: (out: Out) => {
      touched()
      then?.(out)
      return queries.invalidateQueries({ queryKey: ['setup'] })
    },
  })
}

/** Shows the answer of a change before the next reading. */
export const shown = (setup: Schemas['Setup']) => queries.setQueryData(key('setup'), setup)

/** The problem of one field in a failed change. */
export function mistake(error: unknown, field: string): string | undefined {
  if (!(error instanceof Failure)) return undefined
  return error.problem?.errors?.find((m) => m.field === field)?.remedy
}

/** A failed change whose mistakes no field of the form shows. */
export function unplaced(error: unknown, ...fields: string[]): unknown {
  if (!error) return undefined
  const mistakes = error instanceof Failure ? error.problem?.errors : undefined
  return mistakes?.length && mistakes.every((m) => fields.includes(m.field)) ? undefined : error
}
