// Every page in both languages, wide and on a phone: nothing for axe, nothing
// that the policy refuses, nothing wider than the window, and the size of the
// first view. `make gallery` has the chats; SCREENS=<folder> keeps pictures.
import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { accessible, openWindow, signIn, startBrowser, startCloud } from './cloud.js'

const corp = 'ww0123456789abcdef'
const dist = new URL('../../../functions/api/internal/console/dist/', import.meta.url).pathname
let cloud, browser
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
  await cloud.wecom(corp, 'POST', '/messages', { every: true })
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

const today = new Intl.DateTimeFormat('en-CA', { timeZone: 'Asia/Shanghai' }).format(new Date())
const paths = ['/status', '/scope', '/setup/0', '/setup/1', '/setup/2', '/setup/3', '/setup/4', '/setup/5', '/setup/6', '/setup/7', '/proof', `/proof/${today}`, '/audit', '/nowhere']
const windows = {
  wide: { viewport: { width: 1280, height: 860 } },
  phone: { viewport: { width: 320, height: 720 }, hasTouch: true, isMobile: true },
}

for (const language of ['zh', 'en']) {
  for (const [size, options] of Object.entries(windows)) {
    test(`pages in ${language}, ${size}`, async () => {
      const page = await openWindow(browser, cloud, { language, ...options })
      await signIn(page, cloud, `all@${corp}`, paths[0])
      for (const path of paths) {
        // A change within the page, as by a link: the session goes on.
        await page.evaluate((to) => { history.pushState(history.state, '', to); dispatchEvent(new PopStateEvent('popstate', { state: history.state })) }, `/console${path}`)
        await page.waitForFunction((to) => location.pathname === to, `/console${path}`)
        await page.locator('main h1').waitFor({ state: 'attached' })
        await page.waitForFunction(() => !document.querySelector('.loading, [aria-busy=true]'))
        assert.deepEqual(await accessible(page), [], path)
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        assert.ok(wider <= 0, `${path} is ${wider} px wider than the window`)
        if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-${size}${path.replaceAll('/', '-')}.png`, fullPage: true })
      }
      assert.deepEqual(page.complaints, [])
      await page.context().close()
    })
  }
}

/** Presses a button within a place and returns the file that it saves. */
async function saved(place, name) {
  const [download] = await Promise.all([place.page().waitForEvent('download'), place.getByRole('button', { name }).click()])
  return [download.suggestedFilename(), await readFile(await download.path(), 'utf8')]
}

test('a day is verified from its page, and every table is saved as CSV', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `all@${corp}`, `/proof/${today}`)
  await page.getByRole('button', { name: '核验这一天' }).click()
  await page.getByText('核验通过：原始数据、哈希链、消息和文件一致。').first().waitFor({ timeout: 60_000 })
  const card = (title) => page.locator('section.card').filter({ has: page.getByRole('heading', { name: typeof title === 'string' ? new RegExp(`^${title}`) : title }) })
  const statement = await saved(page.locator('main'), '下载 JSON')
  assert.equal(statement[0], `statement-${today}.json`)
  assert.ok(JSON.parse(statement[1]).stored > 30)
  const go = (section) => page.getByRole('navigation', { name: '主导航' }).getByRole('link', { name: section }).click()
  const tables = [
    [undefined, '存档台账', `ledger-${today}.csv`, /^\ufeff时间,[^\n]*,after,first,last,/],
    ['证明', '最近 31 天', new RegExp(`^statements-.*-${today}\\.csv$`), /^\ufeff日期,拉取,/],
    ['状态', '最近 30 天', `days-${today}.csv`, /^\ufeff日期,拉取,[^\n]*\n\d{4}-/],
    ['状态', '消息类型', 'types.csv', /^\ufeff类型,条数,[^\n]*\n.*text,/s],
    ['范围与同意', /在开启范围内的成员$/, `scope-${today}.csv`, /^\ufeff成员,成员 ID,版本,进入,离开\r\n[^\n]*,企业版,\d{4}-\d\d-\d\d,\r\n/],
    ['审计', new Intl.DateTimeFormat('zh-CN', { dateStyle: 'long', timeZone: 'Asia/Shanghai' }).format(new Date()), `readings-${today}.csv`, /^\ufeff时间.*,谁的会话,by,conversation,list,party,room,day\r\n.*会话列表/s],
  ]
  // Somebody reads a chat, so that the audit has something to show.
  await cloud.ask(corp, 'reader', 'GET', '/conversations?member=lin.hua')
  for (const [section, title, name, content] of tables) {
    if (section) await go(section)
    const [file, text] = await saved(card(title), '下载 CSV')
    assert.match(file, name instanceof RegExp ? name : new RegExp(`^${name.replaceAll('.', '\\.')}$`))
    assert.match(text, content)
  }
  assert.deepEqual(page.complaints, [])
  await page.context().close()
})

/** Waits until the archive knows the name of a member. */
async function named(id) {
  for (;;) {
    const { people } = await cloud.ask(corp, 'service', 'GET', '/people?kind=member')
    const found = people.find((p) => p.id === id)
    if (found?.name) return found
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

test('an admin sees thirty days and who read what, by name', async () => {
  await cloud.ask(corp, 'reader', 'GET', '/conversations?member=lin.hua')
  const { name } = await named('lin.hua')
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${corp}`, '/status')
  await page.getByRole('img', { name: /最近 30 天：已存档/ }).waitFor()
  await page.getByRole('button', { name: '以表格显示' }).click()
  await page.getByRole('rowheader', { name: today }).waitFor()
  await page.getByRole('navigation', { name: '主导航' }).getByRole('link', { name: '审计' }).click()
  await page.getByRole('cell', { name, exact: true }).first().waitFor()
  await page.getByLabel('查看人的 ID').fill('nobody')
  await page.getByRole('button', { name: '筛选' }).click()
  await page.getByText('这一天没有人查看会话').waitFor()
  await page.context().close()
})

for (const [language, words] of Object.entries({
  zh: { locale: 'zh-CN', month: 'long', list: (day) => `${day}全部会话的列表`, everyone: '所有人', csv: '下载 CSV' },
  en: { locale: 'en', month: 'short', list: (day) => `List of all chats of ${day}`, everyone: 'Everyone', csv: 'Download CSV' },
})) {
  test(`the audit says who listed which days, in ${language}`, async () => {
    const { id, name } = await named('lin.hua')
    const days = [0, 1].map((ago) => new Date(Date.now() - ago * 86_400_000)).map((at) => ({
      iso: new Intl.DateTimeFormat('en-CA', { timeZone: 'Asia/Shanghai' }).format(at),
      text: new Intl.DateTimeFormat(words.locale, { year: 'numeric', month: words.month, day: 'numeric', timeZone: 'Asia/Shanghai' }).format(at),
    }))
    for (const { iso } of days) await cloud.ask(corp, 'reader', 'GET', `/conversations?day=${iso}`, undefined, id)
    await cloud.ask(corp, 'reader', 'GET', '/conversations?unplaced=true')
    const page = await openWindow(browser, cloud, { language })
    await signIn(page, cloud, `admin@${corp}`, '/audit')
    for (const { text } of days) {
      const row = page.getByRole('row').filter({ has: page.getByRole('cell', { name: words.list(text), exact: true }) })
      await row.getByRole('cell', { name: `${name} ${id}`, exact: true }).waitFor()
      await row.getByRole('cell', { name: words.everyone, exact: true }).waitFor()
    }
    await page.getByRole('cell', { name: language === 'zh' ? '没有写明参与者的消息' : 'Messages that name no participant', exact: true }).first().waitFor()
    assert.deepEqual(await accessible(page), [])
    if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-readings.png`, fullPage: true })
    const [, csv] = await saved(page.locator('main'), words.csv)
    for (const { iso } of days) {
      const line = csv.split('\r\n').find((l) => l.endsWith(`,${id},,day,,,${iso}`))
      assert.ok(line?.includes(`,${name},reader,`) && line.includes(words.everyone), csv)
    }
    assert.deepEqual(page.complaints, [])
    await page.context().close()
  })
}

test('the scope of a day has its members, editions and days, and the answers of customers are counted', async () => {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [member, gone] = [staff[0], staff[1]]
  for (const [n, agree] of [[0, true], [1, false], [2, false]]) {
    await cloud.wecom(corp, 'POST', '/consent', { customer: customers[n].external_userid, member: member.userid, agree })
  }
  const scope = staff.map((s) => s.userid)
  await cloud.ask(corp, 'admin', 'POST', '/doctor')
  const inScope = async (n) => {
    for (;;) {
      if ((await cloud.ask(corp, 'auditor', 'GET', '/scope?limit=200')).members.filter((m) => m.until === null).length === n) return
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }
  await inScope(scope.length)
  while ((await cloud.ask(corp, 'auditor', 'GET', '/consents/summary')).members.disagree < 2) await new Promise((resolve) => setTimeout(resolve, 300))
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `auditor@${corp}`, '/scope')
  const row = (id) => page.getByRole('row').filter({ hasText: id })
  await row(member.userid).getByRole('cell', { name: '企业版' }).waitFor()
  await row(member.userid).getByText(today).waitFor()
  await page.getByText(`企业版 ${scope.length} 位`).waitFor()
  const counts = await page.getByRole('row').filter({ hasText: '单聊' }).getByRole('cell').allInnerTexts()
  assert.deepEqual(counts, ['单聊', '1', '2', '0'])
  await page.getByText('企业微信不再提供与其有关的消息').waitFor()
  assert.deepEqual(await accessible(page), [])
  // A member who leaves stays on the list of the day, with the day on which the archive learned of it.
  await cloud.wecom(corp, 'PUT', '/scope', { members: scope.filter((id) => id !== gone.userid) })
  await cloud.ask(corp, 'admin', 'POST', '/doctor')
  await inScope(scope.length - 1)
  await page.goto(`${cloud.console}/scope`)
  await row(gone.userid).waitFor()
  assert.deepEqual((await row(gone.userid).getByRole('cell').allInnerTexts()).slice(2), [today, today])
  assert.deepEqual((await row(member.userid).getByRole('cell').allInnerTexts()).slice(2), [today, '仍在范围内'])
  await cloud.wecom(corp, 'PUT', '/scope', { members: scope })
  assert.deepEqual(page.complaints, [])
  await page.context().close()
})

/** Doubles the size of text on the page. Returns the texts that did not grow, or do not fit their boxes. */
const doubled = (page) =>
  page.evaluate(async () => {
    const own = (e) => [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent).join(' ').trim()
    const texts = [...document.querySelectorAll('body *')].filter((e) => own(e) && e.checkVisibility() && !e.closest('svg, .visually-hidden, noscript'))
    const size = (e) => Number.parseFloat(getComputedStyle(e).fontSize)
    const before = texts.map(size)
    document.documentElement.style.fontSize = '200%'
    const name = (e) => `${e.tagName.toLowerCase()}.${e.className} ${own(e).slice(0, 20)}`
    // A text that only a screen reader reads, such as the name beside an icon, is clipped on purpose.
    const clipped = (e) => getComputedStyle(e).overflowY === 'hidden' && getComputedStyle(e).clipPath === 'none' && e.scrollHeight > e.clientHeight + 2
    const faults = () => [...texts.filter((e, n) => size(e) < 1.9 * before[n]).map((e) => `did not grow: ${name(e)}`), ...texts.filter(clipped).map((e) => `does not fit: ${name(e)}`)]
    // The panes take their places after the text has grown.
    for (let tries = 0; tries < 20 && (tries === 0 || faults().length > 0); tries++) await new Promise((resolve) => setTimeout(resolve, 100))
    return faults()
  })

test('every text grows with the size that the reader chose, and fits', async () => {
  const page = await openWindow(browser, cloud, { viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce' })
  const { staff } = await cloud.wecom(corp, 'GET', '')
  await signIn(page, cloud, `all@${corp}`, paths[0])
  for (const path of [...paths, `/chats/members?of=${staff[0].userid}`]) {
    await page.evaluate((to) => { history.pushState(history.state, '', to); dispatchEvent(new PopStateEvent('popstate', { state: history.state })) }, `/console${path}`)
    await page.waitForFunction((to) => location.pathname + location.search === to, `/console${path}`)
    await page.locator('main h1').waitFor({ state: 'attached' })
    await page.waitForFunction(() => !document.querySelector('.loading, [aria-busy=true]'))
    assert.deepEqual(await doubled(page), [], path)
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(wider <= 0, `${path} is ${wider} px wider than the window`)
    assert.deepEqual(await accessible(page), [], path)
    await page.evaluate(() => (document.documentElement.style.fontSize = ''))
  }
  await page.locator('.conversations .list-row').first().click()
  await page.locator('article').first().waitFor()
  // With text of twice the size, a browser takes breakpoints of twice the width: a window of 1280 pixels shows
  // the chat alone. A test cannot change the browser's size of text, so it makes the window narrow.
  await page.setViewportSize({ width: 760, height: 860 })
  assert.deepEqual(await doubled(page), [], 'a chat')
  await page.context().close()
})

test('the first view needs at most 220 KB of scripts', async (t) => {
  for (const path of ['/start', '/status', '/setup/3', '/chats']) {
    const page = await openWindow(browser, cloud)
    await signIn(page, cloud, `all@${corp}`, path)
    await page.locator('main h1').waitFor({ state: 'attached' })
    await page.waitForTimeout(500)
    const scripts = await page.evaluate(() => performance.getEntriesByType('resource').map((r) => new URL(r.name).pathname).filter((p) => p.endsWith('.js')))
    let bytes = 0
    for (const s of new Set(scripts)) bytes += (await stat(dist + s.replace('/console/', '') + '.gz')).size
    t.diagnostic(`${path}: ${(bytes / 1024).toFixed(1)} KB`)
    assert.ok(bytes < 220 * 1024, `${path}: ${bytes} bytes`)
    await page.context().close()
  }
})
