// Every page, in a wide window and on a phone: nothing for axe, nothing that the
// policy refuses, nothing wider than the window, and the size of the
// first view. `make gallery` has the chats; SCREENS=<folder> keeps pictures.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { accessible, closeWindow, looks, openWindow, signIn, startBrowser, startCloud } from './cloud.js'

const corp = 'ww0123456789abcdef'
const dist = new URL('../../../functions/api/internal/console/dist/', import.meta.url).pathname
let cloud, browser
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
  await cloud.wecom(corp, 'POST', '/messages', { every: true })
  await setAside()
  await sendEvents()
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

/** A key that the archive has not got, and how many records it seals: more than one page of a list. */
const foreign = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } })
const sealed = 103

/** Lets the company use the foreign key for some messages, and then its own key again. */
async function setAside() {
  const { public_key: own } = await cloud.ask(corp, 'admin', 'GET', '/setup')
  const { version } = await cloud.wecom(corp, 'POST', '/keys', foreign.publicKey)
  const [, , from, to] = (await cloud.wecom(corp, 'GET', '')).staff
  await cloud.wecom(corp, 'POST', '/messages', { drafts: Array.from({ length: sealed }, (_, n) => ({ from: from.userid, to: [to.userid], text: `${n}` })) })
  await cloud.wecom(corp, 'POST', '/keys', own)
  foreign.version = version
  await setAsideIs(sealed)
}

/** Has WeCom send two events: one whose body has markup of a stranger, and one of a type without a name. */
async function sendEvents() {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const event = { event: 'change_external_contact', change_type: 'edit_external_contact', user_id: staff[0].userid, external_user_id: '<img src=x>' }
  await cloud.wecom(corp, 'POST', '/events', event)
  await cloud.wecom(corp, 'POST', '/events', { ...event, event: 'change_of_2030', change_type: '', external_user_id: customers[0].external_userid })
  while ((await cloud.ask(corp, 'auditor', 'GET', `/events?day=${today}`)).events.length < 2) await new Promise((resolve) => setTimeout(resolve, 300))
}

async function setAsideIs(n) {
  while ((await cloud.ask(corp, 'auditor', 'GET', '/status')).set_aside.count !== n) await new Promise((resolve) => setTimeout(resolve, 300))
}

const today = new Intl.DateTimeFormat('en-CA', { timeZone: 'Asia/Shanghai' }).format(new Date())
const paths = ['/status', '/scope', '/setup/0', '/setup/1', '/setup/2', '/setup/3', '/setup/4', '/setup/5', '/setup/6', '/setup/7', '/proof', `/proof/${today}`, '/proof/set-aside', '/proof/events', '/audit', '/nowhere']

/** Finds tables that scroll sideways. */
async function fits(page, path) {
  if (path === '/status') await page.getByRole('button', { name: /^(以表格显示|Show as a table)$/ }).click()
  const boxes = await page.locator('.table-box').evaluateAll((all) => all.map((box) => [box.getAttribute('aria-labelledby') ?? box.ariaLabel, box.scrollWidth - box.clientWidth]))
  assert.deepEqual(boxes.filter(([, wider]) => wider > 0), [], path)
}

