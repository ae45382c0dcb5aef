import { pick } from './language'
import en from './en/state'
import zh from './zh/state'

/** The texts of the status, proof and audit pages. */
export const t = pick(zh, en)
