import type { RouteRecordRaw } from 'vue-router'

export const routes: RouteRecordRaw[] = [
  { path: '/proof', component: () => import('./ProofPage.vue'), meta: { section: 'proof', roles: ['auditor'], entry: true } },
  {
    path: '/proof/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./DayPage.vue'),
    props: (to) => ({ day: String(to.params.day) }),
    meta: { section: 'proof', roles: ['auditor'] },
  },
  { path: '/audit', component: () => import('./AuditPage.vue'), meta: { section: 'audit', roles: ['auditor', 'admin'], entry: true } },
  {
    path: '/audit/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./AuditPage.vue'),
    props: (to) => ({ day: String(to.params.day) }),
    meta: { section: 'audit', roles: ['auditor', 'admin'] },
  },
]
