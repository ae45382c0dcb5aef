// A program of the SCRM's backend that uses the published client. The test compiles
// it as its users would, and runs nothing of it.
import { createClient, data, Failure, type Announcement, type Schemas } from '@yunduo-scrm/archive-web/client'

const client = createClient({ base: 'https://archive.example.com', token: () => 'token', language: () => 'en' })
const corpid = 'ww0123456789abcdef'

export async function texts(conversation: string): Promise<string[]> {
  const page = await data(
    client.GET('/v1/corps/{corpid}/conversations/{conversation}/messages', {
      params: { path: { corpid, conversation }, query: { limit: 50, kinds: ['text', 'markdown'] } },
    }),
  )
  return page.messages.map((m) => m.content?.text ?? '')
}

export async function saveSecret(secret: string): Promise<Schemas['Setup'] | string> {
  try {
    return (await data(client.PUT('/v1/corps/{corpid}/setup', { params: { path: { corpid } }, body: { secret } }))).setup
  } catch (e) {
    if (e instanceof Failure) return e.problem?.detail ?? `status ${e.status}`
    throw e
  }
}

/** The kind of an announcement tells what its detail has. */
export function about(event: Announcement): string {
  switch (event['detail-type']) {
    case 'conversation.updated':
      return event.detail.conversation
    case 'consent.changed':
      return event.detail.external_contact
    case 'setup.changed':
      return event.detail.check
  }
}

// What the document does not have does not compile.
// @ts-expect-error: no such path
void client.GET('/v1/corps/{corpid}/secrets', { params: { path: { corpid } } })
// @ts-expect-error: the path needs a corpid
void client.GET('/v1/corps/{corpid}/status', {})
// @ts-expect-error: no such order
void client.GET('/v1/corps/{corpid}/ledger', { params: { path: { corpid }, query: { order: 'up' } } })
