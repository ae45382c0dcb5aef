// Reads chats in a real browser, from the whole local cloud, as the prepared users.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { accessible, closeWindow, openWindow, signIn, startBrowser, startCloud, tabTo } from './cloud.js'

const corp = 'ww0123456789abcdef'
const ends = []
let cloud, browser

const minute = 60_000
/** The chats of the tests lie in the past, so that the order of lists is known. */
const start = Date.parse('2026-03-02T01:00:00Z')
let sent = 0

/** A message as WeCom's library gives it out. */
const text = (from, to, content, at, more = {}) => ({
  msgid: `t${String(++sent).padStart(6, '0')}`, action: 'send', from, tolist: [].concat(to), roomid: '', msgtime: at, msgtype: 'text', text: { content }, ...more,
})
/** Sends messages in batches, so that thousands need few requests. */
async function postAll(messages) {
  for (let n = 0; n < messages.length; n += 500) {
    const raw = messages.slice(n, n + 500).map((m) => ({
      text: Buffer.from(typeof m === 'string' ? m : JSON.stringify(m)).toString('base64'), ...(m.msgid && { msgid: m.msgid }),
    }))
    await cloud.wecom(corp, 'POST', '/messages', { raw })
  }
}

/** Waits until the archive has decoded all that was sent. */
async function decoded() {
  for (;;) {
    const { journaled, decoded, set_aside: aside = 0 } = lower((await cloud.call('GET', '/counts'))[corp])
    const { total } = await sentCount()
    if (decoded + aside >= total && journaled >= total) return
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}
const lower = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k.replace(/[A-Z]/g, (c, n) => (n ? '_' : '') + c.toLowerCase()), v]))
async function sentCount() {
  const stats = await cloud.call('GET', '/wecom/counts')
  return { total: (stats.corps ?? stats.Corps)[corp].sent ?? (stats.corps ?? stats.Corps)[corp].Sent }
}

before(async () => {
  cloud = await startCloud()
  ends.push(() => cloud.stop())
  browser = await startBrowser()
  ends.unshift(() => browser.close())
  await cloud.ask(corp, 'service', 'PUT', '/contacts', {
    contacts: [
      { id: 'lin.hua', name: '林华', kind: 'member' },
      { id: '0042', name: '陈晨', kind: 'member' },
      { id: 'wmMother', name: '小明妈妈', kind: 'external' },
    ],
  })
  await postAll([...conversation(), ...hostile(), ...many(), ...long()])
  await decoded()
})
after(async () => {
  for (const end of ends) await end()
})

/** A chat of three days with a revoked message and a merged record of four levels. */
function conversation() {
  const record = (level) => ({
    title: `第${level}层`,
    item: [
      { type: 'ChatRecordText', msgtime: (start + level * minute) / 1000, content: JSON.stringify({ content: level === 4 ? '最里面的一句' : `第${level}层的一句` }), from_chatroom: false },
      ...(level < 4 ? [{ type: 'chatrecord', msgtime: start / 1000, content: JSON.stringify(record(level + 1)), from_chatroom: false }] : []),
    ],
  })
  const day = 24 * 60 * minute
  return [
    text('wmMother', 'lin.hua', '老师好，明天几点到？', start),
    text('lin.hua', 'wmMother', '九点[微笑] 看 https://example.com/map', start + minute),
    text('lin.hua', 'wmMother', '报价 3000', start + 2 * minute, { msgid: 'offer' }),
    text('lin.hua', 'wmMother', '', start + 3 * minute, { action: 'recall', msgtype: 'revoke', revoke: { pre_msgid: 'offer' }, text: undefined }),
    { ...text('wmMother', 'lin.hua', '', start + day), msgtype: 'chatrecord', text: undefined, chatrecord: record(1) },
    text('wmMother', 'lin.hua', '第三天的消息', start + 2 * day),
  ]
}

const mark = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
const bidi = 'invoice\u202Efdp.exe'
/** What a stranger may write into every field. */
function hostile() {
  const at = start + 10 * minute
  const from = { from: '0042', tolist: ['wmMother'], roomid: '', action: 'send' }
  const name = 'n'.repeat(1 << 20)
  return [
    text('0042', 'wmMother', `${mark} ${bidi} \u0000\u0007\u001b[31m javascript:window.hacked=1`, at),
    { ...from, msgid: 'h1', msgtime: at + 1000, msgtype: 'link', link: { title: mark, description: `${mark}\u202e`, link_url: 'javascript:window.hacked=1', image_url: 'javascript:window.hacked=1' } },
    { ...from, msgid: 'h2', msgtime: at + 2000, msgtype: 'file', file: { sdkfileid: 'none', md5sum: '', filename: bidi, fileext: 'exe', filesize: 10 } },
    { ...from, msgid: 'h3', msgtime: at + 3000, msgtype: 'weapp', weapp: { title: name, description: name, username: mark, displayname: name } },
    { ...from, msgid: 'h4', msgtime: at + 4000, msgtype: 'hologram', hologram: { [mark]: mark, deep: { x: [1, { y: mark }] } } },
    text('0042', 'wmMother', '一'.repeat(34_000), at + 5000, { msgid: 'h5' }),
    text('0042', 'wmMother', 'x'.repeat(5 << 20), at + 6000, { msgid: 'h6' }),
    '\u0000\u0001 not JSON',
  ]
}

/** One member with ten thousand customers, a hundred a day. */
const customers = 10_000
function many() {
  return Array.from({ length: customers }, (_, n) => text('0000726', `wmC${String(n).padStart(5, '0')}`, `第 ${n} 位客户`, start - (customers - n) * 15 * minute))
}

/** One chat of five thousand messages, of one line to twelve. */
const length = 5000
function long() {
  return Array.from({ length }, (_, n) => text(n % 3 ? '13800001111' : 'wmLong', n % 3 ? 'wmLong' : '13800001111', `${n} ${'一行文字，有长有短。'.repeat(1 + ((n * 7) % 24))}`, start + n * minute))
}

async function open(t, user, path, options) {
  const page = await openWindow(browser, cloud, options)
  t.after(async () => {
    await closeWindow(page)
    assert.deepEqual(page.complaints, [])
  })
  await signIn(page, cloud, `${user}@${corp}`, path)
  return page
}

async function clean(page, what) {
  await page.waitForTimeout(400) // colours on their way are neither here nor there
  assert.deepEqual((await accessible(page)).map((fault) => `${what}: ${fault}`), [])
}

/** Switches archiving off until the test ends. */
async function switchOff(t) {
  const put = (enabled) => cloud.ask(corp, 'admin', 'PUT', '/state', { enabled })
  t.after(() => put(true))
  return (await put(false)).switched.at
}

const rows = (page) => page.locator('article')
/** A text in the messages; the lists beside them may show it too. */
const said = (page, text) => page.locator('article').getByText(text).first()
/** Opens the chat of a member with a customer. */
const pair = (member, customer) => `/open?member=${member}&external_contact=${customer}`
const settled = (page) => page.locator('.feed [aria-busy="false"]').waitFor()

