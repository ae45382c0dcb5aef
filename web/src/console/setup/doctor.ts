// What the archive's doctor says of the set-up: one answer for every step.
import { useQuery } from '@tanstack/vue-query'
import { computed, type MaybeRef, unref } from 'vue'
import { api, corp, data, type Schemas } from '../api'
import { person } from '../auth/session'
import { t } from '../texts/setup'

export type Check = Schemas['SetupCheck']
export type Mark = Schemas['Step']['state']

export type Answer = Schemas['Doctor']

/** The word for a state of a check. Of losses that do not exist none says that they work. */
export function stateOf(check: Check['check'], state: Check['state']): string {
  const { ok, state: words } = t.value.checks
  return state === 'ok' && check in ok ? ok[check as keyof typeof ok] : words[state]
}

/** interval says from the last answer when to ask again. */
export function useDoctor(options: { enabled?: () => boolean; interval: MaybeRef<(answer?: Answer) => number> }) {
  // Another interval holds from the moment that it is given.
  const refetchInterval = computed(() => {
    const of = unref(options.interval)
    return (query: { state: { data?: Answer } }) => of(query.state.data)
  })
  return useQuery({
    queryKey: ['setup', person.value.corp, 'doctor'],
    queryFn: () => data(api.GET('/v1/corps/{corpid}/doctor', { params: { path: corp() } })),
    enabled: options.enabled ?? true,
    refetchInterval,
    refetchOnWindowFocus: true,
  })
}
