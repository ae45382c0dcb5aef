import type { RouteRecordRaw } from 'vue-router'

const page = () => import('./SetupPage.vue')

export const routes: RouteRecordRaw[] = [
  // Without a step, the first one that is not done opens.
  { path: '/setup', component: page, meta: { section: 'setup', roles: ['admin'], entry: true } },
  { path: '/setup/:step([0-7])', component: page, props: (to) => ({ step: Number(to.params.step) }), meta: { section: 'setup', roles: ['admin'] } },
]
