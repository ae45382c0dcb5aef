// The language of the page. Texts exist in Chinese and English: texts/zh and
// texts/en hold one file for each page, and the English one has the type of the
// Chinese one, so a missing text does not compile.
import { computed, ref, watchEffect, type ComputedRef } from 'vue'

export type Language = 'zh' | 'en'

const kept = 'yunduo-archive:language'

function first(): Language {
  const asked = new URLSearchParams(location.search).get('lang') ?? read() ?? navigator.language
  return asked.startsWith('en') ? 'en' : asked.startsWith('zh') ? 'zh' : navigator.language.startsWith('zh') ? 'zh' : 'en'
}

// A browser may refuse storage in a frame.
function read(): string | null {
  try {
    return localStorage.getItem(kept)
  } catch {
    return null
  }
}

export const language = ref<Language>(first())

export function setLanguage(value: Language) {
  language.value = value
  try {
    localStorage.setItem(kept, value)
  } catch {
    // The choice then lasts as long as the page.
  }
}

/** The language as HTML and HTTP name it. */
export const languageTag = () => (language.value === 'zh' ? 'zh-CN' : 'en')

watchEffect(() => {
  document.documentElement.lang = languageTag()
})

/** The texts of a page in the language of the page. */
export const pick = <T>(zh: T, en: NoInfer<T>): ComputedRef<T> => computed(() => (language.value === 'zh' ? zh : en))