test('a chat shows its days, sides, names, revocations and merged records', async (t) => {
  const page = await open(t, 'reader', pair('lin.hua', 'wmMother'))
  await page.getByRole('heading', { level: 1, name: '小明妈妈' }).waitFor()
  await said(page, '第三天的消息').waitFor()
  assert.deepEqual(await page.locator('.day-line').allInnerTexts(), ['2026年3月2日 星期一', '2026年3月3日 星期二', '2026年3月4日 星期三'])
  assert.equal(await rows(page).first().getAttribute('class').then((c) => c.includes('left')), true)
  const own = page.locator('article.right').first()
  assert.match(await own.getAttribute('aria-label'), /^林华，2026年3月2日 09:01:00，九点/)
  assert.equal(await own.getByRole('img', { name: '表情：微笑' }).innerText(), '🙂')

  const revoked = page.locator('article.revoked')
  assert.equal(await revoked.locator('del').innerText(), '报价 3000')
  assert.match(await revoked.innerText(), /林华 于 09:03 撤回（发出 1 分钟后）/)
  await page.locator('article.event').getByRole('button', { name: '查看' }).click()
  await page.locator('article.lit').getByText('报价 3000').waitFor()

  // An address of another site opens only after a question.
  await said(page, 'https://example.com/map').click()
  await page.getByRole('dialog').getByText('example.com', { exact: true }).waitFor()
  await page.keyboard.press('Escape')

  await page.getByRole('button', { name: /打开聊天记录：第1层/ }).click()
  for (const level of [2, 3, 4]) await page.getByRole('dialog').getByRole('button', { name: new RegExp(`打开聊天记录：第${level}层`) }).click()
  await page.getByRole('dialog').getByText('最里面的一句').waitFor()
  await clean(page, 'a merged record')
  await page.getByRole('button', { name: '返回上一层' }).click()
  await page.getByRole('dialog').getByText('第3层的一句').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  // The messages of one kind are not the whole chat.
  await page.getByText('会话从这里开始').waitFor()
  await page.locator('.chat-tabs').getByRole('button', { name: '聊天记录与笔记' }).click()
  await page.getByText('没有更早的这类消息').waitFor()
  assert.equal(await page.getByText('会话从这里开始').count(), 0)
})

test('the details of a message end in its exact bytes', async (t) => {
  const page = await open(t, 'auditor', pair('lin.hua', 'wmMother'))
  const row = rows(page).filter({ hasText: '第三天的消息' })
  await row.hover()
  await row.locator('.message-more').click()
  const side = page.getByRole('complementary', { name: '消息详情' })
  await side.getByRole('button', { name: '查看原文' }).click()
  await side.getByText('已核对：原文的 SHA-256 与存档记载一致').waitFor()
  const shown = await side.locator('pre').innerText()
  assert.equal(JSON.parse(shown).text.content, '第三天的消息')
  assert.ok((await side.innerText()).includes(createHash('sha256').update(shown).digest('hex')))
  const saved = page.waitForEvent('download')
  await side.getByRole('button', { name: '下载原文' }).click()
  assert.equal(await readFile(await (await saved).path(), 'utf8'), shown)
  await clean(page, 'details')
  await page.goBack() // the panel is a step of the history
  await side.waitFor({ state: 'detached' })
})

test('an auditor comes from a message to its row of the ledger', async (t) => {
  const page = await open(t, 'auditor', pair('lin.hua', 'wmMother'))
  const row = rows(page).filter({ hasText: '第三天的消息' })
  await row.hover()
  await row.locator('.message-more').click()
  const side = page.getByRole('complementary', { name: '消息详情' })
  const seq = Number(await side.locator('dt:text-is("seq") + dd').innerText())
  await side.getByRole('link', { name: '在存档台账中查看' }).click()
  const marked = page.locator('tr[aria-current]')
  await marked.waitFor()
  const [first, last] = (await marked.locator('td').nth(2).innerText()).split(' – ').map(Number)
  assert.ok(first <= seq && seq <= last, `${first} – ${last} does not hold ${seq}`)
  assert.ok(await marked.evaluate((r) => r.getBoundingClientRect().bottom <= innerHeight), 'the row is in sight')
  await clean(page, 'the row of a message')
  await page.getByRole('link', { name: '从当天第一行开始显示' }).click()
  await page.waitForURL((url) => url.search === '')
  await page.goto(`${cloud.console}/proof/record/999999999`)
  await page.getByText('存档台账中没有包含这条记录的行').waitFor()
})

test('a link leads to its message, and a date to its day', async (t) => {
  const page = await open(t, 'reader', pair('13800001111', 'wmLong'))
  await said(page, '4999 一行').waitFor()
  const chat = new URL(page.url())
  await page.getByRole('button', { name: '跳到日期' }).click()
  await page.locator('input[type=date]').fill('2026-03-03')
  await page.getByRole('button', { name: '跳转' }).click()
  await page.locator('article.lit').waitFor()
  const day = await page.locator('article.lit').getAttribute('aria-label')
  assert.match(day, /2026年3月3日 00:00:00/)
  const id = await page.locator('article.lit').getAttribute('data-id')

  await page.goto(`${chat.origin}${chat.pathname}?as=13800001111&m=${id}`)
  await page.locator(`article.lit[data-id="${id}"]`).waitFor()
  await settled(page)
  assert.equal(await page.evaluate(() => document.activeElement.dataset.id), id)
  await page.getByRole('button', { name: '回到最新' }).click()
  await said(page, '4999 一行').waitFor()

  // A link to no message opens the chat and says so.
  await page.goto(`${chat.origin}${chat.pathname}?as=13800001111&m=none`)
  await said(page, '4999 一行').waitFor()
  await page.locator('.notice').getByText('没有找到这条消息，或您没有查看权限。').waitFor()
  await clean(page, 'a link to no message')
})

test('five thousand messages scroll both ways within one pixel and in the same memory', { timeout: 240_000 }, async (t) => {
  const page = await open(t, 'reader', pair('13800001111', 'wmLong'))
  await said(page, '4999 一行').waitFor()
  await settled(page)
  const session = await page.context().newCDPSession(page)
  const memory = async () => {
    await session.send('HeapProfiler.collectGarbage')
    return (await session.send('Runtime.getHeapUsage')).usedSize / (1 << 20)
  }
  /** Goes to an end of the window again and again, and measures the first row in sight at every frame. */
  const scroll = (towards, times) =>
    page.evaluate(
      async ([towards, times]) => {
        const box = document.querySelector('.feed')
        const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
        const all = () => [...box.querySelectorAll('article')]
        const number = (row) => Number.parseInt(row.querySelector('.words').textContent, 10)
        let [worst, most, done] = [0, 0, false]
        for (let n = 0; n < times && !done; n++) {
          box.scrollTop = towards < 0 ? 0 : box.scrollHeight
          const rows = all()
          const row = towards < 0 ? rows[0] : rows.at(-1)
          const before = number(row)
          const top = row.getBoundingClientRect().top
          const until = performance.now() + 10_000
          const edge = () => number(towards < 0 ? all()[0] : all().at(-1))
          while (edge() === before && performance.now() < until) {
            await frame()
            worst = Math.max(worst, Math.abs(row.getBoundingClientRect().top - top))
            if (towards < 0 ? before === 0 : before === 4999) done = true
            if (done) break
          }
          for (let k = 0; k < 3; k++) {
            await frame()
            worst = Math.max(worst, Math.abs(row.getBoundingClientRect().top - top))
          }
          most = Math.max(most, all().length)
        }
        return { worst, most, first: number(all()[0]), last: number(all().at(-1)) }
      },
      [towards, times],
    )
  const part = await scroll(-1, 10)
  const early = await memory()
  const up = await scroll(-1, 200)
  const late = await memory()
  const down = await scroll(1, 200)
  const back = await memory()
  t.diagnostic(`worst move ${Math.max(part.worst, up.worst, down.worst).toFixed(2)} px; heap ${early.toFixed(1)}, ${late.toFixed(1)}, ${back.toFixed(1)} MB; at most ${Math.max(up.most, down.most)} rows`)
  assert.equal(up.first, 0)
  assert.equal(down.last, length - 1)
  assert.ok(up.worst <= 1 && down.worst <= 1 && part.worst <= 1, `a row moved by ${Math.max(part.worst, up.worst, down.worst)} px`)
  assert.ok(up.most <= 400 && down.most <= 500, `${up.most} and ${down.most} rows`)
  assert.ok(late < early * 1.3 + 3 && back < early * 1.3 + 3, `heap ${early}, ${late}, ${back} MB`)
})

