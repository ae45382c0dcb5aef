// Names for the codes that the status lists.
import { t as parts } from '../texts/parts'
import { t } from '../texts/state'

const named = (names: Record<string, string>, code: string) => (Object.hasOwn(names, code) ? names[code]! : code)

/** The name of a type of messages or files. A type that WeCom added keeps its code. */
export const typeName = (type: string) => named({ ...parts.value.kinds, ...t.value.status.otherTypes }, type)

/** Why a file is absent. The cause of a trouble keeps its code. */
export function fileReason(reason: string | null): string {
  const code = /^sdk_(\d+)$/.exec(reason ?? '')?.[1]
  return code ? t.value.status.sdkCode(code) : reason ? named(t.value.status.fileReasons, reason) : '—'
}
