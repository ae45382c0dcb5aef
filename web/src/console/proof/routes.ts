import type { LocationQuery, RouteRecordRaw } from 'vue-router'
import type { Seq } from '../api'

/** The record that a link leads to, and where its row of the ledger begins. */
function rowOf({ seq, from }: LocationQuery) {
  const isSeq = (value: unknown): value is Seq => typeof value === 'string' && /^\d{1,19}$/.test(value)
  return isSeq(seq) && isSeq(from) ? { seq, from } : {}
}

/** Of which days the readings are, and of whom. */
function readingsOf({ from, viewer, party, conversation }: LocationQuery) {
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  return { from: text(from), viewer: text(viewer), party: text(party), conversation: text(conversation) }
}

export const routes: RouteRecordRaw[] = [
  { path: '/proof', component: () => import('./ProofPage.vue'), meta: { section: 'proof', roles: ['auditor'], entry: true } },
  {
    path: '/proof/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./DayPage.vue'),
    props: (to) => ({ day: String(to.params.day), ...rowOf(to.query) }),
    meta: { section: 'proof', roles: ['auditor'] },
  },
  {
    path: '/proof/record/:seq([1-9]\\d{0,18})',
    component: () => import('./RecordPage.vue'),
    props: true,
    meta: { section: 'proof', roles: ['auditor'] },
  },
  { path: '/proof/events', component: () => import('./EventsPage.vue'), meta: { section: 'proof', roles: ['auditor'] } },
  {
    path: '/proof/events/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./EventsPage.vue'),
    props: (to) => ({ day: String(to.params.day) }),
    meta: { section: 'proof', roles: ['auditor'] },
  },
  // An admin has the keys that most of these records lack.
  { path: '/proof/set-aside', component: () => import('./SetAsidePage.vue'), meta: { section: 'proof', roles: ['auditor', 'admin'] } },
  { path: '/audit', component: () => import('./AuditPage.vue'), props: (to) => readingsOf(to.query), meta: { section: 'audit', roles: ['auditor', 'admin'], entry: true } },
  {
    path: '/audit/:day(\\d{4}-\\d\\d-\\d\\d)',
    component: () => import('./AuditPage.vue'),
    props: (to) => ({ day: String(to.params.day), ...readingsOf(to.query) }),
    meta: { section: 'audit', roles: ['auditor', 'admin'] },
  },
]
