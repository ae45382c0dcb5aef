// Makes the copy of a voice file playable. The decoders are loaded with the first file.
import type { Sound } from '../parts/host'
import type { FileLink } from '../parts/types'
import { language } from '../texts/language'
import { t } from '../texts/parts'

const native = /^audio\/(mpeg|mp4|aac|ogg|wav|x-wav|webm|flac)$/

export async function soundOf(link: FileLink): Promise<Sound> {
  if (native.test(link.content_type)) return { url: link.url, complete: true, close: () => {} }
  const [{ openVoice, VoiceError }, { default: decoder }] = await Promise.all([import('../../voice/voice'), import('../../voice/decoder-thread?worker&url')])
  try {
    return await openVoice(link.url, { decoder })
  } catch (e) {
    throw new Error(e instanceof VoiceError ? e.text[language.value] : t.value.playFailed)
  }
}
