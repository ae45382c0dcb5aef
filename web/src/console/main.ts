// The beginning of the console: it finds out who uses the page. A person whom the issuer
// may know leaves at once for the issuer and comes back, so the pages are in a script of
// their own, which only a page that stays runs.
import './ui/styles'
import { loadConfig } from '../api/config'
import { leaves, start } from './auth/session'
import { watchVersion } from './outdated'

watchVersion()
const fetchPages = () => import('./pages')
// A page that stays fetches its script while the configuration and the tokens come.
const early = leaves() ? undefined : fetchPages()
// The address is final before the router reads it.
const started = await loadConfig().then(start).then(() => true, () => false)
// If the script is unavailable, watchVersion reloads the page once, and pages is undefined.
const pages: typeof import('./pages') | undefined = await (early ?? fetchPages())
if (!pages) document.querySelector('#app')!.textContent = '页面无法加载，请刷新重试。 The page could not be loaded. Please reload it.'
else if (started) pages.show()
else pages.showFailure()
