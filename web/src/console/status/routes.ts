import type { RouteRecordRaw } from 'vue-router'

export const routes: RouteRecordRaw[] = [
  { path: '/status', component: () => import('./StatusPage.vue'), meta: { section: 'status', roles: ['admin', 'auditor'], entry: true } },
]
