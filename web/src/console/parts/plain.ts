// Texts of strangers as a person can read them. A text stays text: components
// interpolate it, and these functions make invisible characters visible.

/** Controls of C0 and C1 except tab and line feed. */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g
/** Characters that change the order of a line: a name must not reorder the text beside it. */
const bidi = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
/** Characters that turn the order of the text after them: RLE, LRO, RLO and RLI. */
const turning = /[\u202b\u202d\u202e\u2067]/g
/** A surrogate without its partner. */
const lone = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** The sign that stands for a character without a shape. */
export const box = '▯'

/** A text of several lines. Its element isolates its direction, and its characters keep their order. */
export function lines(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(controls, box).replace(turning, box).replace(lone, '\ufffd')
}

/** A name or title: one line, in the order of its characters, at most most of them. */
export function line(text: string, most = 200): string {
  // A longer beginning is enough to fill the line, so a name of 1 MB costs as much as a short one.
  const start = text.length > 2 * most ? text.slice(0, 2 * most) : text
  const shown = start.replace(/[\t\n\u2028\u2029]/g, ' ').replace(controls, box).replace(bidi, box).replace(lone, '\ufffd')
  return shown.length > most || start.length < text.length ? `${cut(shown, most)}…` : shown
}

/** The first most code units of a text, without half of a character at the end. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text
  const last = text.charCodeAt(most - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most)
}

/** The address as a browser would open it, or undefined if it is not an address of the web. */
export function webAddress(text: string): URL | undefined {
  if (!/^https?:\/\//i.test(text) || text.length > 4096) return undefined
  try {
    const url = new URL(text)
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : undefined
  } catch {
    return undefined
  }
}
