import { pick } from './language'
import en from './en/setup'
import zh from './zh/setup'

/** The texts of the set-up pages. */
export const t = pick(zh, en)