test('ten thousand conversations scroll in a few rows', { timeout: 600_000 }, async (t) => {
  const page = await open(t, 'reader', '/chats/members?of=0000726')
  await page.locator('.conversations .list-row').first().waitFor()
  assert.match(await page.locator('.conversations .list-row').first().innerText(), /wmC09999/)
  let most = 0
  for (const until = Date.now() + 570_000; Date.now() < until; ) {
    const state = await page.locator('.conversations .pane-list').evaluate(async (box) => {
      box.scrollTop = box.scrollHeight
      await new Promise((resolve) => setTimeout(resolve, 60))
      return { rows: box.querySelectorAll('.list-row').length, end: box.textContent.includes('wmC00000') }
    })
    most = Math.max(most, state.rows)
    if (state.end) break
  }
  await page.getByText('wmC00000').first().waitFor()
  assert.ok(most < 60, `${most} rows at once`)
  await page.getByRole('searchbox', { name: '筛选已加载的会话' }).fill('wmC00042')
  await page.getByText('第 42 位客户').click()
  await page.locator('article').getByText('第 42 位客户').waitFor()
})

test('texts of strangers stay texts', async (t) => {
  const page = await open(t, 'reader', pair('0042', 'wmMother'))
  await page.getByText('查看原文').or(page.getByRole('button', { name: '完整显示' })).first().waitFor()
  await settled(page)
  assert.equal(await page.evaluate(() => window.hacked), undefined)
  assert.equal(await page.locator('article img, article script').count(), 0)
  assert.equal(await page.locator('a[href^="javascript:"]').count(), 0)
  const all = await page.locator('.feed').innerText()
  assert.ok(all.includes(mark), 'markup is shown as it is')
  assert.ok(all.includes('invoice▯fdp.exe'), 'a name keeps the order of its characters')
  assert.ok(all.includes('onerror') && !all.includes('\u202e'), 'a message keeps the order of its characters')
  assert.ok(all.includes('▯▯▯[31m') || all.includes('▯▯'), 'controls are visible')
  assert.ok(all.includes('地址无法打开'))
  const tallest = await page.locator('article').evaluateAll((list) => Math.max(...list.map((a) => a.getBoundingClientRect().height)))
  assert.ok(tallest < 2000, `a row of ${tallest} px`)

  // A message of 100 KB opens in place.
  const large = page.locator('article').filter({ hasText: '一一一一一一' }).first()
  await large.getByRole('button', { name: /展开全文/ }).click()
  assert.equal((await large.locator('pre').innerText()).length, 34_000)
  // A message of 5 MB has no layout; its bytes can be read.
  const huge = page.locator('article').filter({ hasText: '消息过大（5' })
  await huge.getByRole('button', { name: '查看原文' }).click()
  const side = page.getByRole('complementary', { name: '消息详情' })
  await side.getByRole('button', { name: '查看原文' }).click()
  await side.getByText('已显示 64 KB，共 5').waitFor()
  await clean(page, 'hostile texts')
})

test('new messages come by themselves, or wait behind a button', async (t) => {
  const page = await open(t, 'reader', pair('lin.hua', 'wmMother'))
  await said(page, '第三天的消息').waitFor()
  const wake = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  const arrive = async (content, at) => {
    await postAll([text('wmMother', 'lin.hua', content, at)])
    await decoded()
    for (let n = 0; n < 40; n++) {
      await wake()
      await page.waitForTimeout(250)
      if ((await page.getByText(content).count()) > 0 || (await page.locator('.pill.fresh').count()) > 0) return
    }
  }
  await page.waitForTimeout(500)
  await arrive('刚刚到的消息', start + 3 * 24 * 60 * minute)
  await page.locator('article').getByText('刚刚到的消息').waitFor()

  await page.setViewportSize({ width: 1280, height: 420 })
  await page.locator('.feed').evaluate((box) => (box.scrollTop = 0))
  await page.waitForTimeout(100)
  const top = await page.locator('article').first().evaluate((row) => row.getBoundingClientRect().top)
  await arrive('又一条消息', start + 4 * 24 * 60 * minute)
  await page.getByRole('button', { name: '1 条新消息' }).waitFor()
  assert.ok(Math.abs((await page.locator('article').first().evaluate((row) => row.getBoundingClientRect().top)) - top) <= 1)
  await page.getByRole('button', { name: '1 条新消息' }).click()
  assert.ok(await page.locator('article').getByText('又一条消息').isVisible())
})

test('a page that cannot reach the archive says so until it can', async (t) => {
  const page = await open(t, 'reader', pair('lin.hua', 'wmMother'))
  await said(page, '第三天的消息').waitFor()
  const bar = page.getByRole('status').filter({ hasText: '与服务器的连接已断开' })
  assert.equal(await bar.count(), 0)
  await page.context().setOffline(true)
  await bar.waitFor()
  assert.ok(await said(page, '第三天的消息').isVisible(), 'what was read stays')
  const box = await page.locator('.chats').evaluate((e) => e.getBoundingClientRect().bottom - innerHeight)
  assert.ok(box <= 0, `the lists end ${box} px below the window`)
  await clean(page, 'a lost connection')
  const asked = page.waitForRequest((r) => r.url().endsWith('/changes'))
  await page.context().setOffline(false)
  await asked
  await bar.waitFor({ state: 'detached' })
})

