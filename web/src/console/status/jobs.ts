// Jobs as the pages show them: who may stop a job, who stopped it, and when to look again.
import { useMutation } from '@tanstack/vue-query'
import { api, corp, data, queries, type Schemas } from '../api'
import { may } from '../auth/session'
import { knownName } from '../chats/naming'
import { line } from '../parts/plain'
import { t } from '../texts/state'
import { announce } from '../ui'

export type Job = Schemas['Replay']

/** An auditor may stop verifications only. */
export const mayStop = (j: Job) => !j.done && (may('admin') || (j.verify && may('auditor')))

export const stop = (id: string) => data(api.POST('/v1/corps/{corpid}/replays/{id}/stop', { params: { path: { ...corp(), id } } }))

let startedAt = 0
/** Starts a job. */
export const useStart = () =>
  useMutation({
    mutationFn: (body: Schemas['ReplayInput']) => data(api.POST('/v1/corps/{corpid}/replays', { params: { path: corp() }, body })),
    onSuccess: () => {
      startedAt = Date.now()
      void announce(t.value.status.started)
      return queries.invalidateQueries({ queryKey: ['jobs'] })
    },
  })

/** A user by name, what started the job by itself, or else the id. */
export function userName(id: string, names: Schemas['Names'] | undefined): string {
  const { jobBy } = t.value.status
  return Object.hasOwn(jobBy, id) ? jobBy[id]! : (knownName(names, id) ?? (line(id, 60) || '—'))
}

/** The pause before the next look at a job that runs: as long as it has run, within these bounds. */
export const lookAgain = (at = startedAt) => Math.min(Math.max(Date.now() - at, 3_000), 15_000)
