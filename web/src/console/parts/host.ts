// What a part needs of the page around it. A page provides a Host once and a Shown
// around each message; the parts know neither the page nor the API.
import { inject, type InjectionKey } from 'vue'
import type { Content, FileLink, NamedFile, RecordPart } from './types'

/** A file of a message. */
export interface FileOf {
  message: string
  n: number
  file: NamedFile
}

/** A sound that an <audio> plays. */
export interface Sound {
  url: string
  /** False if the file is cut off or damaged. It plays up to that place. */
  complete: boolean
  close(): void
}

export interface Host {
  /** The name of a person; undefined if it is unknown. */
  nameOf(id: string): string | undefined
  /** A link to the file's copy. afresh asks for a new link although the last one may still work. */
  link(file: FileOf, afresh?: boolean): Promise<FileLink>
  /** Makes a voice file playable. The error is a sentence for the reader. */
  sound(link: FileLink): Promise<Sound>
  /** Saves the copy of a file. */
  save(file: FileOf): Promise<void>
  /** Opens a picture over the page. */
  showPicture(file: FileOf): void
  /** Opens a merged record. */
  showRecord(opened: OpenRecord): void
  /** Opens an address of another site, after a question. */
  visit(url: URL): void
  /** Asks for the whole message in place of its beginning. */
  showWhole(message: string): void
  /** Goes to the message that a revocation names by its msgid. */
  showRevoked(msgid: string, revocation: Shown): void
  /** Shows the message's bytes. */
  showBytes(message: string): void
}

/** The message that a part belongs to. */
export interface Shown {
  id: string
  /** The sender's id. */
  from: string
  /** When it was sent; the page around shows it. */
  time?: string
  content: Content
  /** The size of the message in bytes. */
  size: number
}

/** A merged record, the message that holds it, and its place in the message. */
export interface OpenRecord {
  shown: Shown
  record: RecordPart
  path: number[]
}

export const hostKey: InjectionKey<Host> = Symbol('host')
export const shownKey: InjectionKey<Shown> = Symbol('shown')

export function useHost(): Host {
  return inject(hostKey)!
}

export function useShown(): Shown {
  return inject(shownKey)!
}

/** The file with index n of the message around; undefined if the message names none. */
export function fileAt(shown: Shown, n: number | null | undefined): FileOf | undefined {
  const file = typeof n === 'number' ? shown.content.files[n] : undefined
  return file && { message: shown.id, n: n as number, file }
}
