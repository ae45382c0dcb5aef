// Links to the copies of files. Requests that come together are asked together, and a
// link is used again while it works.
import { api, corp, data, Failure } from '../api'
import type { FileOf } from '../parts/host'
import type { FileLink } from '../parts/types'

/** A link is replaced this long before its end. */
const margin = 30_000
const most = 50

interface Wanted {
  file: FileOf
  resolve: (link: FileLink) => void
  reject: (e: unknown) => void
}

const kept = new Map<string, FileLink>()
let wanted: Wanted[] = []
const key = (file: FileOf) => `${file.message}/${file.n}`

/** The link that works now; afresh asks for another one. */
export function linkTo(file: FileOf, afresh = false): Promise<FileLink> {
  const known = kept.get(key(file))
  if (known && !afresh && Date.parse(known.expires_at) - Date.now() > margin) return Promise.resolve(known)
  return new Promise((resolve, reject) => {
    if (wanted.length === 0) setTimeout(ask, 30)
    wanted.push({ file, resolve, reject })
  })
}

async function ask() {
  const now = wanted.slice(0, most)
  wanted = wanted.slice(most)
  if (wanted.length > 0) setTimeout(ask, 0)
  try {
    const body = { files: now.map(({ file }) => ({ message: file.message, n: file.n })) }
    const { links } = await data(api.POST('/v1/corps/{corpid}/links', { params: { path: corp() }, body }))
    now.forEach((w, n) => {
      const { link, problem } = links[n]!
      if (!link) return w.reject(new Failure(problem?.status ?? 500, problem ?? undefined))
      if (kept.size > 1000) kept.delete(kept.keys().next().value!)
      kept.set(key(w.file), link)
      w.resolve(link)
    })
  } catch (e) {
    for (const w of now) w.reject(e)
  }
}

/** Saves a copy: the link serves it as an attachment, so the page stays. */
export async function save({ message, n }: FileOf): Promise<void> {
  const link = await data(api.GET('/v1/corps/{corpid}/messages/{id}/files/{n}', { params: { path: { ...corp(), id: message, n: String(n) }, query: { download: true } } }))
  follow(link.url)
}

export function follow(url: string, name = '') {
  const a = document.createElement('a')
  a.href = url
  a.rel = 'noopener noreferrer'
  a.download = name
  a.click()
}
