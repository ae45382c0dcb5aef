// The messages on the page: a window of pages that slides over the chat. Nothing
// outside the window is kept, so a long chat takes no more memory than a short one.
import { shallowReactive, shallowRef } from 'vue'
import type { Schemas } from '../../api/client'

export type Message = Schemas['Message']
export type Names = Schemas['Names']

/** Which list of the chat, and its middle. Without around and at the list begins with the newest message. */
export interface Query {
  around?: string
  at?: string
  kinds?: string[]
  revoked?: true
}

/** Where a page ends and the next begins: a page token of the list, or the last message. */
export type Edge = { query: Query; page: string } | { query: Query; beside: string }

/** A page of the chat, oldest message first. */
export interface Page {
  messages: Message[]
  names: Names
  older: Edge | null
  newer: Edge | null
  /** The first message at or after the middle of the query. */
  anchor: string | null
}

/** Reads a page of the API. */
export type Read = (query: Query, page?: string) => Promise<Page>

/** Runs a change of the page so that what the reader sees stays where it is. */
export type Keep = (change: () => void) => Promise<void>

export type End = 'older' | 'newer'
/** more: the search found nothing yet, and the reader may go on. */
export type EndState = '' | 'loading' | 'searching' | 'more' | 'failed'

/** The window has at most this many pages of fifty messages. */
export const pagesMost = 8
/** The newest page grows with the chat, up to this size. */
const growMost = 100
/** Empty pages are followed this often before the reader is asked. */
const emptyMost = 10

export class Timeline {
  /** The window, oldest page first. A change replaces the list. */
  readonly pages = shallowRef<Page[]>([])
  readonly ends = shallowReactive<Record<End, EndState>>({ older: '', newer: '' })
  readonly error = shallowRef<unknown>()
  readonly people = shallowReactive(new Map<string, Names['people'][string]>())
  private query: Query = {}
  /** Answers to questions of an earlier turn are dropped. */
  private turn = 0

  constructor(
    private readonly read: Read,
    private readonly keep: Keep,
  ) {}

  /**
   * Shows the chat from the newest message, a time or a message. Returns the message
   * of the time or id; null at the newest end or after a failure.
   */
  async open(query: Query): Promise<string | null> {
    const turn = ++this.turn
    this.query = query
    Object.assign(this.ends, { older: 'loading', newer: '' })
    this.error.value = undefined
    try {
      let page = await this.read(query)
      for (let n = 0; n < emptyMost && page.messages.length === 0 && page.older && turn === this.turn; n++) {
        this.ends.older = 'searching'
        page = await this.beyond(page.older, 'older')
      }
      if (turn !== this.turn) return null
      this.learn(page.names)
      this.pages.value = [page]
      this.ends.older = page.messages.length === 0 && page.older ? 'more' : ''
      return page.anchor
    } catch (e) {
      if (turn === this.turn) this.fail('older', e)
      return null
    }
  }

  /** Where the chat goes on at an end of the window; null at its end. */
  edge(end: End): Edge | null {
    return (end === 'older' ? this.pages.value[0]?.older : this.pages.value.at(-1)?.newer) ?? null
  }

  /** Whether the window holds the newest message. */
  get atNewest(): boolean {
    return this.pages.value.length > 0 && this.edge('newer') === null
  }

  /** Adds a page at an end, and drops a page of a full window at the other end. */
  async extend(end: End): Promise<void> {
    let edge = this.edge(end)
    if (!edge || this.ends[end] === 'loading' || this.ends[end] === 'searching') return
    const turn = this.turn
    this.ends[end] = 'loading'
    try {
      for (let n = 1; ; n++) {
        const page = await this.beyond(edge, end)
        if (turn !== this.turn) return
        const next: Edge | null = page[end]
        if (page.messages.length > 0 || !next || n === emptyMost) {
          this.learn(page.names)
          await this.keep(() => this.add(page, end))
          if (turn === this.turn) this.ends[end] = page.messages.length === 0 && next ? 'more' : ''
          return
        }
        this.ends[end] = 'searching'
        edge = next
      }
    } catch (e) {
      if (turn === this.turn) this.fail(end, e)
    }
  }