test('pictures, a film and a voice are seen and heard in the chat', async (t) => {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [from, to] = [staff[0].userid, customers[0].external_userid]
  const kinds = ['image/plain', 'video/plain', 'voice/plain', 'image/plain']
  const waiting = async () => (await cloud.ask(corp, 'admin', 'GET', '/status')).files.waiting
  const before = await waiting() // a file that a stranger made up never comes
  await cloud.wecom(corp, 'POST', '/messages', { drafts: kinds.map((kind, n) => ({ kind, from, to: [to], time: new Date(start + n * minute).toISOString() })) })
  await decoded()
  while ((await waiting()) > before) await new Promise((resolve) => setTimeout(resolve, 200))

  const page = await open(t, 'reader', pair(from, to))
  const voice = rows(page).filter({ has: page.locator('.player') })
  await voice.getByRole('button', { name: /^播放，/ }).click()
  await page.waitForFunction(() => Number(document.querySelector('article input[type=range]')?.value) > 0.2)
  assert.equal(await voice.getByRole('alert').count(), 0)

  // The film begins, and the voice ends: one of them plays at a time.
  await page.getByRole('button', { name: /播放视频/ }).click()
  await page.waitForFunction(() => document.querySelector('article video')?.currentTime > 0.2)
  assert.equal(await page.locator('article video').evaluate((v) => v.videoWidth), 160)
  await voice.getByRole('button', { name: /^播放，/ }).waitFor()

  const pictures = page.getByRole('button', { name: '查看大图' })
  assert.equal(await pictures.count(), 2)
  await pictures.last().click()
  const viewer = page.getByRole('dialog', { name: '查看图片' })
  await viewer.getByText('2 / 2').waitFor()
  const drawn = () => viewer.locator('img').evaluate(async (img) => (await img.decode(), img.naturalWidth))
  assert.ok((await drawn()) > 0)
  await page.keyboard.press('ArrowLeft')
  await viewer.getByText('1 / 2').waitFor()
  assert.ok((await drawn()) > 0)
  await clean(page, 'viewer')
  const saved = page.waitForEvent('download')
  await viewer.getByRole('button', { name: '下载' }).click()
  assert.ok((await readFile(await (await saved).path())).length > 1000)
  // A download that fails says so, and can be tried again.
  const gone = { type: 'urn:yunduo-archive:problem:unavailable', title: '存储暂时不可用', status: 503, detail: '请稍后重试。', instance: 'x' }
  await page.route('**/files/0?download=true', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', json: gone }))
  await viewer.locator('[aria-busy]').waitFor({ state: 'detached' }) // the first download is done
  await page.keyboard.press('d')
  await viewer.getByText(gone.title).waitFor()
  await clean(page, 'a failed download')
  await page.unroute('**/files/0?download=true')
  const retried = page.waitForEvent('download')
  await viewer.getByRole('button', { name: '重试' }).click()
  await retried
  await viewer.getByText(gone.title).waitFor({ state: 'detached' })
  await page.keyboard.press('Escape')
  await viewer.waitFor({ state: 'detached' })
})

test('a list is filtered by the archive, and what was read is marked in every browser', async (t) => {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [from, to] = [staff[1].userid, customers[1].external_userid]
  await postAll([text(to, from, '还没有看过', start)])
  await decoded()
  const list = `/chats/members?of=${from}`
  const first = await open(t, 'reader', list)
  await first.locator('.conversations .list-row').first().waitFor()
  assert.equal(await first.locator('.dot').count(), 0, 'what came before the first visit is no news')
  await first.locator('.conversations .list-row').filter({ hasText: '还没有看过' }).click()
  const noted = first.waitForResponse((r) => r.url().endsWith('/seen'))
  await said(first, '还没有看过').waitFor()
  assert.equal((await noted).status(), 200)
  await postAll([text(to, from, '看过之后才来', start + minute)])
  await decoded()
  const second = await open(t, 'reader', list)
  await second.locator('.conversations .list-row').filter({ hasText: '看过之后才来' }).locator('.dot').waitFor()

  const asked = () => second.waitForRequest((r) => r.url().includes('/conversations?'))
  for (const [name, value, query] of [['会话类型', 'room', 'kind=room'], ['最近有消息', 'week', 'since=']]) {
    const request = asked()
    await second.getByLabel(name).selectOption(value)
    assert.ok((await request).url().includes(query))
  }
  await second.getByText('没有符合条件的会话').or(second.locator('.conversations .list-tag')).first().waitFor()
  await clean(second, 'filters')
})

test('all chats of a day of the company, for who may see them', async (t) => {
  const day = '2026-03-04'
  const page = await open(t, 'auditor', '/chats/days')
  await page.getByText('请先选择一天').waitFor()
  await page.locator('.parties input[type=date]').fill(day)
  await page.waitForURL((url) => url.searchParams.get('of') === day)
  await page.getByRole('heading', { name: '2026年3月4日的会话' }).waitFor()
  const row = page.locator('.conversations .list-row').filter({ hasText: '第三天的消息' })
  await row.waitFor()
  assert.match(await row.innerText(), /林华 ↔ 小明妈妈|小明妈妈 ↔ 林华/)
  const times = await page.locator('.conversations .list-time').evaluateAll((all) => all.map((e) => e.dateTime))
  assert.deepEqual(times, times.toSorted().reverse(), 'the newest comes first')
  const request = page.waitForRequest((r) => r.url().includes('kind=room'))
  await page.getByLabel('会话类型').selectOption('room')
  assert.ok((await request).url().includes(`day=${day}`))
  await page.getByLabel('会话类型').selectOption('all')
  await clean(page, 'a day')
  await row.click()
  await page.locator('article.lit').getByText('第三天的消息').waitFor()
  // A reader of some members may not.
  const limited = await open(t, 'member', '/chats')
  await limited.locator('.parties .list-row').first().waitFor()
  assert.equal(await limited.getByRole('link', { name: '按天' }).count(), 0)
})

test('every answer to archiving is shown, and what held when a message was sent', async (t) => {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [member, customer] = [staff[2], customers[3]]
  const say = (content) => cloud.wecom(corp, 'POST', '/messages', { drafts: [{ from: member.userid, to: [customer.external_userid], text: content }] })
  const answer = (agree) => cloud.wecom(corp, 'POST', '/consent', { customer: customer.external_userid, member: member.userid, agree })
  const pause = () => new Promise((resolve) => setTimeout(resolve, 2_100)) // answers are told in seconds
  await say('还没有答复')
  await pause()
  await answer(true)
  await pause()
  await say('已经同意')
  await pause()
  await answer(false)
  await decoded()
  while ((await cloud.ask(corp, 'auditor', 'GET', `/consents?member=${member.userid}&external_contact=${customer.external_userid}`)).consents[0]?.status !== 'disagree') {
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  const page = await open(t, 'auditor', pair(member.userid, customer.external_userid))
  await said(page, '已经同意').waitFor()
  await page.getByText('此后企业微信不再提供与其有关的消息').waitFor()
  const conversation = new URL(page.url()).pathname.split('/').pop()
  await page.locator('body').press('i')
  const answers = page.getByRole('complementary', { name: '会话信息' }).locator('.answers li')
  await answers.nth(1).waitFor()
  assert.deepEqual((await answers.allInnerTexts()).map((a) => /不?同意存档/.exec(a)[0]), ['同意存档', '不同意存档'])
  await page.getByRole('complementary', { name: '会话信息' }).getByRole('link', { name: '谁查看过此会话' }).click()
  await page.waitForURL((url) => url.pathname.endsWith('/audit') && url.searchParams.get('conversation') === conversation)
  await page.locator('tbody tr').filter({ hasText: '会话消息' }).first().waitFor()
  await page.goBack()
  await answers.nth(1).waitFor()
  await clean(page, 'the answers')
  await page.keyboard.press('Escape')
  for (const [content, then] of [['还没有答复', '没有存档答复的记录'], ['已经同意', '同意存档']]) {
    const message = rows(page).filter({ hasText: content })
    await message.hover()
    await message.locator('.message-more').click()
    const side = page.getByRole('complementary', { name: '消息详情' })
    await side.getByText(then, { exact: true }).waitFor()
    await page.keyboard.press('Escape')
  }
  // The member's customers, the refusals counted.
  await page.goto(`${cloud.console}/chats/members?of=${member.userid}`)
  await page.getByRole('button', { name: '存档同意情况' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('不同意 1').waitFor()
  await dialog.locator('.consent-item summary').first().click()
  await dialog.locator('.answers li').nth(1).waitFor()
  await clean(page, 'the answers to a member')
  const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('button', { name: '下载 CSV' }).click()])
  assert.equal(download.suggestedFilename(), 'consents.csv')
  const csv = await readFile(await download.path(), 'utf8')
  assert.match(csv, /^\ufeff客户,成员或群聊,答复,答复时间,获知时间,external_contact,member,room,status,changed_at,at,source\r\n/)
  assert.ok(csv.includes(`,${customer.external_userid},${member.userid},,disagree,`), csv)
})

test('the answers in a room are a timeline for each customer, and a message has those that held', async (t) => {
  const { staff, rooms } = await cloud.wecom(corp, 'GET', '')
  const room = rooms.find((r) => r.kind === 'customer' && r.members.filter((id) => id.startsWith('wm')).length > 1)
  const [one, other] = room.members.filter((id) => id.startsWith('wm'))
  const member = staff.find((s) => room.members.includes(s.userid)).userid
  const at = (n) => new Date(start + 80 * 24 * 60 * minute + n * minute).toISOString()
  await cloud.wecom(corp, 'POST', '/messages', {
    drafts: [
      { from: one, text: '还没有人答复' },
      { from: one, kind: 'agree' },
      { from: other, kind: 'agree' },
      { from: one, text: '两人都已同意' },
      { from: one, kind: 'disagree' },
      { from: member, text: '有一人不同意' },
    ].map((draft, n) => ({ ...draft, room: room.id, time: at(n) })),
  })
  await decoded()
  const page = await open(t, 'auditor', `/open?room=${room.id}`)
  await said(page, '有一人不同意').waitFor()
  await page.getByText('1 人不同意存档').click()
  await page.getByText('企业微信不提供他们发送的消息').waitFor()
  await page.locator('body').press('i')
  const info = page.getByRole('complementary', { name: '会话信息' })
  await info.getByText('不同意 1').waitFor()
  await info.getByText('同意 1', { exact: true }).waitFor()
  // The refusal comes first, and opens to its timeline.
  await info.locator('.consent-item summary').first().focus()
  await page.keyboard.press('Enter')
  await info.locator('.answers li').nth(1).waitFor()
  const day = new Intl.DateTimeFormat('zh-CN', { dateStyle: 'long', timeZone: 'Asia/Shanghai' }).format(new Date(at(0)))
  assert.deepEqual((await info.locator('.answers li').allInnerTexts()).map((a) => a.replace(/\s+/g, ' ')), [
    `${day} 09:01:00 同意存档 来源：会话中的答复`,
    `${day} 09:04:00 不同意存档 来源：会话中的答复`,
  ])
  await clean(page, 'the answers in a room')
  await page.keyboard.press('Escape')
  for (const [content, then] of [
    ['还没有人答复', ['没有存档答复的记录']],
    ['两人都已同意', ['同意存档', '不同意 0', '未答复 0', '同意 2']],
    ['有一人不同意', ['不同意 1', '未答复 0', '同意 1']],
  ]) {
    const message = rows(page).filter({ hasText: content })
    await message.hover()
    await message.locator('.message-more').click()
    const held = page.getByRole('complementary', { name: '消息详情' }).locator('dt:text-is("发送时是否同意存档") + dd')
    await held.locator('.tag').last().waitFor()
    assert.deepEqual(await held.locator('.tag').allInnerTexts(), then, content)
    await page.keyboard.press('Escape')
  }
})

test('a chat is searched, and shows one kind of messages', async (t) => {
  const page = await open(t, 'reader', pair('13800001111', 'wmLong'))
  await said(page, '4999 一行').waitFor()
  await page.locator('body').press('/')
  await page.getByRole('searchbox', { name: '关键词' }).fill('4321 一行')
  await page.keyboard.press('Enter')
  await page.locator('.hit mark').first().waitFor()
  await page.getByRole('button', { name: '更早一条' }).click()
  await page.locator('article.lit').getByText('4321 一行').waitFor()
  await clean(page, 'search')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: '图片与视频' }).click()
  await page.getByText('没有这类消息').waitFor()
  await page.getByRole('button', { name: '全部', exact: true }).click()
  await said(page, '4999 一行').waitFor()
})

