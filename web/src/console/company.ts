// The company of the person, and what the archive knows of the person.
import { useQuery } from '@tanstack/vue-query'
import { api, data } from './api'
import { person } from './auth/session'

/** What the archive reads in the token, and the state of the company. */
export function useSession() {
  return useQuery({ queryKey: ['session', person.value.subject, person.value.corp], queryFn: () => data(api.GET('/v1/session')), staleTime: 5 * 60_000, refetchOnWindowFocus: true })
}
