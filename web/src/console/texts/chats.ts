import { pick } from './language'
import en from './en/chats'
import zh from './zh/chats'

/** The texts of the chat pages. */
export const t = pick(zh, en)
