// Starts the local cloud for the tests of the console, and Chromium.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const root = new URL('../../../', import.meta.url).pathname

/** Starts the local cloud on free ports. The schedules run every two seconds. */
export async function startCloud(...args) {
  const flags = ['-no-chat', '-api-port=0', '-control-port=0', '-wecom-port=0', '-login-port=0', '-tick=2s', '-notify=500ms', ...args]
  const child = spawn(`${root}build/cloud`, flags, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  const printed = []
  child.stderr.on('data', (text) => printed.push(text))
  const at = {}
  const lines = createInterface({ input: child.stdout })
  for await (const line of lines) {
    printed.push(line)
    const found = /^(console|API|sign-in|commands) +(http:\S+)/.exec(line)
    if (found) at[found[1]] = found[2]
    if (line.startsWith('Ctrl-C')) break
  }
  if (!at.commands) throw new Error(`the local cloud did not start:\n${printed.join('\n')}`)
  child.stdout.resume()

  async function call(method, path, body) {
    const answer = await fetch(at.commands + path, { method, body: typeof body === 'string' ? body : body && JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }
  return {
    console: at.console,
    api: at.API,
    login: at['sign-in'],
    control: at.commands,
    call,
    /** A command to the console of the simulated WeCom, about one company. */
    wecom: (corp, method, path, body) => call(method, `/wecom/corps/${corp}${path}`, body),
    async addCorp(id, settings = {}) {
      await call('POST', '/wecom/corps', { id, name: '晨星教育', crowd: { staff: 4, customers: 6, rooms: 2 }, ...settings })
      return id
    },
    /** Sends a request to the API as a user who has a role of a company. */
    async ask(corp, role, method, path, body, sub = 'test') {
      const { token } = await call('POST', '/token', { sub, corp, role, staff: '*' })
      const answer = await fetch(`${at.API}/v1/corps/${corp}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
        body: body && JSON.stringify(body),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
      return text ? JSON.parse(text) : undefined
    },
    async stop() {
      child.kill('SIGINT')
      await ended
    },
  }
}

export const startBrowser = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })

/**
 * Opens a window on the console. Whatever the page logs, and whatever its policy
 * refuses, is in page.complaints; the test asserts that it is empty.
 */
export async function openWindow(browser, cloud, { language = 'zh', ...options } = {}) {
  const context = await browser.newContext({ locale: language === 'zh' ? 'zh-CN' : 'en-US', viewport: { width: 1280, height: 860 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  page.complaints = []
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`))
  })
  page.on('console', (m) => {
    // A refused request is the answer of the API; the page shows it.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) page.complaints.push(m.text())
    if (m.type() === 'warning') page.complaints.push(m.text())
  })
  page.on('pageerror', (e) => page.complaints.push(String(e)))
  return page
}

/** Closes a window. Answers that the test is still making for it go nowhere. */
export async function closeWindow(page) {
  await page.unrouteAll({ behavior: 'ignoreErrors' })
  await page.context().close()
}

/**
 * The windows in which a test looks at every page: each language once, and each size once.
 * The phone has English, whose words are the longer ones.
 */
export const looks = [
  { language: 'zh', size: 'wide', options: { viewport: { width: 1280, height: 860 } } },
  { language: 'en', size: 'phone', options: { viewport: { width: 320, height: 720 }, hasTouch: true, isMobile: true } },
]

/** What a browser keeps of a sign-in, for each prepared user. */
const kept = new Map()

/**
 * Signs a prepared user in, and waits until a page of the console is there. The first
 * time a person does that by the page; later windows are those of a browser in which the
 * issuer knows the person, so the console signs in by itself.
 */
export async function signIn(page, cloud, user, path = '') {
  const before = kept.get(cloud.login + user)
  if (before) await page.context().setStorageState(before)
  // The console may leave the page before it has loaded.
  await page.goto(cloud.console + path, { waitUntil: 'commit' })
  if (!before) {
    await page.getByRole('button', { name: /^(登录|Sign in)$/ }).click()
    await page.waitForURL((url) => url.href.startsWith(cloud.login))
    await page.locator(`a[href*="user=${encodeURIComponent(user)}"]`).click()
  }
  await page.waitForURL((url) => url.href.startsWith(cloud.console) && !url.pathname.endsWith('/callback'))
  await page.getByRole('main').waitFor()
  if (!before) kept.set(cloud.login + user, await page.context().storageState())
}

/** Presses Tab until the element with this name has the focus. */
export async function tabTo(page, name, role) {
  const fits = (found) => (typeof name === 'string' ? found === name : name.test(found))
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate(() => {
      const e = document.activeElement
      const label = e.getAttribute('aria-label') ?? (e.labels?.[0] ?? e).textContent
      const role = e.getAttribute('role') ?? ({ INPUT: 'textbox', TEXTAREA: 'textbox', BUTTON: 'button', A: 'link' })[e.tagName]
      return { label: label?.trim() ?? '', role }
    })
    if (fits(focused.label) && (!role || role === focused.role)) return
  }
  throw new Error(`Tab never reaches ${name}`)
}

const axeSource = new URL('../../node_modules/axe-core/axe.min.js', import.meta.url).pathname

export const wcag = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

/** Returns what axe finds on the page: nothing, if all is well. A part of a page has no landmarks, so it has rules of its own. */
export async function accessible(page, rules = [...wcag, 'best-practice']) {
  // The policy of the page refuses a script element; evaluating the source needs none.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(await readFile(axeSource, 'utf8'))
  const faults = () =>
    page.evaluate(async (rules) => {
      const { violations } = await window.axe.run(document, { runOnly: rules })
      return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary}`))
    }, rules)
  // A list hides its new rows until it has measured them: what is wrong in that moment only is no fault of the page.
  let found = await faults()
  for (let tries = 0; tries < 3 && found.length > 0; tries++) {
    await page.waitForTimeout(300)
    found = await faults()
  }
  return found
}
