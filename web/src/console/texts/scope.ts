import { pick } from './language'
import en from './en/scope'
import zh from './zh/scope'

/** The texts of the page about who is archived and who agreed. */
export const t = pick(zh, en)
