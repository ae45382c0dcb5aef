import './ui'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createApp, watch } from 'vue'
import { loadConfig } from '../api/config'
import App from './App.vue'
import { queries } from './api'
import { start } from './auth/session'
import { watchVersion } from './outdated'
import { makeRouter } from './router'
import StartFailure from './StartFailure.vue'
import { language } from './texts/language'

watchVersion()
// The archive's own words come in the language of the page.
watch(language, () => void queries.invalidateQueries())
try {
  await loadConfig()
  // The address is final before the router reads it.
  await start()
  createApp(App).use(VueQueryPlugin, { queryClient: queries }).use(makeRouter()).mount('#app')
} catch {
  createApp(StartFailure).mount('#app')
}