test('a search keeps to a kind, a sender and days, and its address repeats it', async (t) => {
  const page = await open(t, 'reader', pair('13800001111', 'wmLong'))
  await said(page, '4999 一行').waitFor()
  const title = '未知 wmLong · 云朵会话存档'
  await page.waitForFunction((want) => document.title === want, title)
  await page.locator('body').press('/')
  await page.keyboard.press('Enter')
  await page.getByText('请输入关键词').waitFor()
  await page.keyboard.type('7 一行')
  await tabTo(page, '筛选', 'button')
  await page.keyboard.press('Enter')
  await tabTo(page, '类型')
  await page.keyboard.press('ArrowDown')
  await page.getByLabel('发送者').selectOption('wmLong')
  await page.getByLabel('开始日期').fill('2026-03-02')
  await page.getByLabel('结束日期').fill('2026-03-01')
  await page.getByText('开始日期晚于结束日期').waitFor()
  await clean(page, 'days in the wrong order')
  await page.getByLabel('结束日期').fill('2026-03-02')
  await page.keyboard.press('Enter')
  // The sender wrote every third message, and every minute of the day had one.
  await page.locator('.search-said').filter({ hasText: '30 条结果 · 已查找所选日期的全部消息' }).waitFor()
  const hits = await page.locator('.hit').allInnerTexts()
  assert.match(hits[0], /^未知 wmLong\s+3月2日 23:57\s+897 一行/)
  assert.match(hits.at(-1), /\n27 一行/)
  const { href, searchParams } = new URL(page.url())
  assert.deepEqual(Object.fromEntries(searchParams), { as: '13800001111', q: '7 一行', kind: 'text', by: 'wmLong', from: '2026-03-02', to: '2026-03-02' })
  assert.equal(await page.title(), title)
  await clean(page, 'filters of a search')
  await page.keyboard.press('Escape')
  await page.waitForURL((url) => url.search === '?as=13800001111')

  const phone = await open(t, 'reader', href.slice(cloud.console.length), { language: 'en', viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
  await phone.locator('.search-said').filter({ hasText: '30 hits · Searched all messages of these days' }).waitFor()
  assert.equal(await phone.getByLabel('Sender').isVisible(), false, 'the hits have the room of the filters')
  await phone.getByRole('button', { name: 'Filters (4)' }).tap()
  assert.deepEqual(await phone.locator('.search-filters .input').evaluateAll((all) => all.map((e) => e.value)), ['text', 'wmLong', '2026-03-02', '2026-03-02'])
  await clean(phone, 'filters on a phone')
  assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), 360)
  await phone.getByLabel('Kind', { exact: true }).selectOption('files')
  await phone.getByRole('button', { name: 'Search', exact: true }).last().tap()
  await phone.locator('.search-said').filter({ hasText: 'Nothing found' }).waitFor()
})

