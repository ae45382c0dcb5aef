import type { Content } from './types'

/**
 * How a message stands in the timeline. bubble: words of a person. bare: a picture or
 * card, which has a frame of its own. system: an event, in the middle.
 */
export type Frame = 'bubble' | 'bare' | 'system'

const worded = new Set(['text', 'markdown', 'voice', 'voiptext', 'too_deep', 'more'])
const events = new Set(['agree', 'disagree', 'revoke', 'switch'])

export function frameOf(content: Content): Frame {
  const [part, ...others] = content.parts
  if (!content.whole || !part || others.length > 0 || content.kind === 'unreadable' || worded.has(part.type)) return 'bubble'
  return events.has(part.type) ? 'system' : 'bare'
}
