// The built page and package in a real browser, under the policies that
// README.md gives.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { policies, serve } from '../serve.js'
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

/** What the links of the archive lead to: another origin, which answers as a bucket does. */
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
      case '/elsewhere': // another origin's page may not read it
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

/** A page of the site, which may break no policy nor say anything on the console. */
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

const noWorkers = async (page) => {
  for (let n = 0; page.workers().length > 0 && n < 100; n++) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(page.workers().length, 0)
}

const choose = (page, name, file) => page.setInputFiles('#file', { name, mimeType: 'audio/amr', buffer: Buffer.from(file) })

const status = async (page, text) => {
  await page.waitForFunction((text) => document.querySelector('#status').textContent.includes(text), text, { timeout: 30_000 })
}

/** How long the page's <audio> lasts, and the loudest frequency that comes out of it once it has played for a while. */
function played(page) {
  return page.evaluate(async () => {
    const audio = document.querySelector('audio')
    const soon = () => new Promise((resolve) => setTimeout(resolve, 50))
    audio.loop = true // however slow this machine is
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

/** What openVoice gives for the bytes, or why it does not. */
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

test('a file that is chosen plays', async (t) => {
  const page = await open(t)
  await choose(page, 'tone.amr', nb)
  await status(page, 'tone.amr · AMR-NB · 3.0 s')
  await plays(page, 3)
})

test('wideband plays', async (t) => {
  const page = await open(t)
  await choose(page, 'tone.awb', wb)
  await status(page, 'AMR-WB · 1.0 s')
  await plays(page, 1)
})

test('a link that is pasted plays, from another origin', async (t) => {
  const page = await open(t)
  await page.fill('#link', `${bucket.url}/voice.amr?X-Amz-Signature=1`)
  await page.click('#play')
  await status(page, 'SILK · 3.0 s')
  await plays(page, 3)
})

test('a file that is dropped plays, and its predecessor ends', async (t) => {
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

test('the package gives the samples, as WAV', async (t) => {
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

test('what cannot be played is said, in Chinese and English', async (t) => {
  const page = await open(t)
  for (const [file, en, zh] of [
    [bytes('<html>'), 'This is no AMR or SILK voice file.', '这不是 AMR 或 SILK 语音文件。'],
    [bytes('#!AMR\n', noise(1, 5000).with(0, 0xff)), 'The voice file is damaged; nothing', '语音文件已损坏'],
    [tencent.slice(0, 20), 'The voice file is damaged; nothing', '语音文件已损坏'],
    [bytes('\x02#!SILK_V3', Buffer.alloc(300 << 10)), 'too long', '过长'],
    [nb.slice(0, 2000), 'plays up to where it is damaged', '只能播放到损坏处'],
  ]) {
    await choose(page, 'x.amr', file)
    await status(page, en)
    await page.click('#lang')
    await status(page, zh)
    await page.click('#lang')
  }
})

test('links that give nothing are said', async (t) => {
  const page = await open(t, { quiet: false })
  for (const [path, text] of [
    ['/expired', 'has expired'],
    ['/endless', 'too long'],
    ['/elsewhere', 'could not be downloaded'],
  ]) {
    await page.fill('#link', bucket.url + path)
    await page.click('#play')
    await status(page, text)
  }
})

test('nothing lasts longer than its time, or goes on when it is no longer wanted', async (t) => {
  const page = await open(t)
  const long = bytes(nb, ...Array(400).fill(nb.slice(6))) // 20 minutes, for seconds of work
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
  await noWorkers(page)
})

test('changed bytes do no harm', async (t) => {
  const page = await open(t, { quiet: false }) // the decoders say what happened to them
  for (let seed = 100; seed < 110; seed++) {
    for (const file of [nb, wb, tencent]) {
      const got = await opened(page, mutated(file, seed), { timeLimit: 5000 })
      assert.ok(got.seconds <= 3.1 || got.why === 'damaged' || got.why === 'slow', `seed ${seed}: ${got.why}, ${got.seconds} s`)
    }
  }
  await noWorkers(page)
  await choose(page, 'tone.amr', nb)
  await status(page, 'AMR-NB · 3.0 s')
})

test('the worker needs eval for SILK alone, and reaches no network', async (t) => {
  const strict = await serve(0, { ...policies, worker: "default-src 'none'; script-src 'wasm-unsafe-eval'; connect-src data:" })
  t.after(strict.close)
  const page = await open(t, { from: strict, quiet: false })
  assert.equal((await opened(page, nb)).format, 'AMR-NB')
  assert.equal((await opened(page, tencent)).why, 'worker')
  assert.equal((await opened(page, nb, { worker: '/missing.js' })).why, 'worker')

  const own = await open(t, { quiet: false })
  const started = own.waitForEvent('worker')
  await own.evaluate(() => void (globalThis.kept = new Worker('/voice-worker.js', { type: 'module' })))
  const worker = await started
  const reach = (link) => worker.evaluate((link) => fetch(link).then(() => 'reached', () => 'refused'), link)
  assert.equal(await reach('data:,x'), 'reached')
  assert.equal(await reach(site.url), 'refused')
  assert.equal(await reach(`${bucket.url}/voice.amr?X-Amz-Signature=1`), 'refused')
})

test('README.md gives the policies that this was tested under', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  for (const policy of Object.values(policies)) assert.ok(readme.includes(policy), policy)
})
