// Signing in at the OpenID Connect issuer: the code flow with PKCE, by redirects
// of the whole page. No hidden frame is used, because browsers refuse it the
// issuer's cookies.
import * as oauth from 'oauth4webapi'
import { config } from '../../api/config'

export interface Tokens {
  access: string
  refresh?: string
  /** For signing out. */
  identity?: string
  name?: string
}

// What has to survive the redirect. No token is ever stored.
interface Pending {
  verifier: string
  state: string
  nonce: string
  to: string
}
const pendingKey = 'yunduo-archive:signing-in'
const beforeKey = 'yunduo-archive:signed-in'

/** The issuer knows nobody in this browser. */
export const refused = 'login_required'

// Tokens come from the issuer's own answer a moment ago, and the clock of this
// machine may be wrong by hours. The gateway checks every token by a good clock.
const client = (): oauth.Client => ({ client_id: config.client_id, [oauth.clockTolerance]: 86_400 })
const callback = () => `${location.origin}/console/callback`
// Only an issuer on this machine has an address without TLS.
const options = () => ({ [oauth.allowInsecureRequests]: config.issuer.startsWith('http://') })

let server: Promise<oauth.AuthorizationServer> | undefined
function issuer(): Promise<oauth.AuthorizationServer> {
  server ??= discover()
  server.catch(() => (server = undefined))
  return server
}

async function discover() {
  const at = new URL(config.issuer)
  return oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { ...options(), algorithm: 'oidc' }))
}

/** Whether a sign-in succeeded in this browser before. A browser may refuse storage. */
export function signedInBefore(): boolean {
  try {
    return localStorage.getItem(beforeKey) === 'yes'
  } catch {
    return false
  }
}
export const isCallback = () => location.pathname === '/console/callback'

/** Leaves for the issuer's page. Returns the reason if that failed. */
export async function redirect(to: string, quiet: boolean): Promise<string | undefined> {
  let as: oauth.AuthorizationServer
  try {
    as = await issuer()
  } catch {
    return 'unreachable'
  }
  const pending: Pending = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    to,
  }
  try {
    sessionStorage.setItem(pendingKey, JSON.stringify(pending))
  } catch {
    return 'storage'
  }
  const url = new URL(as.authorization_endpoint!)
  const query: Record<string, string> = {
    client_id: config.client_id,
    response_type: 'code',
    redirect_uri: callback(),
    scope: config.scopes,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
    code_challenge_method: 'S256',
    // Some issuers make a JWT for the API only if the request names it.
    audience: config.audience,
    ...(quiet ? { prompt: 'none' } : {}),
  }
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  location.assign(url)
  return new Promise(() => {}) // the page is about to end
}

/** Exchanges the code of the callback for tokens, and restores the address that the person came from. */
export async function finish(): Promise<{ tokens: Tokens } | { error: string }> {
  const kept = sessionStorage.getItem(pendingKey)
  const here = new URL(location.href)
  const pending = kept && (JSON.parse(kept) as Pending)
  sessionStorage.removeItem(pendingKey)
  history.replaceState(null, '', pending ? pending.to : '/console')
  if (!pending) return { error: 'state' }
  try {
    const as = await issuer()
    const parameters = oauth.validateAuthResponse(as, client(), here, pending.state)
    const answer = await oauth.authorizationCodeGrantRequest(as, client(), oauth.None(), parameters, callback(), pending.verifier, options())
    const result = await oauth.processAuthorizationCodeResponse(as, client(), answer, { expectedNonce: pending.nonce, requireIdToken: true })
    localStorage.setItem(beforeKey, 'yes')
    return { tokens: tokensOf(result) }
  } catch (e) {
    localStorage.removeItem(beforeKey)
    if (e instanceof oauth.AuthorizationResponseError || e instanceof oauth.ResponseBodyError) {
      return { error: ['interaction_required', 'consent_required', 'account_selection_required'].includes(e.error) ? refused : e.error }
    }
    return { error: e instanceof TypeError ? 'unreachable' : 'state' }
  }
}

/** Gets the next tokens by the refresh token. Undefined means that there are none. */
export async function refresh(tokens: Tokens): Promise<Tokens | undefined> {
  if (!tokens.refresh) return undefined
  try {
    const as = await issuer()
    const answer = await oauth.refreshTokenGrantRequest(as, client(), oauth.None(), tokens.refresh, options())
    const next = tokensOf(await oauth.processRefreshTokenResponse(as, client(), answer))
    // The issuer may keep the refresh token, the identity and the name.
    return { refresh: tokens.refresh, identity: tokens.identity, name: tokens.name, ...withoutUndefined(next) }
  } catch {
    return undefined
  }
}

function tokensOf(answer: oauth.TokenEndpointResponse): Tokens {
  const claims = oauth.getValidatedIdTokenClaims(answer)
  return withoutUndefined({
    access: answer.access_token,
    refresh: answer.refresh_token,
    identity: answer.id_token,
    name: typeof claims?.name === 'string' ? claims.name : undefined,
  })
}

const withoutUndefined = <T extends object>(o: T) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as T

/** Ends the session at the issuer too, if it can do that. */
export async function signOut(identity?: string): Promise<void> {
  localStorage.removeItem(beforeKey)
  const home = `${location.origin}/console`
  const as = await issuer().catch(() => undefined)
  if (!as?.end_session_endpoint) {
    location.assign(home)
    return
  }
  const url = new URL(as.end_session_endpoint)
  url.searchParams.set('client_id', config.client_id)
  url.searchParams.set('post_logout_redirect_uri', home)
  if (identity) url.searchParams.set('id_token_hint', identity)
  location.assign(url)
}
