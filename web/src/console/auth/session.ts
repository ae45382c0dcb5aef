// The session of the person who uses the console. The tokens are in this
// module's memory only: a page that is loaded again asks the issuer again, which
// is one quick redirect for a person whom the issuer knows.
import { computed, ref, shallowReactive } from 'vue'
import { embedded, parentToken } from './embed'
import { finish, isCallback, redirect, refresh, refused, signedInBefore, signOut as leave, type Tokens } from './oidc'
import { personOf, type Person, type Role } from './person'

type State =
  | 'starting'
  | 'out' // nobody is signed in
  | 'in'
  | 'expired' // the page stays as it is, under a panel
  | 'failed' // signing in did not work; why says how

export const session = shallowReactive<{ state: State; person?: Person; why?: string }>({ state: 'starting' })

/** The person. Pages exist only while a person is signed in. */
export const person = computed(() => session.person!)

export const may = (...roles: Role[]) => !!session.person?.roles.some((r) => r === 'service' || roles.includes(r))

let tokens: Tokens | undefined
export const token = () => tokens?.access

// Forms that hold what a person has typed. A redirect would lose it.
const unsaved = ref(0)

/** Says that a form holds unsaved input. Returns the function that ends this. */
export function holdInput(): () => void {
  unsaved.value++
  let ended = false
  return () => {
    if (!ended) unsaved.value--
    ended = true
  }
}

/** How long before the end of a token the next one is asked for. */
const margin = 60_000

/** Whether start will leave the page for the issuer's. */
export const leaves = () => !embedded && !isCallback() && signedInBefore()

/** Finds out who uses the page. It may leave the page for the issuer's. */
export async function start(): Promise<void> {
  if (embedded) {
    const given = await parentToken()
    if (given) accept({ access: given })
    else session.state = 'failed'
    return
  }
  if (isCallback()) {
    const result = await finish()
    if ('tokens' in result) accept(result.tokens)
    else if (result.error === refused) session.state = 'out'
    else Object.assign(session, { state: 'failed', why: result.error })
    return
  }
  if (leaves()) await signIn({ quiet: true })
  else session.state = 'out'
}

/** Leaves for the issuer's page, and comes back to the given address. */
export async function signIn({ quiet = false, to = location.pathname + location.search + location.hash } = {}): Promise<void> {
  const error = await redirect(to, quiet)
  if (error) Object.assign(session, { state: 'failed', why: error })
}

function accept(next: Tokens) {
  tokens = next
  session.person = personOf(next.access, next.name)
  session.state = 'in'
  plan()
}

let timer: ReturnType<typeof setTimeout> | undefined
let renewing: Promise<boolean> | undefined

/** Renews the token before it ends, and shows its end otherwise. */
function plan() {
  clearTimeout(timer)
  const left = session.person!.until - Date.now()
  // A timer of more than 24 days would fire at once.
  timer = setTimeout(async () => {
    if (!(await renew())) waitForEnd()
  }, Math.min(Math.max(left - margin, 1000), 2 ** 31 - 1))
}

function waitForEnd() {
  clearTimeout(timer)
  timer = setTimeout(() => {
    if (session.state === 'in') session.state = 'expired'
  }, Math.max(session.person!.until - Date.now(), 0))
}

/** Asks for a new token. Calls at the same time share one request. */
export function renew(): Promise<boolean> {
  renewing ??= ask().finally(() => (renewing = undefined))
  return renewing
}

async function ask(): Promise<boolean> {
  const next = embedded ? await parentToken().then((access) => access && { access }) : tokens && (await refresh(tokens))
  if (next && personOf(next.access).until > Date.now()) {
    accept(next)
    return true
  }
  return false
}

/** Called when the gateway refuses the token. */
export async function renewOrExpire(): Promise<boolean> {
  if (await renew()) return true
  if (session.state === 'in') session.state = 'expired'
  return false
}

/**
 * Without a refresh token the next token comes by a redirect. The moment for it
 * is a change of the page while no form holds input.
 */
export const renewalIsDue = () =>
  session.state === 'in' && !embedded && !tokens?.refresh && !unsaved.value && session.person!.until - Date.now() < margin

export async function signOut(): Promise<void> {
  clearTimeout(timer)
  await leave(tokens?.identity)
}
