// Names for the codes that the status lists.
import type { Schemas } from '../api'
import { number } from '../texts/format'
import { t as parts } from '../texts/parts'
import { t } from '../texts/state'
import { userName, type Job } from './jobs'

const named = (names: Record<string, string>, code: string) => (code === '' ? parts.value.noKind : Object.hasOwn(names, code) ? names[code]! : code)

/** The name of a type of messages or files. A type that WeCom added keeps its code. */
export const typeName = (type: string) => named({ ...parts.value.kinds, ...t.value.status.otherTypes }, type)

/** Why a file is absent. */
export function fileReason(reason: string | null): string {
  const code = /^sdk_(-?\d+)$/.exec(reason ?? '')?.[1]
  return code ? t.value.status.sdkCode(code) : reason ? named(t.value.status.fileReasons, reason) : '—'
}

export const jobKind = (j: Job) => {
  const k = t.value.status.jobKind
  return j.weekly ? k.weekly : j.verify ? k.verify : j.set_aside_only ? k.aside : k.replay
}

export const jobRange = (j: Job) => (j.from_seq === '0' && !j.to_seq ? t.value.status.whole : `${j.from_seq} – ${j.to_seq ?? ''}`)

/** How a job ended. One that was stopped proves nothing about the rest of its range, and may have found something before. */
export function jobResults(j: Job, names: Schemas['Names'] | undefined): { text: string; tone: 'plain' | 'accent' | 'good' | 'bad' }[] {
  const s = t.value.status
  if (!j.done) return [{ text: s.jobRunning, tone: 'accent' }]
  const found = j.faults ? [{ text: s.jobFaults(number(j.faults)), tone: 'bad' as const }] : []
  if (j.stopped_by !== null) return [{ text: s.stoppedBy(userName(j.stopped_by, names)), tone: 'plain' }, ...found]
  if (j.failed) return [{ text: s.jobFailed, tone: 'bad' }, ...found]
  if (!j.verify) return [{ text: s.jobDone, tone: 'good' }]
  if (j.chain_only) return [...found, { text: s.jobChainOnly, tone: 'plain' }]
  return found.length > 0 ? found : [{ text: j.weekly ? s.jobSampled : s.jobProved, tone: 'good' }]
}
