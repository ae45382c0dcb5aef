// The API as the pages use it: with the token of the person, in the language of
// the page, and cached by vue-query.
import { QueryClient } from '@tanstack/vue-query'
import { createClient, Failure } from '../api/client'
import { person, renewOrExpire, token } from './auth/session'
import { heard } from './connection'
import { languageTag } from './texts/language'

export { compareSeqs, data, Failure, seq, type Schemas, type Seq } from '../api/client'

export const api = createClient({ token, language: languageTag, renew: renewOrExpire })
api.use({
  onResponse: () => heard(true),
  // A request that the page itself gave up says nothing of the archive.
  onError: ({ error }) => (error instanceof DOMException ? undefined : heard(false)),
})

/** The path parameter of every call. */
export const corp = () => ({ corpid: person.value.corp })

/** The calls that may succeed when they are repeated. */
const passing = (e: unknown) => e instanceof Failure && (e.status === 0 || e.status === 429 || e.status >= 500)

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A lost connection is a failure that the page shows, not a silent wait.
      networkMode: 'always',
      retry: (count, e) => count < 3 && passing(e),
      // 1, 2 and 4 seconds, spread so that many pages do not return together.
      retryDelay: (count, e) => ((e instanceof Failure && e.retryAfter) || 2 ** count) * 1000 * (0.75 + Math.random() / 2),
      // Each reading of a chat is recorded, so no page reads one without being asked.
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      staleTime: 10_000,
    },
    mutations: { networkMode: 'always', retry: false },
  },
})
