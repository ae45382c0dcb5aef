// Decodes the bytes of a voice file into samples. This code runs in a decoder
// thread. The decoders are C code compiled to WebAssembly, and the bytes are not
// trusted: decoding may crash, never end or use much memory. The page that started
// the thread ends it.
import { decoder } from '@audio/decode-amr'
import { decode as decodeSilk } from 'silk-wasm'

export type Format = 'AMR-NB' | 'AMR-WB' | 'SILK'

export interface Sound {
  format: Format
  rate: number
  /** One channel. */
  samples: Int16Array<ArrayBuffer>
  /** False if the file is cut off or damaged. The samples end at that place. */
  complete: boolean
}

/** The reason why a file gives no sound. */
export type Refusal = 'unknown' | 'damaged' | 'large'

export class Refused extends Error {
  constructor(readonly why: Refusal) {
    super(why)
  }
}

/** The limit is two hours of AMR-NB or 46 minutes of SILK. Without a limit, a small file could use all memory. */
const mostSamples = 64 << 20

const heads: [string, Format][] = [
  ['#!AMR\n', 'AMR-NB'],
  ['#!AMR-WB\n', 'AMR-WB'],
  ['#!SILK_V3', 'SILK'],
  ['\x02#!SILK_V3', 'SILK'], // Tencent's form
]

export function decode(bytes: Uint8Array): Promise<Sound> {
  for (const [head, format] of heads) {
    if (String.fromCharCode(...bytes.subarray(0, head.length)) === head) {
      return format === 'SILK' ? silk(bytes, head.length) : amr(bytes, head.length, format)
    }
  }
  return Promise.reject(new Refused('unknown'))
}

/** The size of a frame in bytes, by type (RFC 4867, 5.3). The last type is silence. */
const frameSizes = {
  'AMR-NB': [13, 14, 16, 18, 20, 21, 27, 32, 6],
  'AMR-WB': [18, 24, 33, 37, 41, 47, 51, 59, 61, 6],
}

/** The size of a frame that begins with the given byte, or undefined if no frame begins with it. */
function frameSize(format: 'AMR-NB' | 'AMR-WB', first: number): number | undefined {
  const type = (first >> 3) & 15
  return type === 15 || (type === 14 && format === 'AMR-WB') ? 1 : frameSizes[format][type]
}

/** The bits of a frame's first byte that mean nothing (RFC 4867, 5.3). Most writers leave them zero. */
const padding = 0b1000_0011

interface Frames {
  /** Where each whole frame begins. */
  starts: number[]
  /** Where the last whole frame ends. */
  end: number
  /** False if no frame begins at the end. */
  intact: boolean
}

/** The frames up to the first that cannot be one. If padded is given, a frame with other padding cannot. */
function framesOf(bytes: Uint8Array, start: number, format: 'AMR-NB' | 'AMR-WB', padded?: number): Frames {
  const starts: number[] = []
  let end = start
  while (end < bytes.length) {
    const first = bytes[end]!
    const size = frameSize(format, first)
    if (!size || (padded !== undefined && (first & padding) !== padded)) return { starts, end, intact: false }
    if (end + size > bytes.length) break // the file is cut off
    starts.push(end)
    end += size
  }
  return { starts, end, intact: true }
}

async function amr(bytes: Uint8Array, start: number, format: 'AMR-NB' | 'AMR-WB'): Promise<Sound> {
  const [rate, perFrame] = format === 'AMR-NB' ? [8000, 160] : [16000, 320]
  // The decoder turns any bytes into noise, so it gets whole frames only. In a
  // damaged file the padding tells the frames from what follows the damage.
  let { starts, end, intact } = framesOf(bytes, start, format)
  if (!intact) ({ starts, end } = framesOf(bytes, start, format, (bytes[start] ?? 0) & padding))
  const empty = starts.every((at) => frameSize(format, bytes[at]!) === 1)
  if (starts.length === 0 || (!intact && empty)) throw new Refused('damaged') // noise begins with empty frames too
  if (starts.length * perFrame > mostSamples) throw new Refused('large')

  const file = bytes.slice(0, end)
  for (const at of starts) file[at]! &= ~padding
  const samples = new Int16Array(starts.length * perFrame)
  let filled = 0
  const codec = await decoder()
  // The decoder returns four bytes per sample, so it gets the frames in pieces.
  for (let i = 0; i < starts.length; i += 1000) {
    const from = i === 0 ? 0 : starts[i]
    for (const x of codec.decode(file.subarray(from, starts[i + 1000])).channelData[0] ?? []) {
      samples[filled++] = x * 32768
    }
  }
  return { format, rate, samples, complete: end === bytes.length && filled === samples.length }
}

/** The largest packet has five frames of 20 ms with 1024 bytes each (SKP_Silk_SDK, Decoder.c). */
const mostPacket = 5 * 1024

async function silk(bytes: Uint8Array, start: number): Promise<Sound> {
  // The decoder trusts every length and reads past the end, so it gets whole
  // packets only.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let packets = 0
  let end = start
  let complete = false
  for (;;) {
    complete = end === bytes.length
    if (end + 2 > bytes.length) break
    const size = view.getUint16(end, true)
    complete = size === 0xffff // Skype's own tool writes this end mark
    if (size > mostPacket || end + 2 + size > bytes.length) break
    packets++
    end += 2 + size
  }
  const rate = 24000
  // The decoder reads two packets before it checks that there are packets.
  if (packets < 2) throw new Refused('damaged')
  if (packets * (rate / 50) > mostSamples) throw new Refused('large')

  const file = new Uint8Array(10 + end - start)
  file.set(new TextEncoder().encode('\x02#!SILK_V3'))
  file.set(bytes.subarray(start, end), 10)
  const { data } = await decodeSilk(file, rate)
  if (data.byteLength > 2 * mostSamples) throw new Refused('large')
  return { format: 'SILK', rate, samples: new Int16Array(data.slice().buffer), complete }
}
