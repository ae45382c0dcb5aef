// Jobs as the pages show them: who may stop a job, who stopped it, and when to look again.
import { api, corp, data, type Schemas } from '../api'
import { may } from '../auth/session'
import { knownName } from '../chats/naming'
import { line } from '../parts/plain'
import { t } from '../texts/state'

export type Job = Schemas['Replay']

/** An auditor may stop verifications only. */
export const mayStop = (j: Job) => !j.done && (may('admin') || (j.verify && may('auditor')))

export const stop = (id: string) => data(api.POST('/v1/corps/{corpid}/replays/{id}/stop', { params: { path: { ...corp(), id } } }))

/** A user by name, what started the job by itself, or else the id. */
export function userName(id: string, names: Schemas['Names'] | undefined): string {
  const { jobBy } = t.value.status
  return Object.hasOwn(jobBy, id) ? jobBy[id]! : (knownName(names, id) ?? (line(id, 60) || '—'))
}

/** The pause before the next look at a job that runs: as long as it has run, within these bounds. */
export const lookAgain = (startedAt: number) => Math.min(Math.max(Date.now() - startedAt, 3_000), 15_000)