for (const { language, size, options } of looks) {
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
      if (size === 'phone') await fits(page, path)
      if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-${size}${path.replaceAll('/', '-')}.png`, fullPage: true })
    }
    assert.deepEqual(page.complaints, [])
    await closeWindow(page)
  })
}

/** Presses a button within a place and returns the file that it saves. */
async function saved(place, name) {
  const [download] = await Promise.all([place.page().waitForEvent('download'), place.getByRole('button', { name }).click()])
  return [download.suggestedFilename(), await readFile(await download.path(), 'utf8')]
}

test('a day is verified from its page, and every table is saved as CSV', async () => {
  await cloud.ask(corp, 'admin', 'POST', '/doctor')
  while ((await cloud.ask(corp, 'auditor', 'GET', '/scope')).members.length === 0) await new Promise((resolve) => setTimeout(resolve, 300))
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `all@${corp}`, `/proof/${today}`)
  await page.getByRole('button', { name: '核验这一天' }).click()
  await page.getByText('核验通过：原始数据、哈希链、消息和文件一致。').first().waitFor({ timeout: 60_000 })
  await page.locator('.notice.good').getByText(/^范围：seq \d+ 之后至 seq \d+，\d{4}年.*\d\d:\d\d:\d\d 完成。$/).waitFor()
  await page.locator('section.card').getByText('相邻两行之间跳过的 seq 不计为缺口').waitFor()
  const card = (title) => page.locator('section.card').filter({ has: page.getByRole('heading', { name: typeof title === 'string' ? new RegExp(`^${title}`) : title }) })
  const statement = await saved(page.locator('main'), '下载 JSON')
  assert.equal(statement[0], `statement-${today}.json`)
  assert.ok(JSON.parse(statement[1]).stored > 30)
  const go = (section) => page.getByRole('navigation', { name: '主导航' }).getByRole('link', { name: section }).click()
  const tables = [
    [undefined, '存档台账', `ledger-${today}.csv`, /^\ufeff时间,[^\n]*,after,first,last,state,prev\r\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,页,\d+ – \d+,\d+,完成,/],
    ['证明', '最近 31 天', new RegExp(`^statements-.*-${today}\\.csv$`), /^\ufeff日期,拉取,/],
    ['状态', '最近 30 天', `days-${today}.csv`, /^\ufeff日期,拉取,[^\n]*\n\d{4}-/],
    ['状态', '重新解析与核验', 'jobs.csv', /^\ufeff时间,任务,[^\n]*,id,created_at,verify,from_seq,to_seq,progress,by,stopped_by,pages,faults,updated_at\r\n.*,核验,/s],
    ['状态', '消息类型', 'types.csv', /^\ufeff类型,条数,[^\n]*\n.*文本,\d+,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,[^\n]*,text,/s],
    ['范围与同意', /在开启范围内的成员$/, `scope-${today}.csv`, /^\ufeff成员,成员 ID,版本,进入,离开,edition\r\n[^\n]*,企业版,\d{4}-\d\d-\d\d,,\d\r\n/],
    ['审计', new RegExp(`^${new Intl.DateTimeFormat('zh-CN', { dateStyle: 'long', timeZone: 'Asia/Shanghai' }).format(new Date())}\\s*$`), `readings-${today}.csv`, /^\ufeff时间.*,谁的会话,at,by,role,conversation,list,party,room,day\r\n.*,查看者,会话列表/s],
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
  await closeWindow(page)
})

/** A job as the list of jobs answers it. */
const jobOf = (more) => ({
  id: '20260131T080000.000Z-K7NQ2', created_at: '2026-01-31T08:00:00Z', by: 'wang.min', from_seq: '0', to_seq: '4711', set_aside_only: false, publickey_ver: null,
  next_seq: '2000', pages: 2, updated_at: '2026-01-31T08:00:09Z', done: true, failed: false, stopped_by: null, progress: 1, verify: true, weekly: false, chain_only: false, faults: 0, findings: [], ...more,
})
const names = { people: { 'wang.min': { name: '王敏', kind: 'member', avatar: null, company: null }, 'lin.hua': { name: '林华', kind: 'member', avatar: null, company: null } }, rooms: {}, missing: {} }

for (const [language, words] of Object.entries({
  zh: { stopped: '已由 林华 停止', weekly: '抽查一致', chain: '未核对消息：Secret 被拒绝', proved: '一致', running: '进行中', stop: '停止', verify: '核验这一天', day: '核验已由 林华 停止，其余部分没有核验。', faults: '3 处不一致', by: '王敏', passed: '核验通过' },
  en: { stopped: 'Stopped by 林华', weekly: 'Sample agrees', chain: 'Messages not compared: Secret refused', proved: 'Agrees', running: 'Running', stop: 'Stop', verify: 'Verify this day', day: '林华 stopped the verification. The rest is not verified.', faults: '3 disagreements', by: '王敏', passed: 'Verified:' },
})) {
  test(`a job that was stopped is no success, and one that runs can be stopped, in ${language}`, async () => {
    const jobs = [
      jobOf({ id: 'running', done: false, progress: 0.4259 }),
      jobOf({ id: 'decoding', done: false, verify: false, progress: null }),
      jobOf({ id: 'stopped', stopped_by: 'lin.hua', progress: 0.5 }),
      jobOf({ id: 'stopped after faults', stopped_by: 'lin.hua', progress: 0.5, faults: 3 }),
      jobOf({ id: 'weekly', weekly: true, by: 'weekly' }),
      jobOf({ id: 'chain', weekly: true, chain_only: true, by: 'weekly' }),
      jobOf({ id: 'proved' }),
    ]
    for (const [user, path, stops] of [['all', '/status', 2], ['auditor', '/status', 1]]) {
      const page = await openWindow(browser, cloud, { language })
      await page.route('**/replays', (route) => (route.request().method() === 'GET' ? route.fulfill({ json: { replays: jobs, names } }) : route.fulfill({ status: 202, json: jobs[0] })))
      await page.route('**/replays/running', (route) => route.fulfill({ json: jobs[2] }))
      await signIn(page, cloud, `${user}@${corp}`, path)
      const rows = page.locator('section.card').filter({ has: page.locator('#jobs') }).locator('tbody tr')
      const results = async () => (await rows.locator('.job-result .tag').allInnerTexts()).map((text) => text.trim())
      await rows.nth(5).waitFor()
      assert.deepEqual(await results(), [words.running, words.running, words.stopped, words.stopped, words.faults, words.weekly, words.chain, words.proved])
      await rows.first().getByText('42%').waitFor()
      assert.equal(await rows.locator('progress').count(), 1, 'a job whose range is not known has no bar')
      await rows.first().getByRole('cell', { name: words.by, exact: true }).waitFor()
      assert.equal(await rows.getByRole('button').count(), stops, 'an auditor stops verifications only')
      assert.deepEqual(await accessible(page), [])
      const asked = page.waitForRequest((r) => r.method() === 'POST' && r.url().endsWith('/replays/running/stop'))
      await page.route('**/replays/running/stop', (route) => route.fulfill({ json: jobs[2] }))
      await rows.first().getByRole('button', { name: new RegExp(`^${words.stop}`) }).click()
      await asked
      // The day says the same of its own verification.
      await page.goto(`${cloud.console}/proof/${today}`)
      await page.getByRole('button', { name: words.verify }).click()
      await page.locator('.notice').getByText(words.day).waitFor()
      await page.locator('[aria-live]').getByText(words.day).waitFor({ state: 'attached' })
      assert.equal(await page.getByText(words.passed).count(), 0)
      assert.deepEqual(await accessible(page), [])
      assert.deepEqual(page.complaints, [])
      await closeWindow(page)
    }
  })
}

test('what a verification finds is listed, and saved as CSV', async () => {
  const page = await openWindow(browser, cloud)
  const findings = [{ what: 'journal_changed', after: '40', seq: null }, { what: 'message_missing', after: '50', seq: '51' }]
  await page.route('**/replays', (route) => (route.request().method() === 'GET' ? route.continue() : route.fulfill({ status: 202, json: jobOf({ id: 'found', done: false }) })))
  await page.route('**/replays/found', (route) => route.fulfill({ json: jobOf({ id: 'found', faults: 150, findings }) }))
  await signIn(page, cloud, `auditor@${corp}`, `/proof/${today}`)
  await page.getByRole('button', { name: '核验这一天' }).click()
  await page.getByRole('alert').getByText('核验发现 150 处不一致').waitFor()
  await page.getByText('此处列出前 100 处。').waitFor()
  const table = page.getByRole('group', { name: '核验发现 150 处不一致' })
  assert.deepEqual(await table.locator('tbody tr').evaluateAll((all) => all.map((row) => [...row.cells].map((c) => c.textContent.trim()))), [['原始页被改动', '40', '—'], ['缺少消息', '50', '51']])
  const [name, csv] = await saved(page.locator('section.card').filter({ has: table }), '下载 CSV')
  assert.equal(name, `findings-${today}.csv`)
  assert.equal(csv, '\ufeff问题,所在台账行（此 seq 之后）,seq,what\r\n原始页被改动,40,,journal_changed\r\n缺少消息,50,51,message_missing\r\n')
  assert.deepEqual(await accessible(page), [])
  assert.deepEqual(page.complaints, [])
  await closeWindow(page)
})

const reasons = {
  md5_differs: ['校验值不符', 'wrong checksum'], trusted_ip: ['可信IP地址中缺少系统的出口地址', "address missing in WeCom's 可信IP地址"], wecom_busy: ['企业微信繁忙', 'WeCom is busy'], tls: ['证书校验失败', 'certificate not accepted'],
  library_crash: ['SDK 异常退出', 'library stopped unexpectedly'], 'sdk_-1': ['SDK 错误码 -1', 'library code -1'],
}
for (const [n, language] of ['zh', 'en'].entries()) {
  test(`a file says in words why it waits, and a date that is out of range is refused, in ${language}`, async () => {
    const page = await openWindow(browser, cloud, { language })
    const file = { message_id: 'm', parties: ['lin.hua', 'wmA'], room: null, seq: '4711', msgid: 'm', time: '2026-01-31T08:00:00Z', kind: 'image', size: 10, tries: 1, deadline: '2026-02-05T08:00:00Z', hours_left: null }
    await page.route('**/v1/**/files?*', (route) => route.fulfill({ json: { files: Object.keys(reasons).map((reason, i) => ({ ...file, msgid: `m${i}`, reason })), whole: true, names, next: null } }))
    await page.route('**/v1/**/status', async (route) => {
      const answer = await route.fetch()
      const json = await answer.json()
      await route.fulfill({ json: { ...json, files: { ...json.files, waiting: 6, problems: { failed: 6 } } } })
    })
    await signIn(page, cloud, `all@${corp}`, '/status')
    await page.locator('.file-count').first().click()
    for (const words of Object.values(reasons)) await page.getByRole('cell', { name: words[n], exact: true }).waitFor()
    assert.deepEqual(await accessible(page), [])
    const [name, csv] = await saved(page.locator('.file-list'), language === 'zh' ? '下载 CSV' : 'Download CSV')
    assert.equal(name, 'files-waiting.csv')
    assert.match(csv, new RegExp(`,${reasons.wecom_busy[n]},[^\\n]*,wecom_busy,[^,]*,m\\r\\n`))

    // A failed file leads to its chat, and is asked for again.
    let asked
    await page.route('**/v1/**/replays', (route) => {
      if (route.request().method() !== 'POST') return route.continue()
      asked = route.request().postDataJSON()
      return route.fulfill({ status: 202, json: jobOf({ verify: false, done: false }) })
    })
    await page.locator('.file-count').nth(1).click()
    const failed = page.locator('.file-list tbody tr').first()
    assert.match(await failed.getByRole('link', { name: /^林华 ↔ / }).getAttribute('href'), /\/console\/open\?message=m$/)
    await failed.getByRole('button', { name: language === 'zh' ? '重新下载' : 'Fetch again' }).click()
    await failed.getByText(language === 'zh' ? '任务已开始' : 'The job has started').waitFor()
    assert.deepEqual(asked, { from_seq: '4710', to_seq: '4711' })
    assert.deepEqual(await accessible(page), [])
    if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-failed-files.png`, fullPage: true })

    await page.goto(`${cloud.console}/audit/${today}`)
    const day = page.getByLabel(language === 'zh' ? '至' : 'To', { exact: true })
    await day.fill('2019-12-31')
    await day.press('Enter')
    const says = page.getByRole('alert').getByText(language === 'zh' ? `请输入 2020-01-01 至 ${today} 之间的日期。` : `Enter a date from 2020-01-01 to ${today}.`)
    await says.waitFor()
    assert.equal(new URL(page.url()).pathname, `/console/audit/${today}`)
    assert.deepEqual(await accessible(page), [])
    await day.fill('2020-01-01')
    await page.waitForURL('**/audit/2020-01-01')
    await says.waitFor({ state: 'detached' })
    assert.ok(await page.locator('.day-step').first().isDisabled())

    // A day that does not exist, or has not come, has no page.
    const go = (to) => page.evaluate((to) => { history.pushState(history.state, '', to); dispatchEvent(new PopStateEvent('popstate', { state: history.state })) }, `/console${to}`)
    for (const noDay of ['/proof/2026-13-45', '/proof/events/2026-02-30', '/audit/2099-01-01', '/scope/2026-13-45']) {
      await go('/setup/0')
      await page.locator('#step-title').waitFor()
      await go(noDay)
      await page.getByRole('heading', { name: language === 'zh' ? '没有这个页面' : 'Page not found', level: 1 }).waitFor()
    }
    // The first day of an address follows the last, and the page says so.
    const monthAgo = new Date(Date.parse(today) - 30 * 86_400_000).toISOString().slice(0, 10)
    for (const [asked, shown] of [['2026-01-01', monthAgo], ['2026-13-45', today]]) {
      await go(`/audit/${today}?from=${asked}`)
      await page.locator('.notice').getByText(language === 'zh' ? `「${asked}」无效` : `“${asked}”, which does not work`).waitFor()
      assert.equal(await page.getByLabel(language === 'zh' ? '从' : 'From', { exact: true }).inputValue(), shown)
    }
    assert.deepEqual(await accessible(page), [])
    assert.deepEqual(page.complaints, [])
    await closeWindow(page)
  })
}

