// The company of the person, by name.
import { useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'
import { api, corp, data } from './api'
import { may, person } from './auth/session'

/** The name of the company; its corpid until the name is known. */
export function useCorpName() {
  const { data: about } = useQuery({
    queryKey: ['corp', person.value.corp],
    queryFn: () => data(api.GET('/v1/corps/{corpid}', { params: { path: corp() } })),
    enabled: may('admin'),
    staleTime: Infinity,
  })
  return computed(() => about.value?.name ?? person.value.corp)
}
