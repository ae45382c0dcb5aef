// A program of the SCRM's backend that uses the published client. The test compiles
// it as its users would, and runs nothing of it.
import { compareSeqs, createClient, data, Failure, seq, type Announcement, type Schemas, type Seq } from '@yunduo-scrm/archive-web/client'

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

/** A seq of an answer goes back into a request as it is. What a person typed is read first. */
export async function verifyFrom(typed: string): Promise<Seq | null> {
  const page = await data(client.GET('/v1/corps/{corpid}/ledger', { params: { path: { corpid }, query: { from: seq(typed), order: 'desc', limit: 1 } } }))
  const first = page.rows.map((r) => r.after).sort(compareSeqs)[0] ?? '0'
  const job = await data(client.POST('/v1/corps/{corpid}/replays', { params: { path: { corpid } }, body: { verify: true, from_seq: first } }))
  return job.to_seq
}

/** What a verification leaves out is known from the kind of the job. */
export function covers(job: Schemas['ReplayInput']): string {
  return job.verify ? 'everything' : job.set_aside_only ? 'what is set aside' : `version ${job.publickey_ver ?? 'any'}`
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
declare const day: string
// @ts-expect-error: a day is no seq
void client.GET('/v1/corps/{corpid}/ledger', { params: { path: { corpid }, query: { from: day } } })
// @ts-expect-error: a number cannot hold every seq
void client.POST('/v1/corps/{corpid}/replays', { params: { path: { corpid } }, body: { from_seq: 4711 } })
// @ts-expect-error: a verification leaves nothing out
void client.POST('/v1/corps/{corpid}/replays', { params: { path: { corpid } }, body: { verify: true, set_aside_only: true } })
// @ts-expect-error: no such order
void client.GET('/v1/corps/{corpid}/ledger', { params: { path: { corpid }, query: { order: 'up' } } })