  /**
   * Takes in the newest page of the chat: new messages, and what became of known ones.
   * Returns how many messages are new. A window that does not reach the newest message
   * learns only that there is more.
   */
  async refresh(): Promise<number> {
    const turn = this.turn
    if (this.query.revoked || this.query.kinds) return 0
    const newest = await this.read({})
    if (turn !== this.turn) return 0
    this.learn(newest.names)
    const here = new Map(this.pages.value.flatMap((page) => page.messages.map((m) => [m.id, m])))
    const fresh = newest.messages.filter((m) => !here.has(m.id))
    const changed = new Map(newest.messages.flatMap((m) => (here.has(m.id) && differs(here.get(m.id)!, m) ? [[m.id, m] as const] : [])))
    if (!this.atNewest) {
      await this.keep(() => this.replace(changed))
      return 0
    }
    if (fresh.length === 0 && changed.size === 0) return 0
    await this.keep(() => {
      this.replace(changed)
      // Without a message in common there is a stretch between the window and the
      // newest page, so the window ends where it ends now.
      const joins = fresh.length < newest.messages.length || this.pages.value.every((page) => page.messages.length === 0)
      if (joins) this.append(fresh)
      else this.endAt(this.pages.value.at(-1)!)
    })
    return fresh.length
  }

  /** Puts a message in place of its shorter form. */
  async show(message: Message): Promise<void> {
    if (message.names) this.learn(message.names)
    await this.keep(() => this.replace(new Map([[message.id, message]])))
  }

  private async beyond(edge: Edge, end: End): Promise<Page> {
    if ('page' in edge) return this.read(edge.query, edge.page)
    const page = await this.read({ ...edge.query, around: edge.beside })
    const at = page.messages.findIndex((m) => m.id === edge.beside)
    const messages = at < 0 ? page.messages : end === 'older' ? page.messages.slice(0, at) : page.messages.slice(at + 1)
    return { ...page, messages }
  }

  private add(page: Page, end: End) {
    const pages = [...this.pages.value]
    const here = new Set(pages.flatMap((p) => p.messages.map((m) => m.id)))
    const messages = page.messages.filter((m) => !here.has(m.id))
    if (messages.length > 0) {
      if (end === 'older') pages.unshift({ ...page, messages })
      else pages.push({ ...page, messages })
    } else {
      const at = end === 'older' ? 0 : pages.length - 1
      pages[at] = { ...pages[at]!, [end]: page[end] }
    }
    while (pages.length > pagesMost) {
      if (end === 'newer') pages.shift()
      else {
        pages.pop()
        this.endAt(pages.at(-1)!)
      }
    }
    this.pages.value = pages
  }

  /** Makes a page end before messages that the window does not hold. */
  private endAt(page: Page) {
    page.newer ??= { query: this.filters(), beside: page.messages.at(-1)!.id }
    this.pages.value = [...this.pages.value]
  }

  /** Adds messages at the newest end. */
  private append(fresh: Message[]) {
    if (fresh.length === 0) return
    const pages = [...this.pages.value]
    const last = pages.at(-1)!
    if (last.messages.length > 0 && last.messages.length + fresh.length > growMost) {
      const older: Edge = { query: this.filters(), beside: fresh[0]!.id }
      pages[pages.length - 1] = { ...last, newer: { query: this.filters(), beside: last.messages.at(-1)!.id } }
      pages.push({ ...last, messages: fresh, older, newer: null })
    } else pages[pages.length - 1] = { ...last, messages: [...last.messages, ...fresh] }
    if (pages.length > pagesMost) pages.shift()
    this.pages.value = pages
  }

  private replace(changed: ReadonlyMap<string, Message>) {
    if (changed.size === 0) return
    this.pages.value = this.pages.value.map((page) =>
      page.messages.some((m) => changed.has(m.id)) ? { ...page, messages: page.messages.map((m) => changed.get(m.id) ?? m) } : page,
    )
  }

  /** The query without its middle. */
  filters(): Query {
    const { kinds, revoked } = this.query
    return { ...(kinds && { kinds }), ...(revoked && { revoked }) }
  }

  private learn(names: Names) {
    for (const [id, about] of Object.entries(names.people)) {
      const known = this.people.get(id)
      // An equal name changes nothing, so that no row is drawn again.
      if (known?.name !== about.name || known.kind !== about.kind) this.people.set(id, about)
    }
  }

  private fail(end: End, e: unknown) {
    this.error.value = e
    this.ends[end] = 'failed'
  }
}

/** Whether something of a message changed that the page shows. Its words never change. */
function differs(x: Message, y: Message): boolean {
  const state = (m: Message) => JSON.stringify([m.revoked, m.content.files.map(({ copy }) => [copy.state, copy.link_path])])
  return state(x) !== state(y)
}
