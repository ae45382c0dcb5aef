import { pick } from './language'
import en from './en/parts'
import zh from './zh/parts'

/** The texts of messages' parts. */
export const t = pick(zh, en)
