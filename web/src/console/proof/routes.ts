import type { RouteRecordRaw } from 'vue-router'
import { seqOf } from './rows'

export const routes: RouteRecordRaw[] = [
  // ?seq= leads to the day and the row that have the seq.
  { path: '/proof', component: () => import('./ProofPage.vue'), props: (to) => ({ seq: seqOf(to.query.seq) }), meta: { section: 'proof', roles: ['auditor'], entry: true } },
  {
    path: '/proof/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./DayPage.vue'),
    props: (to) => ({ day: String(to.params.day), seq: seqOf(to.query.seq) }),
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
