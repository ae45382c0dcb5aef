// The addresses of the console. Each folder of pages declares its own.
import { nextTick } from 'vue'
import { createRouter, createWebHistory, type NavigationGuardReturn, type RouteLocationNormalized, type Router } from 'vue-router'
import { may, renewalIsDue, signIn } from './auth/session'
import { onOpen, tell } from './auth/embed'
import { routes as chats } from './chats/routes'
import NotFound from './NotFound.vue'
import { routes as proof } from './proof/routes'
import { routes as scope } from './scope/routes'
import { routes as setup } from './setup/routes'
import { routes as status } from './status/routes'
import { isDay, today } from './texts/format'
import { t } from './texts/frame'
import type { Role } from './auth/person'

/** The pages that the main navigation leads to. */
export type Section = 'setup' | 'chats' | 'status' | 'scope' | 'proof' | 'audit'

declare module 'vue-router' {
  interface RouteMeta {
    /** The section that a page belongs to. */
    section?: Section
    /** Who may open the page; a service may open every page. */
    roles?: Role[]
    /** The address of the navigation's link, on the first page of a section. */
    entry?: boolean
    /** The title of the page; the section's name if it has none. */
    title?: () => string
  }
}

export let router: Router

/** Makes the router. It reads the address of the page, which must be final. */
export function makeRouter(): Router {
  router = createRouter({
    history: createWebHistory('/console/'),
    routes: [
      ...chats,
      ...setup,
      ...status,
      ...scope,
      ...proof,
      // An address that ends in a slash is avoided: see docs/console.md.
      { path: '/', redirect: '/start' },
      { path: '/start', component: NotFound, beforeEnter: () => home() ?? true },
      { path: '/:rest(.*)*', name: 'missing', component: NotFound },
    ],
    scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
  })
  router.beforeEach(admit)
  router.afterEach(arrive)
  onOpen((path) => void router.push(path))
  return router
}

/** The sections that the person may open, with their addresses. */
export function sections(): { section: Section; path: string }[] {
  return router
    .getRoutes()
    .filter((r) => r.meta.entry && may(...(r.meta.roles ?? [])))
    .map((r) => ({ section: r.meta.section!, path: r.path }))
    .sort((a, b) => order.indexOf(a.section) - order.indexOf(b.section))
}

const order: Section[] = ['status', 'chats', 'setup', 'scope', 'proof', 'audit']

/** Where a person begins: with the set-up who sets up, else with the chats. */
function home(): string | undefined {
  const open = sections()
  return (['setup', 'chats', 'status', 'proof', 'audit'] as Section[]).map((s) => open.find((o) => o.section === s)?.path).find(Boolean)
}

function admit(to: RouteLocationNormalized): NavigationGuardReturn {
  if (renewalIsDue()) {
    void signIn({ quiet: true, to: router.resolve(to.fullPath).href })
    return false
  }
  // An address of another role's page, and of a day that does not exist or has not come, is treated like one that
  // does not exist.
  const { day } = to.params
  const noDay = typeof day === 'string' && (!isDay(day) || day > today.value)
  if (noDay || (to.meta.roles && !may(...to.meta.roles))) return { name: 'missing', params: { rest: to.path.slice(1).split('/') }, query: to.query }
  return true
}

async function arrive(to: RouteLocationNormalized, from: RouteLocationNormalized) {
  const stays = from.matched.length > 0 && to.path === from.path
  const name = to.meta.title?.() ?? (to.meta.section && t.value.pages[to.meta.section])
  // A chat has given itself the names of its people as title.
  if (!stays) document.title = name ? `${name} · ${t.value.product}` : t.value.product
  tell('opened', { path: to.fullPath, title: document.title })
  if (stays || from.matched.length === 0) return
  // The focus goes to the heading, so that a screen reader says where it is.
  await nextTick()
  focusHeading()
}

/** Moves the focus to the heading again after it changed, unless the reader has gone on. */
export function repeatHeading() {
  const at = document.activeElement
  if (at === document.body || at === document.querySelector('main h1')) focusHeading()
}

function focusHeading() {
  const heading = document.querySelector<HTMLElement>('main h1')
  if (!heading) return
  heading.tabIndex = -1
  heading.focus({ preventScroll: true })
}