test('the keyboard alone reads a chat', async (t) => {
  const page = await open(t, 'reader', '/chats/members?of=lin.hua')
  await page.locator('.conversations .list-row').first().waitFor()
  await page.locator('body').press('j')
  await page.locator('article').first().waitFor()
  await page.locator('.feed').focus()
  await page.keyboard.press('PageDown')
  const focused = () => page.evaluate(() => document.activeElement.tagName)
  assert.equal(await focused(), 'ARTICLE')
  // A search that is closed gives the focus back.
  for (const opener of ['ARTICLE', 'BUTTON']) {
    if (opener === 'BUTTON') await page.locator('.chat-tools').getByRole('button', { name: '搜索' }).focus()
    await page.keyboard.press(opener === 'BUTTON' ? 'Enter' : '/')
    await page.waitForFunction(() => document.activeElement.type === 'search')
    await page.keyboard.press('Escape')
    await page.locator('.search').waitFor({ state: 'detached' })
    assert.equal(await focused(), opener)
  }
  await page.locator('article').first().focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('i')
  await page.getByRole('complementary', { name: '会话信息' }).waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.textContent), '会话信息')
  assert.equal(await page.getByRole('link', { name: '谁查看过此会话' }).count(), 0, 'a reader may not open the audit')
  await page.keyboard.press('Escape')
  await page.getByRole('complementary').waitFor({ state: 'detached' })
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: '键盘操作' }).waitFor()
  await clean(page, 'keys')
  await page.keyboard.press('Escape')
  await page.keyboard.press('g')
  await page.getByRole('group', { name: '有消息的日期' }).waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await page.waitForURL((url) => url.pathname.endsWith('/chats/members'))
})

test('the address of a member and a customer opens their single chat, and not a newer room of both', async (t) => {
  const at = start + 40 * 24 * 60 * minute
  await postAll([text('0042', 'wmPair', '只有两个人', at), text('0042', ['wmPair', 'lin.hua'], '大家都在', at + minute, { roomid: 'wrPair' })])
  await decoded()
  const page = await open(t, 'reader', pair('0042', 'wmPair'))
  await said(page, '只有两个人').waitFor()
  assert.match(await page.locator('.chat-facts').innerText(), /^单聊/)
})

test('a list says what is new without an open chat', async (t) => {
  const page = await open(t, 'reader', '/chats/members?of=0042')
  await page.locator('.conversations .list-row').first().waitFor()
  await page.waitForTimeout(1000) // the first question
  await postAll([text('wmListed', '0042', '列表会更新', start + minute)])
  await decoded()
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  await page.locator('.conversations').getByText('列表会更新').waitFor()
})

test('rooms are listed by their newest message, are found by id, and open their chat', async (t) => {
  await postAll([
    text('lin.hua', ['0042', 'wmMother'], '群里较早的一句', start, { roomid: 'wrOld' }),
    text('lin.hua', ['0042', 'wmMother'], '群里较新的一句', start + minute, { roomid: 'wrNobodyLooked' }),
  ])
  await cloud.ask(corp, 'service', 'PUT', '/rooms', { rooms: [{ id: 'wrNamedOnly', name: '没有消息的群' }, { id: 'wrOld', name: '三班家长群' }] })
  await decoded()
  for (const language of ['zh', 'en']) {
    const page = await open(t, 'reader', '/chats/rooms', { language })
    const room = (words) => page.locator('.parties .list-row').filter({ hasText: words })
    await room('群里较新的一句').waitFor()
    const listed = await page.locator('.parties .list-row').allInnerTexts()
    assert.ok(listed.findIndex((r) => r.includes('群里较新的一句')) < listed.findIndex((r) => r.includes('群里较早的一句')))
    assert.equal(await room('没有消息的群').count(), 0)
    await clean(page, `rooms, ${language}`)
    await page.locator('.parties input').fill('nobodylooked')
    await page.waitForFunction(() => document.querySelectorAll('.parties .list-row').length === 1)
    await page.locator('.parties input').fill('家长群')
    await room('群里较早的一句').click()
    await said(page, '群里较早的一句').waitFor()
    await page.getByRole('heading', { level: 1, name: '三班家长群' }).waitFor()
    // A shared link leads to the same list.
    const shared = await openWindow(browser, cloud, { language })
    t.after(() => closeWindow(shared))
    await signIn(shared, cloud, `reader@${corp}`, page.url().slice(cloud.console.length))
    await said(shared, '群里较早的一句').waitFor()
    assert.equal(await shared.locator('.scope[aria-current]').innerText(), language === 'zh' ? '群聊' : 'Groups')
    await shared.locator('.parties .list-row[aria-current]').waitFor()
  }
})

test('a link from the list of a customer leads to that list', async (t) => {
  const page = await open(t, 'reader', '/chats/customers?of=wmMother')
  await page.locator('.conversations .list-row').filter({ hasText: '林华' }).first().click()
  await said(page, '第三天的消息').waitFor()
  await page.reload()
  await said(page, '第三天的消息').waitFor()
  assert.equal(await page.locator('.scope[aria-current]').innerText(), '客户')
})

test('today follows the clock while a page stays open', async (t) => {
  const day = (time) => new Intl.DateTimeFormat('en-CA', { timeZone: 'Asia/Shanghai' }).format(time)
  const midnight = Date.parse(`${day(Date.now() + 24 * 60 * minute)}T00:00:00+08:00`)
  const page = await openWindow(browser, cloud)
  t.after(() => closeWindow(page))
  await page.clock.install({ time: midnight - 2 * minute })
  await signIn(page, cloud, `auditor@${corp}`, '/chats/days')
  const called = (time) => page.locator(`.day-row time[datetime="${day(time)}"] + .list-tag`)
  await called(midnight - minute).waitFor()
  await page.clock.fastForward(3 * minute)
  await called(midnight).waitFor()
  assert.equal(await called(midnight - minute).count(), 0)
  assert.equal(await page.locator('input[type=date]').getAttribute('max'), day(midnight))
})

test('a message among colleagues in a room says nothing of consent', async (t) => {
  await postAll([text('lin.hua', ['0042', '0000726'], '只有同事的群', start, { roomid: 'wrInside' })])
  await decoded()
  const page = await open(t, 'auditor', '/open?room=wrInside')
  const message = rows(page).filter({ hasText: '只有同事的群' })
  await message.hover()
  await message.locator('.message-more').click()
  const side = page.getByRole('complementary', { name: '消息详情' })
  await side.getByText('wrInside').waitFor()
  assert.equal(await side.getByText('发送时是否同意存档').count(), 0)
})

test('two colleagues stand on two sides', async (t) => {
  await postAll([text('lin.hua', '0042', '方案发你了', start), text('0042', 'lin.hua', '收到，我看看', start + minute)])
  await decoded()
  const page = await open(t, 'auditor', '/chats/days?of=2026-03-02')
  await page.locator('.conversations .list-row').filter({ hasText: '收到，我看看' }).click()
  await page.locator('article.right').getByText('收到，我看看').waitFor()
  await page.locator('article.left').getByText('方案发你了').waitFor()
})

test('an answer to archiving changes the open chat', async (t) => {
  const answer = (kind, at) => ({ ...text('wmAnswer', 'lin.hua', '', at), msgtype: kind, text: undefined, [kind]: { userid: 'wmAnswer', [`${kind}_time`]: at } })
  await postAll([answer('agree', start), text('lin.hua', 'wmAnswer', '先说一句', start + minute)])
  await decoded()
  const page = await open(t, 'auditor', pair('lin.hua', 'wmAnswer'))
  await page.locator('.chat-facts').getByText('同意存档').waitFor()
  await page.waitForTimeout(1000)
  await postAll([answer('disagree', start + 2 * minute)])
  await decoded()
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  await said(page, '不同意存档会话内容').waitFor()
  await page.locator('.consent').waitFor()
  assert.equal(await page.locator('.chat-facts').getByText('同意存档').count(), 0)
})

