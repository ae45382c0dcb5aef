// Makes contact sheets of every golden message: Chinese and English, wide and phone.
// `make gallery` writes them to web/dist/gallery/sheets.
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const built = fileURLToPath(new URL('../dist/gallery/', import.meta.url))
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"

/** Serves the gallery on the loopback address under the policy of the console. */
export async function serve() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://x')
    const file = pathname === '/' ? 'index.html' : pathname.slice(1)
    const body = /^[\w./-]+$/.test(file) && !file.includes('..') && (await readFile(join(built, file)).catch(() => undefined))
    response.writeHead(body ? 200 : 404, { 'content-type': `${types[extname(file)] ?? 'text/plain'}; charset=utf-8`, 'content-security-policy': policy })
    response.end(body)
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) }
}

export const shapes = { wide: { width: 1440, height: 1000 }, phone: { width: 390, height: 844 } }

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const site = await serve()
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
  const out = join(built, 'sheets')
  await mkdir(out, { recursive: true })
  for (const [shape, viewport] of Object.entries(shapes)) {
    const page = await browser.newPage({ viewport, hasTouch: shape === 'phone', isMobile: shape === 'phone' })
    const most = shape === 'wide' ? 36 : 12
    for (const lang of ['zh', 'en']) {
      for (let first = 0; ; first += most) {
        await page.goto(`${site.url}?lang=${lang}&only=${first}-${first + most - 1}`)
        await page.waitForSelector('main')
        if ((await page.locator('article').count()) === 0) break
        await page.evaluate(() => document.fonts.ready)
        await page.waitForTimeout(150)
        await page.screenshot({ path: join(out, `${lang}-${shape}-${String(first).padStart(3, '0')}.png`), fullPage: true })
      }
    }
    await page.close()
  }
  await browser.close()
  site.close()
  console.log(out)
}
