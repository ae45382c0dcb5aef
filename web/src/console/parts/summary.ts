// A part in a few words, for the first lines of a merged record.
import type { PartTexts } from '../texts/zh/parts'
import { line } from './plain'
import type { Part } from './types'

export function summary(parts: Part[], texts: PartTexts): string {
  const words = parts.slice(0, 3).map((part) => inWords(part, texts))
  return line(words.join(' '), 80) || texts.noContent
}

function inWords(part: Part, texts: PartTexts): string {
  if (part.type === 'text' || part.type === 'markdown') return part.text.slice(0, 200)
  const kind = texts.kinds[part.type as keyof PartTexts['kinds']] ?? ('name' in part ? part.name : part.type)
  const title = ('title' in part && part.title) || ('topic' in part && part.topic) || (part.type === 'file' && part.name) || ''
  if (kind === '') return texts.noKind
  return `[${kind.slice(0, 40)}] ${String(title).slice(0, 200)}`.trim()
}
