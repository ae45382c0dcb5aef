// Reads the small Markdown of WeCom's robots: headings, lists, quotes, bold, code and
// links. The result is data that components interpolate; HTML in it stays text.
import { segments, type Segment } from './segments'
import { webAddress } from './plain'

export type Inline = Segment | { is: 'bold' | 'code'; text: string }

export type Block =
  | { is: 'heading'; level: number; inline: Inline[] }
  | { is: 'list'; ordered: boolean; items: Inline[][] }
  | { is: 'quote' | 'paragraph'; inline: Inline[] }
  | { is: 'code'; text: string }

const marks = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|\[([^\]\n]{1,500})\]\((https?:\/\/[^\s)]+)\)|<\/?font[^>\n]{0,100}>/g

/** The pieces of a line. WeCom's font tags, which set a colour, are left out. */
export function inline(text: string): Inline[] {
  const found: Inline[] = []
  let from = 0
  for (const match of text.matchAll(marks)) {
    const [whole, bold, code, label, address] = match
    const url = address && webAddress(address)
    if (label !== undefined && !url) continue
    found.push(...segments(text.slice(from, match.index)))
    if (bold !== undefined) found.push({ is: 'bold', text: bold })
    else if (code !== undefined) found.push({ is: 'code', text: code })
    else if (label !== undefined && url) found.push({ is: 'address', text: label, url })
    from = match.index + whole.length
  }
  found.push(...segments(text.slice(from)))
  return found
}

export function markdown(text: string): Block[] {
  const blocks: Block[] = []
  const rows = text.split('\n')
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n]!
    const last = blocks.at(-1)
    let found: RegExpExecArray | null
    if (/^\s*```/.test(row)) {
      const end = rows.findIndex((r, k) => k > n && /^\s*```\s*$/.test(r))
      const code = rows.slice(n + 1, end < 0 ? undefined : end)
      blocks.push({ is: 'code', text: code.join('\n') })
      n = end < 0 ? rows.length : end
    } else if ((found = /^(#{1,6})\s+(.*)$/.exec(row))) {
      blocks.push({ is: 'heading', level: found[1]!.length, inline: inline(found[2]!) })
    } else if ((found = /^\s*(?:[-*+]|(\d{1,4})[.)])\s+(.*)$/.exec(row))) {
      const ordered = found[1] !== undefined
      if (last?.is === 'list' && last.ordered === ordered) last.items.push(inline(found[2]!))
      else blocks.push({ is: 'list', ordered, items: [inline(found[2]!)] })
    } else if ((found = /^\s*>\s?(.*)$/.exec(row))) {
      if (last?.is === 'quote' && /^\s*>/.test(rows[n - 1] ?? '')) last.inline.push({ is: 'text', text: '\n' }, ...inline(found[1]!))
      else blocks.push({ is: 'quote', inline: inline(found[1]!) })
    } else if (row.trim() !== '') {
      if (last?.is === 'paragraph' && rows[n - 1]?.trim()) last.inline.push({ is: 'text', text: '\n' }, ...inline(row))
      else blocks.push({ is: 'paragraph', inline: inline(row) })
    }
  }
  return blocks
}
