import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import decodeAMR from '@audio/decode-amr'
import { runnerImport } from 'vite'
import { amrNB, amrWB, bytes, likeness, mutated, noise, silk } from './sounds.js'

const { decode } = (await runnerImport('./src/voice/decode.ts', { root: new URL('../..', import.meta.url).pathname, logLevel: 'error' })).module

let nb, wb, tencent
before(async () => {
  ;[nb, wb, tencent] = [amrNB(3), await amrWB(), await silk(3)]
  // silk-wasm logs its errors, and the test must be quiet.
  console.error = () => {}
})

async function sounds(file, format, seconds, complete = true) {
  const sound = await decode(file)
  assert.equal(sound.format, format)
  assert.equal(sound.complete, complete)
  assert.ok(Math.abs(sound.samples.length / sound.rate - seconds) < 0.03, `got ${sound.samples.length / sound.rate} s, want ${seconds}`)
  return sound
}

async function isTone(file, format, seconds, complete) {
  const { samples, rate } = await sounds(file, format, seconds, complete)
  assert.ok(likeness(samples, rate) > 0.99, `likeness ${likeness(samples, rate)}`)
  const peak = samples.subarray(rate / 2).reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  assert.ok(peak > 12000 && peak < 21000, `peak ${peak}, want about half of 32768`)
}

test('AMR-NB, AMR-WB and SILK give the tone of the file', async () => {
  await isTone(nb, 'AMR-NB', 3)
  await isTone(wb, 'AMR-WB', 1)
  await isTone(tencent, 'SILK', 3)
})

test('SILK in the form of its own tool: without the first byte, with an end mark', async () => {
  await isTone(tencent.slice(1), 'SILK', 3)
  await isTone(bytes(tencent.slice(1), [0xff, 0xff]), 'SILK', 3)
})

test('decoding in pieces gives the same samples as decoding at once', async () => {
  const file = bytes(nb, ...Array(20).fill(nb.slice(6)))
  const whole = (await decodeAMR(file)).channelData[0]
  assert.deepEqual((await decode(file)).samples, Int16Array.from(whole, (x) => x * 32768))
})

test('a cut file gives incomplete sound up to the cut', async () => {
  await isTone(nb.slice(0, nb.length / 2), 'AMR-NB', 1.5, false)
  await isTone(wb.slice(0, wb.length - 7), 'AMR-WB', 0.98, false)
  await isTone(tencent.slice(0, tencent.length - 5), 'SILK', 2.98, false)
})

test('a damaged file gives incomplete sound up to the damage', async () => {
  await isTone(nb.with(6 + 100 * 32, 0xff), 'AMR-NB', 2, false)
  await isTone(bytes(tencent, [0xf0, 0x70], noise(1, 9000)), 'SILK', 3, false)
})

/** A copy of the file with padding bits in its frames, which all have one size. pad gives the bits of the n-th frame. */
function padded(file, head, size, pad) {
  const copy = file.slice()
  for (let n = 0; head + n * size < copy.length; n++) copy[head + n * size] |= pad(n) & 0b1000_0011
  return copy
}

test('padding bits of frames mean nothing', async () => {
  for (const pad of [() => 0b11, () => 0b1000_0000, () => 0b1000_0011, (n) => n, (n) => (n % 7 ? 0 : 0b11)]) {
    await isTone(padded(nb, 6, 32, pad), 'AMR-NB', 3)
    await isTone(padded(wb, 9, 33, pad), 'AMR-WB', 1)
    await isTone(padded(nb, 6, 32, pad).slice(0, nb.length / 2), 'AMR-NB', 1.5, false)
    assert.deepEqual((await decode(padded(nb, 6, 32, pad))).samples, (await decode(nb)).samples)
  }
  await isTone(padded(nb, 6, 32, () => 0b11).with(6 + 100 * 32, 0xfc), 'AMR-NB', 2, false)
})

for (const [what, why, file] of [
  ['nothing', 'unknown', () => bytes()],
  ['a picture', 'unknown', () => bytes([0x89], 'PNG\r\n\x1a\n', noise(2, 1000))],
  ['part of a head', 'unknown', () => bytes('#!AM')],
  ['many channels, which WeCom never sends', 'unknown', () => bytes('#!AMR_MC1.0\n', [0, 0, 0, 2])],
  ['AMR-NB with only a head', 'damaged', () => bytes('#!AMR\n')],
  ['AMR-WB with only a head', 'damaged', () => bytes('#!AMR-WB\n')],
  ['SILK with only a head', 'damaged', () => bytes('\x02#!SILK_V3')],
  ['AMR-NB of less than a frame', 'damaged', () => nb.slice(0, 30)],
  ['SILK of less than a packet', 'damaged', () => tencent.slice(0, 30)],
  ['a web page with a head of AMR-NB', 'damaged', () => bytes('#!AMR\n<script>alert(1)</script>')],
  ['SILK with wrong lengths', 'damaged', () => bytes('\x02#!SILK_V3', Buffer.alloc(5000, 0x7f))],
  ['noise with a head of SILK', 'damaged', () => bytes('\x02#!SILK_V3', noise(3, 1))],
  ['AMR-NB of empty frames for hours', 'large', () => bytes('#!AMR\n', Buffer.alloc(512 << 10, 0x7c))],
  ['AMR-WB of lost frames for hours', 'large', () => bytes('#!AMR-WB\n', Buffer.alloc(512 << 10, 0x74))],
  ['SILK of empty packets for hours', 'large', () => bytes('\x02#!SILK_V3', Buffer.alloc(300 << 10))],
]) {
  test(`${what}: ${why}`, () => assert.rejects(decode(file()), { why }))
}

test('changed bytes give sound or an error', async () => {
  for (let seed = 0; seed < 60; seed++) {
    for (const file of [nb, wb, tencent]) {
      const sound = await decode(mutated(file, seed)).catch((e) => e)
      assert.ok(sound instanceof Error || sound.samples.length <= 3.1 * sound.rate)
    }
  }
})