test('a withdrawal leads to its message, or says how far it was looked for', { timeout: 240_000 }, async (t) => {
  const later = 10_100
  await postAll([
    text('0042', 'wmDeep', '将被撤回', start, { msgid: 'deep' }),
    { ...text('0042', 'wmDeep', '', start + minute), action: 'recall', msgtype: 'revoke', text: undefined, revoke: { pre_msgid: 'deep' } },
    text('0042', 'wmDeep', '撤回之前的一句', start + 2 * minute),
    { ...text('0042', 'wmDeep', '', start + 3 * minute), action: 'recall', msgtype: 'revoke', text: undefined, revoke: { pre_msgid: 'absent' } },
    ...Array.from({ length: later }, (_, n) => text('0042', 'wmDeep', `${n}`, start + (n + 4) * minute)),
    { ...text('0042', 'wmDeep', '', start + (later + 5) * minute), action: 'recall', msgtype: 'revoke', text: undefined, revoke: { pre_msgid: 'absent' } },
  ])
  await decoded()
  const page = await open(t, 'reader', pair('0042', 'wmDeep'))
  const view = page.getByRole('button', { name: '查看', exact: true })
  await view.last().click()
  await page.getByText('在撤回之前的 10000 条消息中没有找到').waitFor({ state: 'attached', timeout: 60_000 })
  const conversation = decodeURIComponent(new URL(page.url()).pathname.split('/').pop())
  const { messages } = await cloud.ask(corp, 'auditor', 'GET', `/conversations/${conversation}/messages?limit=4`)
  const look = async (n) => {
    const { id } = messages[n]
    await page.goto(`${cloud.console}/c/${encodeURIComponent(conversation)}?as=0042&m=${encodeURIComponent(id)}`)
    await page.locator(`article[data-id="${id}"]`).getByRole('button', { name: '查看', exact: true }).click()
  }
  await look(3)
  await page.getByText('存档中没有这条消息').waitFor({ state: 'attached' })
  await look(1)
  await page.locator('article.lit').getByText('将被撤回').waitFor({ state: 'attached' })
})

test('a file on its way is shown when it is there', async (t) => {
  const { staff, customers: known } = await cloud.wecom(corp, 'GET', '')
  const [member, customer] = [staff[0].userid, known[0].external_userid]
  await cloud.wecom(corp, 'POST', '/messages', { drafts: [{ kind: 'image/plain', from: member, to: [customer] }] })
  await decoded()
  const page = await openWindow(browser, cloud)
  t.after(() => closeWindow(page))
  await page.route('**/messages?*', async (route) => {
    const json = await (await route.fetch()).json()
    for (const { copy } of json.messages.flatMap((m) => m.content.files)) Object.assign(copy, { state: 'waiting', size: null, type: null, hours_left: 119, link_path: null })
    await route.fulfill({ json })
  })
  await signIn(page, cloud, `reader@${corp}`, pair(member, customer))
  await rows(page).first().waitFor()
  assert.equal(await page.locator('article img').count(), 0)
  await page.locator('article img').first().waitFor({ timeout: 60_000 })
})

test('every kind of message has a filter', async () => {
  const read = (path) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8')
  const known = [...(await read('shared/message/kinds.go')).match(/var kinds = .*?\n}\n/s)[0].matchAll(/"(\w+)": (?:nil|\{)/g)].map((m) => m[1])
  const filters = await read('web/src/console/chats/kinds.ts')
  assert.ok(known.length > 30)
  for (const kind of [...known, 'switch', 'unknown', 'unreadable']) assert.match(filters, new RegExp(`'${kind}'`), kind)
})

test('a limited reader sees the chats of the token only', async (t) => {
  await switchOff(t)
  const page = await open(t, 'member', '/chats')
  assert.equal(await page.locator('.archiving-off').innerText(), '存档未开启，已存档的会话仍可查看，暂不接收新消息。')
  await page.locator('.parties .list-row').first().waitFor()
  assert.equal(await page.locator('.parties .list-row').count(), 1)
  // Lists that are always empty for this reader, or refused, are not offered.
  const scopes = page.getByRole('navigation', { name: '查看方式' }).getByRole('link')
  assert.deepEqual(await scopes.allInnerTexts(), ['成员', '客户'])
  await scopes.filter({ hasText: '客户' }).click()
  await page.locator('.scope[aria-current]').filter({ hasText: '客户' }).waitFor()
  await page.locator('.parties input').fill('小明')
  await page.waitForFunction(() => document.querySelectorAll('.parties .list-row').length === 1)
  await page.locator('.parties .list-row').filter({ hasText: '小明妈妈' }).waitFor()
  await clean(page, 'a limited reader')
  await page.goto(cloud.console + pair('0042', 'wmMother'))
  await page.getByText('该成员与该客户之间还没有会话').waitFor()
  await page.getByText('存档未开启').waitFor()
})

