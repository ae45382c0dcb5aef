// A typed client of the archive's API. schema.d.ts is generated from
// openapi.yaml by `npm run schema`.
import createFetch, { type Client as FetchClient, type Middleware } from 'openapi-fetch'
import type { components, paths } from './schema.js'

export type Schemas = components['schemas']
export type Client = FetchClient<paths>

/** A number of 64 bits, as a text of digits. BigInt(seq) counts with it. */
export type Seq = Schemas['Seq']

/** Reads a text as a seq. Throws a RangeError for a text that is none. */
export function seq(text: string | bigint): Seq {
  const digits = String(text)
  if (!/^(0|[1-9][0-9]*)$/.test(digits) || BigInt(digits) > 0xffff_ffff_ffff_ffffn) throw new RangeError(`not a seq: ${digits.slice(0, 40)}`)
  return digits as Seq
}

/** Compares two seqs for sorting. Operators such as < compare texts, not numbers. */
export const compareSeqs = (a: Seq, b: Seq): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)

/** An event of the archive on its event bus, as a rule delivers it. */
export type Announcement = Schemas['ConversationUpdated'] | Schemas['ConsentChanged'] | Schemas['SetupChanged']

export interface Options {
  /** The address of the API without a path. Empty means the address of the page. */
  base?: string
  /** Returns the token of the next request. */
  token: () => string | undefined
  /** Returns the language of problems: zh-CN or en. */
  language: () => string
  /**
   * Is called when the gateway refuses the token. Returns true if there is a new
   * token; the request is then sent once more.
   */
  renew?: () => Promise<boolean>
  fetch?: (request: Request) => Promise<Response>
}

/** Makes a client of the API. */
export function createClient(options: Options): Client {
  const client = createFetch<paths>({
    baseUrl: options.base ?? '',
    fetch: withRenewal(options),
    // A list in a query is one text with commas.
    querySerializer: { array: { style: 'form', explode: false } },
  })
  client.use({
    onRequest({ request }) {
      request.headers.set('accept-language', options.language())
    },
  } satisfies Middleware)
  return client
}

function withRenewal({ token, renew, fetch: send = (request) => fetch(request) }: Options) {
  const authorized = (request: Request) => {
    const value = token()
    if (value) request.headers.set('authorization', `Bearer ${value}`)
    return send(request)
  }
  return async (request: Request) => {
    const again = renew && request.clone()
    const answer = await authorized(request)
    // A problem of the archive says which claim a token lacks. A new token would
    // lack it too.
    if (answer.status !== 401 || !again || isProblem(answer)) return answer
    return (await renew!()) ? authorized(again) : answer
  }
}

const isProblem = (answer: Response) => !!answer.headers.get('content-type')?.startsWith('application/problem+json')

/** An answer that is no success, or no answer. */
export class Failure extends Error {
  override name = 'Failure'
  constructor(
    /** 0 means that no answer came. */
    readonly status: number,
    /** The archive's own description; undefined if the gateway refused. */
    readonly problem?: Schemas['Problem'],
    /** Seconds after which the server asks to try again. */
    readonly retryAfter?: number,
  ) {
    super(problem?.title ?? `status ${status}`)
  }
}

interface Result<T> {
  data?: T
  error?: unknown
  response: Response
}

/** Returns the data of a call, or throws a Failure. */
export async function data<T>(call: Promise<Result<T>>): Promise<T> {
  let result: Result<T>
  try {
    result = await call
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    throw new Failure(0)
  }
  const { response, error } = result
  if (response.ok) return result.data as T
  const wait = Number(response.headers.get('retry-after'))
  throw new Failure(response.status, isProblem(response) ? (error as Schemas['Problem']) : undefined, wait > 0 ? wait : undefined)
}
