import { pick } from './language'
import en from './en/frame'
import zh from './zh/frame'

/** The texts of the frame and of what all pages share. */
export const t = pick(zh, en)
