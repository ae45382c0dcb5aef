// A voice file's bytes become samples here. This runs in a worker of its own:
// the decoders are C code compiled to WebAssembly and the bytes are a
// stranger's, so it may trap, run for ever or ask for much memory, and
// whoever started the worker ends it.
import { decoder } from '@audio/decode-amr'
import { decode as decodeSilk } from 'silk-wasm'

export type Format = 'AMR-NB' | 'AMR-WB' | 'SILK'

export interface Sound {
  format: Format
  rate: number
  /** One channel. */
  samples: Int16Array<ArrayBuffer>
  /** False if the file is cut off, or damaged from some place on: the samples end there. */
  complete: boolean
}

/** Why there is no sound. */
export type Refusal = 'unknown' | 'damaged' | 'large'

export class Refused extends Error {
  constructor(readonly why: Refusal) {
    super(why)
  }
}

/** Two hours of AMR-NB, 46 minutes of SILK. Few bytes can ask for much sound: without a bound they would take all memory. */
const mostSamples = 64 << 20

const heads: [string, Format][] = [
  ['#!AMR\n', 'AMR-NB'],
  ['#!AMR-WB\n', 'AMR-WB'],
  ['#!SILK_V3', 'SILK'],
  ['\x02#!SILK_V3', 'SILK'], // as Tencent writes it
]

export function decode(bytes: Uint8Array): Promise<Sound> {
  for (const [head, format] of heads) {
    if (String.fromCharCode(...bytes.subarray(0, head.length)) === head) {
      return format === 'SILK' ? silk(bytes, head.length) : amr(bytes, head.length, format)
    }
  }
  return Promise.reject(new Refused('unknown'))
}

/** Bytes of a frame by its type (RFC 4867, 5.3): speech, then silence. */
const frameSizes = {
  'AMR-NB': [13, 14, 16, 18, 20, 21, 27, 32, 6],
  'AMR-WB': [18, 24, 33, 37, 41, 47, 51, 59, 61, 6],
}

/** The size of the frame that begins with the byte; undefined if no frame begins so. */
function frameSize(format: 'AMR-NB' | 'AMR-WB', first: number): number | undefined {
  if (first & 0b1000_0011) return undefined // zero in every frame
  const type = (first >> 3) & 15
  return type === 15 || (type === 14 && format === 'AMR-WB') ? 1 : frameSizes[format][type]
}

async function amr(bytes: Uint8Array, start: number, format: 'AMR-NB' | 'AMR-WB'): Promise<Sound> {
  const [rate, perFrame] = format === 'AMR-NB' ? [8000, 160] : [16000, 320]
  // The decoder makes noise of whatever it is given, so it is given whole
  // frames only, and in pieces, because it returns four bytes a sample.
  const cuts = [0]
  let frames = 0
  let end = start
  for (let size; end < bytes.length; end += size) {
    size = frameSize(format, bytes[end]!)
    if (!size || end + size > bytes.length) break
    if (++frames % 1000 === 0) cuts.push(end + size)
  }
  if (frames === 0) throw new Refused('damaged')
  if (frames * perFrame > mostSamples) throw new Refused('large')

  const samples = new Int16Array(frames * perFrame)
  let filled = 0
  const codec = await decoder()
  for (const [i, from] of cuts.entries()) {
    for (const x of codec.decode(bytes.subarray(from, cuts[i + 1] ?? end)).channelData[0] ?? []) {
      samples[filled++] = x * 32768
    }
  }
  return { format, rate, samples, complete: end === bytes.length && filled === samples.length }
}

/** The most bytes of a packet: five frames of 20 ms, 1024 each (SKP_Silk_SDK, Decoder.c). */
const mostPacket = 5 * 1024

async function silk(bytes: Uint8Array, start: number): Promise<Sound> {
  // The decoder believes every length and reads past the end, so it is given
  // whole packets only.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let packets = 0
  let end = start
  let complete = false
  for (;;) {
    complete = end === bytes.length
    if (end + 2 > bytes.length) break
    const size = view.getUint16(end, true)
    complete = size === 0xffff // Skype's own tool ends a file so
    if (size > mostPacket || end + 2 + size > bytes.length) break
    packets++
    end += 2 + size
  }
  const rate = 24000
  // It reads two packets before it looks whether there are any.
  if (packets < 2) throw new Refused('damaged')
  if (packets * (rate / 50) > mostSamples) throw new Refused('large')

  const file = new Uint8Array(10 + end - start)
  file.set(new TextEncoder().encode('\x02#!SILK_V3'))
  file.set(bytes.subarray(start, end), 10)
  const { data } = await decodeSilk(file, rate)
  if (data.byteLength > 2 * mostSamples) throw new Refused('large')
  return { format: 'SILK', rate, samples: new Int16Array(data.slice().buffer), complete }
}
