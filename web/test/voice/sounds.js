// Makes voice files from a tone for the tests, and compares samples with the tone.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { encode } from 'silk-wasm'

export const hertz = 440

/** A tone with half of the full scale of -1 to 1. */
export function tone(rate, seconds) {
  return Float32Array.from({ length: rate * seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * i) / rate))
}

/** Encodes with another library than the tested decoder. The encoder is a worker's script, so it gets a self to answer. */
export function amrNB(seconds) {
  let answer
  globalThis.self = { postMessage: (m) => (answer = m) }
  createRequire(import.meta.url)('benz-amr-recorder/src/amrnb.js')()
  self.onmessage({ data: { command: 'encode', samples: tone(8000, seconds), sampleRate: 8000 } })
  delete globalThis.self
  return Uint8Array.from(answer.amr)
}

/** One second of AMR-WB, made with vo-amrwbenc 0.1.3 at 12.65 kbit/s, because no package encodes AMR-WB. */
export async function amrWB() {
  return new Uint8Array(await readFile(new URL('testdata/tone.awb', import.meta.url)))
}

/** SILK in Tencent's form, with a byte before the head. */
export async function silk(seconds) {
  const pcm = Int16Array.from(tone(24000, seconds), (x) => x * 32767)
  return (await encode(pcm.buffer, 24000)).data
}

/** The largest correlation of samples and tone at any phase. It uses the samples after half a second. */
export function likeness(samples, rate) {
  const part = samples.subarray(rate / 2, rate)
  const dot = (f) => part.reduce((sum, x, i) => sum + x * f((2 * Math.PI * hertz * i) / rate), 0)
  const energy = part.reduce((sum, x) => sum + x * x, 0)
  return Math.hypot(dot(Math.sin), dot(Math.cos)) / Math.sqrt((energy * part.length) / 2)
}

/** Random numbers that are the same in every run (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const bytes = (...parts) => new Uint8Array(Buffer.concat(parts.map((p) => Buffer.from(p))))

export function noise(seed, length) {
  const next = random(seed)
  return Uint8Array.from({ length }, () => next() * 256)
}

/** A copy of the file with some bytes after the head changed. */
export function mutated(file, seed) {
  const next = random(seed)
  const copy = file.slice()
  for (let n = 1 + next() * 20; n > 0; n--) copy[10 + Math.floor(next() * (copy.length - 10))] = next() * 256
  return copy
}
