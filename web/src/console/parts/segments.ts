// Cuts a text into the pieces that a component draws in different ways.
import { emoji } from './emoji'
import { webAddress } from './plain'

export type Segment =
  | { is: 'text'; text: string }
  | { is: 'emoji'; text: string; sign: string; name: string }
  | { is: 'mention'; text: string }
  | { is: 'address'; text: string; url: URL }

/**
 * An emoji code; a mention, which WeCom ends with U+2005; an address of the web. An
 * address ends at a character that no address holds: blanks, quotes, Chinese
 * punctuation, and characters that change the order of the line.
 */
const piece =
  /\[([\p{Script=Han}A-Za-z0-9]{1,8})\]|@[^@\s\u2005]{1,64}(?: [^@\s\u2005]{1,64}){0,3}\u2005|https?:\/\/[^\s<>"'`\\^{|}\u0000-\u0020\u007f-\u00a0\u061c\u2000-\u206f\u3000-\u303f\uff00-\uffef]+/giu

/** The segments of a text. At most most segments are found; the rest of the text is one segment. */
export function segments(text: string, most = 500): Segment[] {
  const found: Segment[] = []
  let from = 0
  const plain = (to: number) => {
    if (to > from) found.push({ is: 'text', text: text.slice(from, to) })
  }
  for (const match of text.matchAll(piece)) {
    if (found.length >= most) break
    const segment = read(match[0], match[1])
    if (!segment) continue
    plain(match.index)
    found.push(segment)
    from = match.index + segment.text.length
  }
  plain(text.length)
  return found
}

/** A text with its emoji codes as emoji. */
export const withEmoji = (text: string) => segments(text).map((s) => (s.is === 'emoji' ? s.sign : s.text)).join('')

function read(text: string, code: string | undefined): Segment | undefined {
  if (code !== undefined) {
    const sign = emoji.get(code)
    return sign ? { is: 'emoji', text, sign, name: code } : undefined
  }
  if (text.startsWith('@')) return { is: 'mention', text }
  const address = withoutTail(text)
  const url = webAddress(address)
  return url && { is: 'address', text: address, url }
}

/** The address without the punctuation of the sentence around it. */
function withoutTail(address: string): string {
  const short = address.replace(/[.,;:!?]+$/, '')
  const open = short.split('(').length
  return short.endsWith(')') && short.split(')').length > open ? short.slice(0, -1) : short
}
