import type { RouteRecordRaw } from 'vue-router'
import { t } from '../texts/chats'

const ChatsPage = () => import('./ChatsPage.vue')
const meta = { section: 'chats', roles: ['reader', 'auditor'] } satisfies RouteRecordRaw['meta']

export const routes: RouteRecordRaw[] = [
  { path: '/chats', component: ChatsPage, meta: { ...meta, entry: true } },
  // ?of= is the chosen party or day: the id of a member may hold a dot, and the server takes such a path for a file.
  { path: '/chats/:scope(members|customers|rooms|unplaced|days)', name: 'list', component: ChatsPage, meta },
  // ?as= is the party whose list the reader came from, ?m= a message, ?panel= what is beside the chat.
  { path: '/c/:conversation', name: 'chat', component: ChatsPage, meta: { ...meta, title: () => t.value.title } },
  // The address that the SCRM makes: ?member= and ?external_contact=, or ?room=, or ?message=.
  { path: '/open', component: () => import('./OpenPage.vue'), meta },
]