test('the records set aside are listed with why and what to do, until the missing key is imported', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `all@${corp}`, '/status')
  await page.getByRole('link', { name: `查看 ${sealed} 条搁置的记录` }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: '搁置的记录', level: 1 }).waitFor()
  const table = page.getByRole('group', { name: '记录（按 seq 排列）' })
  const rows = table.locator('tbody tr')
  await rows.first().waitFor()
  assert.equal(await rows.count(), 100, 'a list has a hundred records at first')
  await page.getByRole('button', { name: '加载更多' }).focus()
  await page.keyboard.press('Enter')
  await rows.nth(sealed - 1).waitFor()
  assert.equal(await page.getByRole('button', { name: '加载更多' }).count(), 0)
  assert.ok(await table.evaluate((box) => box === document.activeElement), 'the focus of the button goes to the table')
  const { set_aside: list } = await cloud.ask(corp, 'auditor', 'GET', `/set-aside?limit=1`)
  const { seq, after, msgid } = list[0]
  assert.deepEqual((await rows.first().getByRole('cell').allInnerTexts()).slice(1), [seq, String(foreign.version), '缺失', '缺少对应版本的密钥'])
  await page.getByText('请企业管理员导入该版本的私钥').waitFor()
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: '下载 CSV' }).click()])
  assert.equal(saved.suggestedFilename(), 'set-aside.csv')
  const lines = (await readFile(await saved.path(), 'utf8')).trim().split('\r\n')
  assert.equal(lines.length, 1 + sealed)
  assert.match(lines[1], new RegExp(`^\\d{4}-[^,]*,${seq},${foreign.version},缺失,缺少对应版本的密钥,[^,]*导入该版本的私钥[^,]*,\\d{4}-[^,]*Z,${after},${msgid},no_key,$`))
  await rows.first().getByRole('link', { name: seq }).click()
  await page.getByText(`标出的一行包含 seq ${seq}。`).waitFor()
  await page.goBack()
  await page.getByRole('link', { name: '前往第 3 步导入私钥' }).click()
  await page.getByRole('button', { name: '导入私钥' }).waitFor()
  assert.deepEqual(page.complaints, [])
  await closeWindow(page)

  // An admin sees the list, but no ledger.
  const admin = await openWindow(browser, cloud, { language: 'en' })
  await signIn(admin, cloud, `admin@${corp}`, '/proof/set-aside')
  await admin.getByRole('cell', { name: seq, exact: true }).waitFor()
  assert.equal(await admin.getByRole('link', { name: seq }).count(), 0)
  await cloud.ask(corp, 'admin', 'POST', '/keys/import', { private_key: foreign.privateKey, publickey_ver: foreign.version })
  await setAsideIs(0)
  await admin.goto(`${cloud.console}/proof/set-aside`)
  await admin.getByText('No record is set aside.').waitFor()
  assert.deepEqual(await accessible(admin), [])
  assert.deepEqual(admin.complaints, [])
  await closeWindow(admin)
})

