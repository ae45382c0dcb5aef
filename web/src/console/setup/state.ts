// What the set-up pages know: the doctor's answer about every step, and what the
// forms show. Secrets are never part of an answer.
import { useMutation, useQuery } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'
import { api, corp, data, Failure, queries, type Schemas } from '../api'
import { person } from '../auth/session'
import { t } from '../texts/setup'
import { useDoctor, type Answer, type Mark } from './doctor'

export const key = (name: string) => ['setup', person.value.corp, name]

// While a step waits for WeCom, an answer is expected within seconds. One that has
// not come after minutes may take days: a key waits for a message.
const soon = 3_000
const later = 15_000
const seldom = 60_000
const patience = 3 * 60_000

/** Whether something is under way that changes the answer. WeCom may check the callback of the open step at any time. */
function waits({ running, checks, steps }: Answer, open: number | undefined): boolean {
  if (running || checks.some((c) => c.step === open && (c.cause === 'callback_unverified' || c.cause === 'callback_refused'))) return true
  // Before a Secret is saved, WeCom is not asked.
  return steps[2]!.state !== 'todo' && steps.some((s) => s.state === 'waiting')
}

/** Whether WeCom has yet to answer what a person asked for. */
const awaits = ({ checked_at }: Answer, asked: string | undefined) => !!asked && (!checked_at || Date.parse(checked_at) < Date.parse(asked))

/** open is the step on the page. */
export function useSetup(open: Ref<number | undefined>) {
  const read = <T>(name: string, queryFn: () => Promise<T>, enabled: () => boolean = () => true) =>
    useQuery({ queryKey: key(name), queryFn, enabled, refetchOnWindowFocus: true })

  const setup = read('setup', () => data(api.GET('/v1/corps/{corpid}/setup', { params: { path: corp() } })))
  const registered = () => !!setup.data.value
  const company = read('corp', () => data(api.GET('/v1/corps/{corpid}', { params: { path: corp() } })), registered)
  const app = read('app', () => data(api.GET('/v1/corps/{corpid}/app', { params: { path: corp() } })), registered)
  const inspection = read('inspection', () => data(api.GET('/v1/corps/{corpid}/inspect', { params: { path: corp() } })), () => registered() && (open.value === 1 || open.value === 7))

  /** When the doctor's answer last said something else. */
  let movedAt = Date.now()
  /** When a person last had everything tried. */
  const askedAt = ref<string>()
  const doctor = useDoctor({
    enabled: registered,
    interval: computed(() => {
      const [step, asked] = [open.value, askedAt.value]
      return (answer) => (!answer || !(waits(answer, step) || awaits(answer, asked)) ? seldom : Date.now() - movedAt < patience ? soon : later)
    }),
  })
  const checks = computed(() => doctor.data.value?.checks ?? [])

  const marks = computed<Mark[]>(() => doctor.data.value?.steps.map((s) => s.state) ?? [registered() ? 'done' : 'todo', ...Array<Mark>(7).fill('todo')])
  // The other answers change only when something happens that the doctor tells of.
  // What passes with time alone tells of nothing.
  const said = computed(
    () => doctor.data.value && JSON.stringify([doctor.data.value.checked_at, checks.value.map((c) => [c.state, c.cause, c.since, c.evidence.filter((e) => !['hours', 'last_call'].includes(e.fact))])]),
  )
  watch(said, (_, before) => {
    movedAt = Date.now()
    if (before) void queries.invalidateQueries({ queryKey: ['setup'], predicate: (q) => q.queryKey[2] !== 'doctor' })
  })

  const asking = computed(() => !!doctor.data.value && (doctor.data.value.running || awaits(doctor.data.value, askedAt.value)))
  function asked(at: string) {
    askedAt.value = at
    movedAt = Date.now()
  }

  /** The company does not exist yet: step 0 is the first. */
  const unregistered = computed(() => !setup.data.value && setup.error.value instanceof Failure && setup.error.value.status === 404)

  /** The first step that a person has to do. Step 7 is optional. */
  const first = computed(() => {
    const undone = marks.value.slice(0, 7).findIndex((m) => m === 'redo' || m === 'todo')
    if (undone >= 0) return undone
    const waiting = marks.value.slice(0, 7).findIndex((m) => m === 'waiting')
    return waiting >= 0 ? waiting : 6
  })

  return { setup, company, app, inspection, doctor, checks, marks, unregistered, first, asking, asked }
}

export type SetupState = ReturnType<typeof useSetup>

/** A change by a person. Everything is read again afterwards. */
export function useChange<In, Out>(change: (input: In) => Promise<Out>, then?: (out: Out) => void) {
  return useMutation({
    mutationFn: change,
    onSuccess: (out: Out) => {
      then?.(out)
      return queries.invalidateQueries({ queryKey: ['setup'] })
    },
  })
}

/** A refusal of a change is of what was sent: it goes once a person enters something else. */
export function forgets(change: { error: Ref<unknown>; reset: () => void }, ...inputs: Ref<unknown>[]) {
  watch(inputs, () => {
    if (change.error.value) change.reset()
  })
}

/** Reads a 版本号 that a person entered, or says what is wrong with it. */
export function readVersion(text: string): { version?: number; wrong?: string } {
  const v = text.trim()
  if (!v) return {}
  if (!/^[1-9][0-9]*$/.test(v)) return { wrong: t.value.key.versionWrong }
  return Number(v) > highestVersion ? { wrong: t.value.key.versionHigh } : { version: Number(v) }
}
const highestVersion = 4294967295

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
