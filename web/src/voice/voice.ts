// Makes WeCom's voice files playable, which no browser plays by itself. The
// archive stores these files as WeCom sent them.
import type { Format, Sound } from './decode'
import type { Answer } from './decoder-thread'

export interface Voice {
  /** The src of an <audio>. */
  url: string
  /** The content of the url, for saving. */
  wav: Blob
  format: Format
  seconds: number
  /** False if the file is cut off or damaged. It plays up to that place. */
  complete: boolean
  /** Frees the memory. The url is invalid afterwards. */
  close(): void
}

export interface Options {
  signal?: AbortSignal
  /** The time limit of downloading and converting together, in milliseconds. */
  timeLimit?: number
  /** The URL of voice-decoder.js, if it is not beside this script. */
  decoder?: string | URL
}

const reasons = {
  unknown: { zh: '这不是 AMR 或 SILK 语音文件。', en: 'This file is not an AMR or SILK voice file.' },
  damaged: { zh: '语音文件已损坏，没有可播放的内容。', en: 'The voice file is damaged and has no playable part.' },
  large: { zh: '语音过长，请下载后播放。', en: 'The voice file is too long. Download it to play it.' },
  slow: { zh: '下载或转换语音文件超时，已停止。', en: 'Downloading and converting the voice file took too long.' },
  link: { zh: '链接无效或已过期，请重新获取。', en: 'The link is invalid or has expired. Request a new link.' },
  network: { zh: '无法下载语音文件。', en: 'Download of the voice file failed.' },
  decoder: { zh: '语音转换程序无法运行，请联系管理员。', en: 'The voice decoder did not start. Contact your administrator.' },
}

export class VoiceError extends Error {
  override name = 'VoiceError'
  /** The reason in words for people. */
  readonly text: { zh: string; en: string }
  constructor(readonly why: keyof typeof reasons) {
    super(reasons[why].en)
    this.text = reasons[why]
  }
}

/** This is more than two hours of AMR-NB. */
const mostBytes = 16 << 20

/**
 * Makes a voice file playable. The source is the file's bytes or a link to the
 * file. The promise rejects with a VoiceError, or with the signal's reason.
 */
export async function openVoice(source: string | URL | Blob | BufferSource, options: Options = {}): Promise<Voice> {
  const end = new AbortController()
  const stop = () => end.abort(options.signal?.reason)
  const timer = setTimeout(() => end.abort(new VoiceError('slow')), options.timeLimit ?? 60_000)
  options.signal?.addEventListener('abort', stop)
  try {
    options.signal?.throwIfAborted()
    const bytes = typeof source === 'string' || source instanceof URL ? await download(source, end.signal) : new Blob([source])
    if (bytes.size > mostBytes) throw new VoiceError('large')
    return voice(await convert(await bytes.arrayBuffer(), end.signal, options.decoder))
  } catch (e) {
    throw end.signal.aborted ? end.signal.reason : e
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', stop)
  }
}

async function download(link: string | URL, signal: AbortSignal): Promise<Blob> {
  try {
    // The link is the permission, so the request carries nothing of this page.
    const response = await fetch(link, { signal, credentials: 'omit', referrerPolicy: 'no-referrer' })
    if (!response.ok) throw new VoiceError('link')
    const reader = response.body!.getReader()
    const parts: Uint8Array<ArrayBuffer>[] = []
    for (let size = 0; size <= mostBytes; ) {
      const { done, value } = await reader.read()
      if (done) return new Blob(parts)
      parts.push(value)
      size += value.length
    }
    await reader.cancel()
    throw new VoiceError('large')
  } catch (e) {
    throw e instanceof VoiceError ? e : new VoiceError('network')
  }
}

function convert(bytes: ArrayBuffer, signal: AbortSignal, script?: string | URL): Promise<Sound> {
  signal.throwIfAborted()
  // The bundlers of other pages find the script by this form, and ours must not
  // change it.
  const thread = script
    ? new Worker(script, { type: 'module' })
    : new Worker(new URL(/* @vite-ignore */ './voice-decoder.js', import.meta.url), { type: 'module' })
  return new Promise<Sound>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    thread.addEventListener('error', () => reject(new VoiceError('decoder')))
    thread.addEventListener('message', ({ data }: MessageEvent<Answer>) =>
      'why' in data ? reject(new VoiceError(data.why)) : resolve(data),
    )
    thread.postMessage(bytes, [bytes])
  }).finally(() => thread.terminate())
}

function voice({ format, rate, samples, complete }: Sound): Voice {
  const wav = new Blob([wavHeader(rate, samples.byteLength), samples], { type: 'audio/wav' })
  const url = URL.createObjectURL(wav)
  return { url, wav, format, seconds: samples.length / rate, complete, close: () => URL.revokeObjectURL(url) }
}

/** The header of a WAV file with one channel and 16 bits per sample. */
function wavHeader(rate: number, size: number): ArrayBuffer {
  const head = new DataView(new ArrayBuffer(44))
  const text = (at: number, s: string) => [...s].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)))
  text(0, 'RIFF')
  head.setUint32(4, 36 + size, true)
  text(8, 'WAVEfmt ')
  head.setUint32(16, 16, true)
  head.setUint16(20, 1, true) // PCM
  head.setUint16(22, 1, true)
  head.setUint32(24, rate, true)
  head.setUint32(28, 2 * rate, true)
  head.setUint16(32, 2, true)
  head.setUint16(34, 16, true)
  text(36, 'data')
  head.setUint32(40, size, true)
  return head.buffer
}
