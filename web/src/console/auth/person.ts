// Who is signed in, as the token says. The token is not verified here: the
// gateway does that for every call. The page only decides what to show.
export type Role = 'admin' | 'reader' | 'auditor' | 'service'

export interface Person {
  subject: string
  /** The name in the identity token; the subject if it has none. */
  name: string
  corp: string
  roles: Role[]
  /** The members whose messages the person sees; undefined for all. */
  staff?: string[]
  /**
   * When the token expires by the clock of this machine, in milliseconds. That
   * clock may be wrong, so the length of the token's life is what counts.
   */
  until: number
}

const known: Role[] = ['admin', 'reader', 'auditor', 'service']

/** Reads the claims of a token. A text that is no token has no claims. */
export function personOf(token: string, name?: string): Person {
  const claims = claimsOf(token)
  const roles = words(claims.role).filter((r): r is Role => known.includes(r as Role))
  const staff = 'staff' in claims ? words(claims.staff) : undefined
  return {
    subject: text(claims.sub),
    name: name || text(claims.name) || text(claims.sub),
    corp: text(claims.corp),
    roles,
    ...(staff && !(staff.length === 1 && staff[0] === '*') ? { staff } : {}),
    until: typeof claims.exp !== 'number' ? 0 : typeof claims.iat === 'number' ? Date.now() + (claims.exp - claims.iat) * 1000 : claims.exp * 1000,
  }
}

function claimsOf(token: string): Record<string, unknown> {
  try {
    const body = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return {}
  }
}

const text = (v: unknown) => (typeof v === 'string' ? v : '')

/** A claim of several words: a list, or a text with blanks, commas or brackets. */
const words = (v: unknown): string[] =>
  (Array.isArray(v) ? v.map(String).join(' ') : text(v)).split(/[\s,，[\]"]+/).filter(Boolean)