test('the callback events of a day are listed with what WeCom sent', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `auditor@${corp}`, '/proof')
  await page.getByRole('link', { name: today }).click()
  await page.getByRole('link', { name: '当天的回调事件' }).click()
  const row = page.getByRole('row').filter({ hasText: '客户信息有变更' })
  await row.getByText('change_external_contact · edit_external_contact').waitFor()
  await page.getByRole('row').filter({ hasText: 'change_of_2030' }).waitFor()
  await row.getByRole('button', { name: '查看原文' }).focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: '事件原文' })
  const { events } = await cloud.ask(corp, 'auditor', 'GET', `/events?day=${today}`)
  const event = events.find((e) => e.change_type === 'edit_external_contact')
  await dialog.getByText(event.envelope.msg_signature).waitFor()
  const body = Buffer.from(event.body, 'base64').toString()
  assert.equal(await dialog.getByRole('group', { name: '原文' }).textContent(), body)
  assert.match(body, /<img src=x>/)
  assert.deepEqual(await accessible(page), [])
  if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/zh-wide-event.png` })
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: '下载 CSV' }).click()])
  assert.equal(file.suggestedFilename(), `events-${today}.csv`)
  const csv = await readFile(await file.path(), 'utf8')
  assert.ok(csv.includes(`,客户信息有变更,${body},${event.at},${event.sent_at},${event.arrived_at},change_external_contact,edit_external_contact,${event.envelope.msg_signature},`), csv)
  await page.getByRole('button', { name: '前一天' }).click()
  await page.getByText('这一天没有收到事件。').waitFor()
  assert.deepEqual(await accessible(page), [])

  // A day with more events than one answer has, and more than the archive stores.
  await page.route('**/events?*', (route) => {
    const second = route.request().url().includes('page=')
    const part = Array.from({ length: second ? 5 : 100 }, () => event)
    return route.fulfill({ json: { events: part, dropped: 1234, next: second ? null : 'c2Vjb25k' } })
  })
  await page.goto(`${cloud.console}/proof/events/${today}`)
  await page.getByText('这一天的事件过多，另有 1,234 个未保存。').waitFor()
  // The file has the whole list.
  const [, whole] = await saved(page.locator('main'), '下载 CSV')
  assert.equal(whole.split('\r\n').filter((l) => l.includes(event.envelope.msg_signature)).length, 105)
  await page.locator('tbody tr').nth(104).waitFor()
  assert.equal(await page.getByRole('button', { name: '加载更多' }).count(), 0)
  assert.deepEqual(page.complaints, [])
  await closeWindow(page)
})

/** Has a reader read the chats of a member, and waits until the archive knows the name. */
async function named(id) {
  await cloud.ask(corp, 'reader', 'GET', `/conversations?member=${id}`)
  for (;;) {
    const { people } = await cloud.ask(corp, 'service', 'GET', '/people?kind=member')
    const found = people.find((p) => p.id === id)
    if (found?.name) return found
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

test('an admin sees thirty days and who read what, by name', async () => {
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
  await page.getByText('这段时间没有人查看会话').waitFor()
  await page.getByRole('button', { name: '不再只看 nobody' }).click()

  // From a reading to those of its reader and its chat, over more days than one.
  const { conversations } = await cloud.ask(corp, 'auditor', 'GET', '/conversations?member=lin.hua&limit=1')
  await cloud.ask(corp, 'auditor', 'GET', `/conversations/${conversations[0].id}/messages?limit=1`, undefined, 'lin.hua')
  await page.goto(`${cloud.console}/audit?conversation=${conversations[0].id}`)
  await page.getByRole('cell', { name, exact: true }).or(page.getByRole('cell', { name: `${name} lin.hua`, exact: true })).first().waitFor()
  const first = new Date(Date.parse(today) - 30 * 86_400_000).toISOString().slice(0, 10)
  assert.equal(await page.getByLabel('从', { exact: true }).inputValue(), first)
  await page.getByRole('button', { name: /^只看此人：/ }).first().click()
  await page.waitForURL((url) => url.searchParams.get('viewer') === 'lin.hua' && url.searchParams.get('from') === first)
  assert.equal(await page.getByRole('button', { name: /^只看/ }).count(), 0, 'what is chosen is offered again')
  assert.equal(await page.getByRole('button', { name: /^不再只看/ }).count(), 2)
  assert.deepEqual(await accessible(page), [])
  // An earlier last day: the first day follows.
  await page.getByLabel('从', { exact: true }).fill('2026-01-31')
  await page.waitForURL('**/audit/2026-03-02?from=2026-01-31&**')
  await page.getByLabel('至', { exact: true }).fill('2026-01-05')
  await page.waitForURL((url) => url.pathname.endsWith('/audit/2026-01-05') && !url.searchParams.has('from'))
  await closeWindow(page)
})

for (const [language, words] of Object.entries({
  zh: { locale: 'zh-CN', month: 'long', list: (day) => `${day}全部会话的列表`, everyone: '所有人', csv: '下载 CSV', reader: '查看者' },
  en: { locale: 'en', month: 'short', list: (day) => `List of all chats of ${day}`, everyone: 'Everyone', csv: 'Download CSV', reader: 'Reader' },
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
      // The two tests may be far enough apart for a reading of each.
      await row.getByRole('cell', { name: `${name} ${id}`, exact: true }).first().waitFor()
      await row.getByRole('cell', { name: words.everyone, exact: true }).first().waitFor()
    }
    await page.getByRole('cell', { name: language === 'zh' ? '未注明参与者的消息' : 'Messages that name no participant', exact: true }).first().waitFor()
    assert.deepEqual(await accessible(page), [])
    if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-readings.png`, fullPage: true })
    // On a phone each reading is a card, whose values stand beside their labels.
    await page.setViewportSize({ width: 320, height: 720 })
    const cells = page.locator('tbody td')
    const outside = await cells.evaluateAll((all) => all.filter((c) => c.getBoundingClientRect().right > innerWidth || !c.dataset.label || getComputedStyle(c, '::before').display === 'none').map((c) => c.textContent))
    assert.deepEqual(outside, [])
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320)
    await fits(page, '/audit')
    assert.deepEqual(await accessible(page), [])
    if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-readings-phone.png`, fullPage: true })
    const [, csv] = await saved(page.locator('main'), words.csv)
    for (const { iso } of days) {
      const line = csv.split('\r\n').find((l) => l.endsWith(`,${id},reader,,day,,,${iso}`))
      assert.ok(line?.includes(`,${name},${words.reader},`) && line.includes(words.everyone), csv)
    }
    assert.deepEqual(page.complaints, [])
    await closeWindow(page)
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
  const [name, csv] = await saved(page.locator('section.card').filter({ has: page.locator('#consents') }), '下载 CSV')
  assert.equal(name, 'consent-counts.csv')
  assert.match(csv, /^\ufeff会话,同意,不同意,未答复\r\n单聊,1,2,0\r\n群聊,/)
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
  await closeWindow(page)
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
  await closeWindow(page)
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
    await closeWindow(page)
  }
})
