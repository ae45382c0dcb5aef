// Tests the built page and package in a real browser, under the policies of
// README.md.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { policies, serve } from '../../serve.js'
import { amrNB, amrWB, bytes, hertz, likeness, mutated, noise, silk } from './sounds.js'

let site, bucket, profile, browser, nb, wb, tencent
const ends = []

before(async () => {
  ;[nb, wb, tencent] = [amrNB(3), await amrWB(), await silk(3)]
  site = await serve()
  bucket = await storage()
  profile = await mkdtemp(join(tmpdir(), 'voice-'))
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    locale: 'en-US',
  })
  ends.push(() => browser.close(), site.close, bucket.close, () => rm(profile, { recursive: true, force: true, maxRetries: 3 }))
})
after(async () => {
  for (const end of ends) await end()
})

/** Starts a server of another origin that answers like the media bucket. */
async function storage() {
  const server = createServer((request, response) => {
    const headers = { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment', 'access-control-allow-origin': '*' }
    switch (request.url) {
      case '/voice.amr?X-Amz-Signature=1':
        response.writeHead(200, headers).end(tencent)
        break
      case '/endless':
        response.writeHead(200, headers)
        const more = () => response.writable && response.write(nb.slice(6), more)
        response.write('#!AMR\n', more)
        break
      case '/silent':
        break
      case '/elsewhere': // pages of other origins may not read this file
        response.writeHead(200).end(nb)
        break
      default:
        response.writeHead(403, headers).end('<Error><Code>AccessDenied</Code></Error>')
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => (server.closeAllConnections(), server.close())
  return { url: `http://127.0.0.1:${server.address().port}`, close }
}

/** Opens the page. With quiet, the test fails if the page breaks a policy or logs to the console. */
async function open(t, { from = site, quiet = true } = {}) {
  const page = await browser.newPage()
  const said = []
  page.on('console', (m) => said.push(m.text()))
  page.on('pageerror', (e) => said.push(String(e)))
  await page.goto(from.url)
  t.after(async () => {
    await page.close()
    if (quiet) assert.deepEqual(said, [])
  })
  return page
}

const noThreads = async (page) => {
  for (let n = 0; page.workers().length > 0 && n < 100; n++) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(page.workers().length, 0)
}

const choose = (page, name, file) => page.setInputFiles('#file', { name, mimeType: 'audio/amr', buffer: Buffer.from(file) })

const status = async (page, text) => {
  await page.waitForFunction((text) => document.querySelector('#status').textContent.includes(text), text, { timeout: 30_000 })
}

/** Returns the duration of the page's <audio> and its loudest frequency. */
function played(page) {
  return page.evaluate(async () => {
    const audio = document.querySelector('audio')
    const soon = () => new Promise((resolve) => setTimeout(resolve, 50))
    audio.loop = true // the sound must not end on a slow machine
    await audio.play()
    while (audio.currentTime < 0.4) await soon()
    const context = new AudioContext()
    const analyser = new AnalyserNode(context, { fftSize: 4096 })
    context.createMediaStreamSource(audio.captureStream()).connect(analyser)
    const bins = new Float32Array(analyser.frequencyBinCount)
    for (let loudest = -Infinity; loudest < -40; loudest = Math.max(...bins)) {
      await soon()
      analyser.getFloatFrequencyData(bins)
    }
    const hertz = bins.indexOf(Math.max(...bins)) * (context.sampleRate / analyser.fftSize)
    await context.close()
    return { hertz, duration: audio.duration }
  })
}

async function plays(page, seconds) {
  const got = await played(page)
  assert.ok(Math.abs(got.duration - seconds) < 0.05, `lasts ${got.duration} s, want ${seconds}`)
  assert.ok(Math.abs(got.hertz - hertz) < 15, `sounds at ${got.hertz} Hz, want ${hertz}`)
}

/** Returns the result of openVoice for the bytes, or the reason why it failed. */
function opened(page, file, options = {}) {
  return page.evaluate(
    async ([base64, options]) => {
      const { openVoice } = await import('/voice.js')
      try {
        const v = await openVoice(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), options)
        const wav = new Uint8Array(await v.wav.arrayBuffer())
        v.close()
        return { ...v, wav: btoa(wav.reduce((s, b) => s + String.fromCharCode(b), '')) }
      } catch (e) {
        return { why: e.why ?? String(e) }
      }
    },
    [Buffer.from(file).toString('base64'), options],
  )
}

test('a chosen file plays', async (t) => {
  const page = await open(t)
  await choose(page, 'tone.amr', nb)
  await status(page, 'tone.amr · AMR-NB · 3.0 s')
  await plays(page, 3)
})

test('an AMR-WB file plays', async (t) => {
  const page = await open(t)
  await choose(page, 'tone.awb', wb)
  await status(page, 'AMR-WB · 1.0 s')
  await plays(page, 1)
})

test('a pasted link to another origin plays', async (t) => {
  const page = await open(t)
  await page.fill('#link', `${bucket.url}/voice.amr?X-Amz-Signature=1`)
  await page.click('#play')
  await status(page, 'SILK · 3.0 s')
  await plays(page, 3)
})

test('a dropped file replaces the file before it', async (t) => {
  const page = await open(t)
  await choose(page, 'tone.awb', wb)
  await status(page, 'AMR-WB')
  const data = await page.evaluateHandle((file) => {
    const data = new DataTransfer()
    data.items.add(new File([Uint8Array.from(file)], 'tone.silk'))
    return data
  }, [...tencent])
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: data })
  await status(page, 'tone.silk · SILK · 3.0 s')
  await plays(page, 3)
})

test('the package returns the samples as WAV', async (t) => {
  const page = await open(t)
  for (const [file, format, rate] of [[nb, 'AMR-NB', 8000], [wb, 'AMR-WB', 16000], [tencent, 'SILK', 24000]]) {
    const got = await opened(page, file)
    assert.equal(got.format, format)
    const wav = Buffer.from(got.wav, 'base64')
    assert.equal(wav.readUInt32LE(24), rate)
    assert.equal(wav.readUInt32LE(40), wav.length - 44)
    const samples = new Int16Array(bytes(wav.subarray(44)).buffer)
    assert.equal(samples.length / rate, got.seconds)
    assert.ok(likeness(samples, rate) > 0.99)
  }
})

test('the page explains unplayable files in Chinese and English', async (t) => {
  const page = await open(t)
  for (const [file, en, zh] of [
    [bytes('<html>'), 'This file is not an AMR or SILK voice file.', '这不是 AMR 或 SILK 语音文件。'],
    [bytes('#!AMR\n', noise(1, 5000).with(0, 0xff)), 'The voice file is damaged and has no', '语音文件已损坏'],
    [tencent.slice(0, 20), 'The voice file is damaged and has no', '语音文件已损坏'],
    [bytes('\x02#!SILK_V3', Buffer.alloc(300 << 10)), 'too long', '过长'],
    [nb.slice(0, 2000), 'plays up to the damaged place', '只能播放到损坏处'],
  ]) {
    await choose(page, 'x.amr', file)
    await status(page, en)
    await page.click('#lang')
    await status(page, zh)
    await page.click('#lang')
  }
})

test('the page explains failed links', async (t) => {
  const page = await open(t, { quiet: false })
  for (const [path, text] of [
    ['/expired', 'has expired'],
    ['/endless', 'too long'],
    ['/elsewhere', 'Download of the voice file failed'],
  ]) {
    await page.fill('#link', bucket.url + path)
    await page.click('#play')
    await status(page, text)
  }
})

test('the time limit and the signal end the work', async (t) => {
  const page = await open(t)
  const long = bytes(nb, ...Array(400).fill(nb.slice(6))) // 20 minutes of sound, which take seconds to decode
  assert.deepEqual(await opened(page, long, { timeLimit: 200 }), { why: 'slow' })
  const [silent, given] = await page.evaluate(async (link) => {
    const { openVoice } = await import('/voice.js')
    const stop = new AbortController()
    setTimeout(() => stop.abort('enough'), 100)
    return Promise.all([
      openVoice(link, { timeLimit: 200 }).catch((e) => e.why),
      openVoice(link, { signal: stop.signal }).catch((e) => e),
    ])
  }, `${bucket.url}/silent`)
  assert.deepEqual([silent, given], ['slow', 'enough'])
  await noThreads(page)
})

test('changed bytes leave the page working', async (t) => {
  const page = await open(t, { quiet: false }) // the decoders log their errors
  for (let seed = 100; seed < 110; seed++) {
    for (const file of [nb, wb, tencent]) {
      const got = await opened(page, mutated(file, seed), { timeLimit: 5000 })
      assert.ok(got.seconds <= 3.1 || got.why === 'damaged' || got.why === 'slow', `seed ${seed}: ${got.why}, ${got.seconds} s`)
    }
  }
  await noThreads(page)
  await choose(page, 'tone.amr', nb)
  await status(page, 'AMR-NB · 3.0 s')
})

test('the decoder thread needs eval for SILK only and reaches no network', async (t) => {
  const strict = await serve(0, { ...policies, decoder: "default-src 'none'; script-src 'wasm-unsafe-eval'; connect-src data:" })
  t.after(strict.close)
  const page = await open(t, { from: strict, quiet: false })
  assert.equal((await opened(page, nb)).format, 'AMR-NB')
  assert.equal((await opened(page, tencent)).why, 'decoder')
  assert.equal((await opened(page, nb, { decoder: '/missing.js' })).why, 'decoder')

  const own = await open(t, { quiet: false })
  const started = own.waitForEvent('worker')
  await own.evaluate(() => void (globalThis.kept = new Worker('/voice-decoder.js', { type: 'module' })))
  const thread = await started
  const reach = (link) => thread.evaluate((link) => fetch(link).then(() => 'reached', () => 'refused'), link)
  assert.equal(await reach('data:,x'), 'reached')
  assert.equal(await reach(site.url), 'refused')
  assert.equal(await reach(`${bucket.url}/voice.amr?X-Amz-Signature=1`), 'refused')
})

test('README.md has the tested policies', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  for (const policy of Object.values(policies)) assert.ok(readme.includes(policy), policy)
})
