// What the archive's doctor says of the set-up: one answer for every step.
import { useQuery } from '@tanstack/vue-query'
import { computed, type MaybeRef, unref } from 'vue'
import { api, corp, data, type Schemas } from '../api'
import { person } from '../auth/session'

export type Check = Schemas['SetupCheck']
export type Mark = 'todo' | 'waiting' | 'done' | 'redo'

export type Answer = Schemas['Doctor']

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

/** The check that says whether a step is done. The others of a step only say what is wrong. */
const deciding: Check['check'][] = ['corp', 'scope', 'secret', 'key', 'trusted_ip', 'switch_on', 'chats', 'app']

/** Checks of what a company may leave out. Strangers' requests can make a callback's bad. */
const optional: Check['check'][] = ['callback', 'app_callback']

/** Causes that wait for the admin's hand, and not for WeCom. */
const undone: (Check['cause'] | undefined)[] = ['secret_missing', 'key_unclaimed', 'switched_off']

/** The mark of a step of a registered company. */
export function markOf(step: number, checks: Check[]): Mark {
  const mine = checks.filter((c) => c.step === step)
  if (mine.some((c) => c.state === 'bad' && !optional.includes(c.check))) return 'redo'
  const main = mine.find((c) => c.check === deciding[step])
  // The company is registered; WeCom confirms the corpid later.
  if (step === 0 || main?.state === 'ok') return 'done'
  return !main || main.state === 'off' || undone.includes(main.cause) ? 'todo' : 'waiting'
}