test('an address that leads nowhere says what was not found, and a token without staff what it lacks', async (t) => {
  for (const language of ['zh', 'en']) {
    const words = language === 'zh' ? ['没有找到这个群聊的会话', '没有找到这条消息', '没有找到'] : ['No chat of this room', 'No such message', 'No such chat']
    const page = await open(t, 'reader', `/open?room=wrNowhere`, { language })
    await page.getByText(words[0]).waitFor()
    await page.goto(`${cloud.console}/open?message=20260131T080000.000Z-nowhere`)
    await page.getByText(words[1]).waitFor()
    await clean(page, 'no such message')
    const lacks = { type: 'urn:yunduo-archive:problem:staff-missing', title: 'The claim staff is missing.', status: 403, detail: 'Ask for a token with the claim staff.', instance: 'x' }
    await page.route('**/conversations/**', (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', json: lacks }))
    await page.goto(`${cloud.console}/c/none`)
    await page.getByText(lacks.title).first().waitFor()
  }
})

/** Hides or shows the page, as another tab of the browser would. */
const hide = (page, hidden) =>
  page.evaluate((now) => {
    Object.defineProperty(document, 'hidden', { value: now, configurable: true })
    Object.defineProperty(document, 'visibilityState', { value: now ? 'hidden' : 'visible', configurable: true })
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
  }, hidden)

test('an open chat asks every 15 seconds, every 60 after five quiet minutes, and never while it is hidden', { timeout: 120_000 }, async (t) => {
  const page = await openWindow(browser, cloud)
  t.after(() => closeWindow(page))
  await page.clock.install()
  let [asked, sessions] = [0, 0]
  page.on('request', (r) => r.url().endsWith('/v1/session') && sessions++)
  await page.route('**/changes', (route) => {
    asked++
    return route.fulfill({ status: 200, headers: { etag: '"same"' }, json: { chats: '1', setup: '1', status: '1' } })
  })
  await signIn(page, cloud, `reader@${corp}`, pair('lin.hua', 'wmMother'))
  await said(page, '第三天的消息').waitFor()
  await settled(page)
  /** Lets this time pass, and returns how many questions it had. The next pause begins with the answer. */
  const pass = async (seconds, expected = 1) => {
    const before = asked
    const answer = expected && page.waitForResponse('**/changes', { timeout: 5000 }).catch(() => undefined)
    await page.clock.fastForward(seconds * 1000)
    await answer
    await page.waitForTimeout(250)
    return asked - before
  }
  for (let n = 0; n < 20; n++) assert.equal(await pass(15), 1, `question ${n}`)
  assert.equal(sessions, 1, 'whether archiving is on is not asked with each question')
  assert.equal(await pass(20, 0), 0)
  assert.equal(await pass(45), 1)
  await hide(page, true)
  assert.equal(await pass(120, 0), 0)
  await hide(page, false)
  await page.waitForTimeout(250)
  assert.equal(await pass(15), 1)
})

test('a list whose names come late is not read again while it is hidden', async (t) => {
  const page = await openWindow(browser, cloud)
  t.after(() => closeWindow(page))
  await page.clock.install()
  let [read, missing] = [0, {}]
  await page.route('**/conversations?*', async (route) => {
    read++
    const json = await (await route.fetch()).json()
    await route.fulfill({ json: { ...json, names: { people: {}, rooms: {}, missing } } })
  })
  await signIn(page, cloud, `reader@${corp}`, '/chats/members?of=lin.hua')
  await page.locator('.conversations .list-row').first().waitFor()
  await hide(page, true)
  const before = read
  const pass = async (seconds) => {
    await page.clock.fastForward(seconds * 1000)
    await page.waitForTimeout(400)
    return read - before
  }
  assert.equal(await pass(60), 0, 'a hidden page reads a list')
  await hide(page, false)
  await page.waitForTimeout(400)
  assert.equal(await pass(0), 1)
  assert.equal(await pass(11), 2)
  assert.equal(await pass(60), 2, 'a list is read again twice at most')
  // An id about which WeCom has answered is not asked for again.
  missing = { wmMother: 'not_a_contact', 'lin.hua': 'out_of_range' }
  await page.reload()
  await page.locator('.conversations .list-row').first().waitFor()
  const reloaded = read
  await page.clock.fastForward(5_000)
  await page.waitForTimeout(400)
  if (await page.locator('.conversations .list-row').count() === 1) assert.equal(read, reloaded)
})

test('a chat says why an id has no name', async (t) => {
  const why = {
    zh: ['企业微信中没有这个成员、机器人或群聊。', '不在自建应用的可见范围内。', '不是可见范围内任何成员的客户。', '群聊由其他企业创建。', '设置自建应用（第 7 步）后才能查询名称。', '企业微信没有返回名称，也没有说明原因。'],
    en: ['WeCom knows no such member, robot or room.', 'Outside the 可见范围 of the self-built app.', 'No member in the 可见范围 has this customer as a contact.', 'Another company created the room.', 'Only a self-built app may ask for the name (set-up, step 7).', 'WeCom returned no name, without a documented reason.'],
  }
  const reasons = ['not_found', 'out_of_range', 'not_a_contact', 'other_corp', 'needs_app', 'refused']
  for (const language of ['zh', 'en']) {
    const page = await open(t, 'reader', pair('lin.hua', 'wmMother'), { language })
    await rows(page).first().waitFor()
    await page.route(/\/conversations\/[^/?]+$/, async (route) => {
      const json = await (await route.fetch()).json()
      // Many people: the panel scrolls, and nothing else in it takes the focus.
      const ids = [...reasons.map((r) => `wm_${r}`), ...Array.from({ length: 26 }, (_, n) => `wm_${n}`)]
      await route.fulfill({ json: { ...json, kind: 'group', parties: ids, party_count: ids.length, names: { people: {}, rooms: {}, missing: Object.fromEntries(reasons.map((r) => [`wm_${r}`, r])) } } })
    })
    await page.goto(page.url() + (page.url().includes('?') ? '&' : '?') + 'panel=info')
    const side = page.locator('.side-people')
    for (const text of why[language]) await side.getByText(text, { exact: true }).waitFor()
    await clean(page, `reasons, ${language}`)
  }
})

for (const language of ['zh', 'en']) {
  test(`the pages are sound for everybody (${language})`, async (t) => {
    const page = await open(t, 'reader', `/chats?lang=${language}`, { language })
    await page.locator('.parties .list-row').first().waitFor()
    await clean(page, 'staff')
    // People of one name show their ids.
    const ids = new Set()
    await page.route('**/people?*', async (route) => {
      const json = await (await route.fetch()).json()
      for (const person of json.people.slice(0, 2)) {
        person.name = '李敏华'
        ids.add(person.id)
      }
      await route.fulfill({ json })
    })
    await page.goto(`${cloud.console}/chats/members`)
    await page.locator('.parties .list-row').filter({ hasText: '李敏华' }).nth(1).waitFor()
    for (const id of ids) await page.locator('.parties .list-preview').filter({ hasText: id }).first().waitFor()
    await page.unroute('**/people?*')
    for (const scope of ['customers', 'rooms', 'unplaced']) {
      await page.goto(`${cloud.console}/chats/${scope}`)
      await page.locator('.pane-list :is(.list-row, .empty), .conversations .empty').first().waitFor()
      await clean(page, scope)
    }
    assert.equal(await page.locator('.archiving-off').count(), 0)
    const since = new Date(await switchOff(t))
    await page.goto(cloud.console + pair('lin.hua', 'wmMother'))
    await page.locator('article').first().waitFor()
    await settled(page)
    const format = (options) => new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-US', { timeZone: 'Asia/Shanghai', ...options }).format(since)
    const at = `${format({ year: 'numeric', month: language === 'zh' ? 'long' : 'short', day: 'numeric' })} ${format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })}`
    const line = language === 'zh' ? `存档已于 ${at} 关闭，` : `Archiving has been off since ${at}. `
    await page.locator('.archiving-off').getByText(line).waitFor()
    await clean(page, 'chat')
    await page.goto(`${cloud.console}/c/none`)
    await page.locator('.empty').last().waitFor()
    await clean(page, 'a chat that does not exist')
  })
}

test('a phone shows one pane at a time, and back leads back', async (t) => {
  await switchOff(t)
  const page = await open(t, 'reader', '/chats', { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true })
  await page.locator('.parties .list-row').filter({ hasText: '林华' }).click()
  await page.locator('.conversations .list-row').first().waitFor()
  assert.equal(await page.locator('.parties').isVisible(), false)
  await page.locator('.conversations .list-row').first().click()
  await page.locator('article').first().waitFor()
  assert.equal(await page.locator('.conversations').isVisible(), false)
  assert.equal(await page.locator('.header').isVisible(), false, 'the chat has the height of the header too')
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320)
  assert.ok((await page.locator('.archiving-off').evaluate((e) => e.getBoundingClientRect().height)) < 60, 'a line of two rows')
  const bubble = await page.locator('article .bubble').last().evaluate((b) => [b.getBoundingClientRect(), b.parentElement.querySelector('time').getBoundingClientRect()].map(({ bottom, top }) => ({ bottom, top })))
  assert.ok(bubble[1].top >= bubble[0].bottom, 'the time stands below the bubble')
  await clean(page, 'phone')
  await page.goBack()
  await page.locator('.conversations .list-row').first().waitFor()
  await page.goBack()
  await page.locator('.parties .list-row').first().waitFor()
})
