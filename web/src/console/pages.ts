// All pages of the console, and what they share.
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createApp, watch } from 'vue'
import App from './App.vue'
import { queries } from './api'
import { makeRouter } from './router'
import StartFailure from './StartFailure.vue'
import { language } from './texts/language'

/** Shows the page of the address to the person. */
export function show() {
  // The archive's own words come in the language of the page.
  watch(language, () => void queries.invalidateQueries())
  createApp(App).use(VueQueryPlugin, { queryClient: queries }).use(makeRouter()).mount('#app')
}

/** Says that the console cannot start. */
export const showFailure = () => createApp(StartFailure).mount('#app')
