// Draws every golden message of shared/message with the parts of the console, in both
// languages, on a wide screen and on a phone.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { serve, shapes } from '../gallery.js'
import { accessible, startBrowser, wcag } from './cloud.js'

const golden = new URL('../../../shared/message/testdata/golden/', import.meta.url)
const web = fileURLToPath(new URL('../..', import.meta.url))
let site, browser

before(async () => {
  await promisify(execFile)('npm', ['run', '-s', 'build:gallery'], { cwd: web })
  site = await serve()
  browser = await startBrowser()
})
after(async () => {
  await browser?.close()
  site?.close()
})

for (const lang of ['zh', 'en']) {
  for (const [shape, viewport] of Object.entries(shapes)) {
    test(`every golden message is drawn (${lang}, ${shape})`, async (t) => {
      const page = await browser.newPage({ viewport, hasTouch: shape === 'phone', isMobile: shape === 'phone' })
      t.after(() => page.close())
      const complaints = []
      page.on('console', (m) => complaints.push(m.text()))
      page.on('pageerror', (e) => complaints.push(String(e)))
      await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective}`)))
      await page.goto(`${site.url}?lang=${lang}`)
      await page.locator('article').first().waitFor()
      const names = (await readdir(golden)).filter((f) => f.endsWith('.view.json')).map((f) => f.replace('.view.json', ''))
      assert.deepEqual((await page.locator('article').evaluateAll((all) => all.map((a) => a.dataset.name))).sort(), names.sort())

      const empty = await page.locator('article').evaluateAll((all) => all.filter((a) => a.querySelector('.parts').getBoundingClientRect().height < 15).map((a) => a.dataset.name))
      assert.deepEqual(empty, [])
      const wide = await page.locator('article').evaluateAll((all) => all.filter((a) => a.scrollWidth > a.clientWidth + 1).map((a) => a.dataset.name))
      assert.deepEqual(wide, [])
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= viewport.width)
      if (shape === 'phone') {
        // What a finger presses is as high as Apple and WCAG ask for, except links within a text.
        const small = await page.locator('main').evaluate((main) => [...main.querySelectorAll('button, .visit, summary, .actions a')].filter((e) => e.getBoundingClientRect().height < 44).map((e) => `${e.className} ${e.textContent}`))
        assert.deepEqual(small, [])
      }
      if (lang === 'en') {
        // The messages themselves are Chinese, their labels must not be.
        const labels = await page.locator('.part-card-head > span:first-of-type').allInnerTexts()
        assert.deepEqual(labels.filter((l) => /\p{Script=Han}/u.test(l)), [])
      }
      assert.deepEqual(await accessible(page, wcag), [])
      assert.deepEqual(complaints, [])
    })
  }
}
