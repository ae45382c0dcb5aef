// The console within a page of the SCRM. The page hands over the token:
//
//   console → parent   {type: "yunduo-archive:ready", v: 1}
//   parent → console   {type: "yunduo-archive:token", token, lang?}
//   console → parent   {type: "yunduo-archive:need-token"}   60 s before the token ends
//   parent → console   {type: "yunduo-archive:open", member?, external_contact?, room?, message?}
//   console → parent   {type: "yunduo-archive:opened", path, title}
//
// The console talks to the origins of its configuration only, and ignores every
// other message. docs/console.md tells the other side.
import { config } from '../../api/config'
import { setLanguage } from '../texts/language'

export const embedded = window.parent !== window && new URLSearchParams(location.search).has('embed')

const prefix = 'yunduo-archive:'
/** How long the parent has to answer. */
const patience = 10_000

interface Received {
  type?: unknown
  token?: unknown
  lang?: unknown
  [place: string]: unknown
}

/** What the parent may name to open a chat. */
const places = ['member', 'external_contact', 'room', 'message']

let waiting: ((token: string | undefined) => void)[] = []
let asked = false
let open: (path: string) => void = () => {}

/** Says how the page opens another address. */
export function onOpen(how: (path: string) => void) {
  open = how
}

/**
 * Tells the parent. The browser drops a message to an origin that is not the
 * parent's. Where it says which origin that is, no other one is tried.
 */
export function tell(type: string, content: Record<string, unknown> = {}) {
  if (!embedded) return
  const above = location.ancestorOrigins?.[0]
  for (const origin of config.parents) {
    if (!above || above === origin) window.parent.postMessage({ type: prefix + type, ...content }, origin)
  }
}

function listen() {
  window.addEventListener('message', (event: MessageEvent<Received>) => {
    if (event.source !== window.parent || !config.parents.includes(event.origin) || typeof event.data !== 'object' || event.data === null) return
    const { type, token, lang } = event.data
    if (type === `${prefix}token` && typeof token === 'string') {
      if (lang === 'zh' || lang === 'en') setLanguage(lang)
      const callers = waiting
      waiting = []
      for (const answer of callers) answer(token)
    } else if (type === `${prefix}open`) {
      const named = places.flatMap((name) => (typeof event.data[name] === 'string' ? [[name, event.data[name] as string]] : []))
      open(`/open?${new URLSearchParams(named)}`)
    }
  })
}

/** Asks the parent for a token. Undefined means that it gave none. */
export function parentToken(): Promise<string | undefined> {
  if (config.parents.length === 0) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      waiting = waiting.filter((w) => w !== answer)
      resolve(undefined)
    }, patience)
    const answer = (token: string | undefined) => {
      clearTimeout(timer)
      resolve(token)
    }
    waiting.push(answer)
    if (asked) tell('need-token')
    else {
      asked = true
      listen()
      tell('ready', { v: 1 })
    }
  })
}
