import type { RouteRecordRaw } from 'vue-router'

const page = () => import('./ScopePage.vue')

export const routes: RouteRecordRaw[] = [
  { path: '/scope', component: page, meta: { section: 'scope', roles: ['admin', 'auditor'], entry: true } },
  {
    path: '/scope/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: page,
    props: (to) => ({ day: String(to.params.day) }),
    meta: { section: 'scope', roles: ['admin', 'auditor'] },
  },
]
