// The kinds of messages, as people call them.
import { t as parts } from '../texts/parts'
import { t } from '../texts/state'

/** The name of a msgtype; undefined for one that the console does not know. */
export const kindName = (type: string): string | undefined => t.value.status.kinds[type] ?? (parts.value.kinds as Record<string, string>)[type]
