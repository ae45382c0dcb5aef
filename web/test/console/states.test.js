// Every page in its states: before an answer has come, when the person may not see it, when
// the archive fails or cannot be reached, where nothing is archived yet, and where archiving
// is switched off.
// SCREENS=<folder> keeps pictures.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible, closeWindow, looks, openWindow, signIn, startBrowser, startCloud } from './cloud.js'

const fresh = 'wwstates0000000001'
const corp = 'ww0123456789abcdef'
const today = () => new Intl.DateTimeFormat('en-CA', { timeZone: 'Asia/Shanghai' }).format(new Date())
let cloud, browser, chat
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
  await cloud.addCorp(fresh)
  await cloud.ask(fresh, 'admin', 'PUT', '', { name: '晨星教育' })
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [member, customer] = [staff[0].userid, customers[0].external_userid]
  await cloud.wecom(corp, 'POST', '/messages', { drafts: [{ from: customer, to: [member], text: '明天九点到' }] })
  for (chat = { member }; !chat.id; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const { conversations } = await cloud.ask(corp, 'auditor', 'GET', `/conversations?member=${member}`)
    chat.id = conversations[0]?.id
  }
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

const words = {
  zh: {
    loading: '正在加载…', again: '重试', 403: '您没有此项权限。', 503: '服务器暂时出错，请稍后重试。', lost: '无法连接服务器，请检查网络后重试。', bar: '与服务器的连接已断开',
    rename: '保存名称', register: '登记企业', never: '存档从未开启', scope: '还没有查询到开启范围', statement: '这一天没有拉取到记录。', row: '存档台账中没有包含这条记录的行',
    aside: '没有搁置的记录。', events: '这一天没有收到事件。', readings: '这段时间没有人查看会话。', people: '暂无成员会话', unplaced: '存档中没有未注明参与者的消息。', chats: '没有会话', pair: '该成员与该客户之间还没有会话',
    jump: '跳到日期', days: '有消息的日期', search: '搜索', searchField: '关键词', searching: '正在查找…', hit: /^1 条结果/, info: '会话信息', consents: '存档同意情况', noConsents: '尚无客户答复的记录',
    details: /的消息详情$/, original: '查看原文', checked: '已核对', switch: '云朵会话存档：拉取消息', turnOff: '关闭会话存档？', off: '关闭存档', cancel: '取消', account: /^账号/, menu: '主导航', signOut: '退出登录',
    switchedOff: '关闭，原因：系统迁移', isOff: '存档未开启', notOn: '存档还没有开启，请先完成第 5 步。', unused: '未使用', wasOn: '明天九点到',
  },
  en: {
    loading: 'Loading…', again: 'Try again', 403: 'You do not have permission for this.', 503: 'The server has a problem at the moment.', lost: 'The server cannot be reached.', bar: 'The server does not answer.',
    rename: 'Save the name', register: 'Register the company', never: 'Never switched on', scope: 'WeCom has not told the scope yet', statement: 'Nothing was fetched on this day.', row: 'No row of the ledger holds this record',
    aside: 'No record is set aside.', events: 'No event arrived on this day.', readings: 'Nobody read a chat in this time.', people: 'No staff with chats yet', unplaced: 'The archive has no message that names no participant.', chats: 'No chats', pair: 'They have no chat yet',
    jump: 'Go to a date', days: 'Days with messages', search: 'Search', searchField: 'Words', searching: 'Searching…', hit: /^1 hit/, info: 'About this chat', consents: 'Answers to archiving', noConsents: 'No customer’s answer is recorded yet',
    details: /^Details of/, original: 'View the original', checked: 'Checked:', switch: 'Yunduo Archive: fetch messages', turnOff: 'Switch archiving off?', off: 'Switch off', cancel: 'Cancel', account: /^Account/, menu: 'Main', signOut: 'Sign out',
    switchedOff: ': 系统迁移', isOff: 'Archiving is off', notOn: 'Archiving is off. Do step 5 first.', unused: 'Not used', wasOn: '明天九点到',
  },
}
/** Opens a window for a user, whose requests about the company a test then answers. */
async function open(t, { language, size, options }, user, path) {
  const page = await openWindow(browser, cloud, { language, ...options, reducedMotion: 'reduce' })
  const held = []
  let mode = () => 'open'
  const answer = (route) => {
    const how = mode(new URL(route.request().url()))
    if (how === 'held') held.push(route)
    else if (how === 'open') return route.continue()
    else if (how === 'lost') return route.abort()
    // As the gateway answers before it asks the archive, or in its place.
    else return route.fulfill({ status: how, json: { message: 'refused' } })
  }
  /** Says how requests are answered from now on: held, open, lost or with a status; a function says it of an address. */
  page.answers = (how) => {
    mode = typeof how === 'function' ? how : () => how
    for (const route of held.splice(0)) void answer(route)
  }
  t.after(async () => {
    page.answers('open')
    await closeWindow(page)
    assert.deepEqual(page.complaints, [])
  })
  // Failed requests are repeated after seconds, which need not pass.
  await page.clock.install()
  await signIn(page, cloud, user, path)
  await page.route('**/v1/corps/**', answer)
  /** Whether the page is sound for everybody in the state that it is in. */
  page.sound = async (state, axe = true) => {
    if (axe) assert.deepEqual(await accessible(page), [], `${language} ${size}: ${state}`)
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(wider <= 0, `${language} ${size}: ${state} is ${wider} px wider than the window`)
    if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/${language}-${size}-${state.replaceAll(/\W+/g, '-')}.png` })
  }
  return page
}

/** A change within the page, as by a link. */
const go = (page, path) =>
  page.evaluate((to) => { history.pushState(history.state, '', to); dispatchEvent(new PopStateEvent('popstate', { state: history.state })) }, `/console${path}`)

/** Lets the pauses before repetitions pass until something is so. */
async function passing(page, what, is) {
  for (let n = 0; n < 100; n++) {
    if (await is()) return
    await page.clock.fastForward(4_000)
    await page.waitForTimeout(30)
  }
  assert.fail(`${what}: ${await page.locator('body').innerText()}`)
}

const failures = (place) => place.locator('.notice[role=alert]')
/** Presses every button that tries again. */
const retry = (place, w) => place.getByRole('button', { name: w.again }).evaluateAll((all) => all.forEach((button) => button.click()))

/**
 * Walks through the states of a place of the page. parts says which requests are answered
 * while the others fail, then is what the page says in the end, and absent what it must not
 * say before.
 */
async function walk(page, w, name, { begin, place, waits, parts, then, absent }) {
  page.answers('held')
  await begin()
  await (waits ?? place.locator('.loading .t-skeleton').filter({ visible: true })).first().waitFor()
  assert.equal(await failures(place).count() + (await place.locator('.empty').filter({ visible: true }).count()), 0, `${name} says something before an answer has come`)
  await page.sound(`${name} loading`)
  const says = async (state, sentence) => {
    await passing(page, `${name} ${state}`, async () => {
      const all = await failures(place).allInnerTexts()
      return all.length > 0 && all.every((text) => text.includes(sentence))
    })
    if (absent) assert.equal(await place.getByText(absent).filter({ visible: true }).count(), 0, `${name} ${state}: ${absent}`)
    // The failures differ in their sentence alone, and a lost connection adds a line: axe looks at that one.
    await page.sound(`${name} ${state}`, state === 'lost' || state === 'parts')
  }
  for (const state of [403, 503, 'lost']) {
    page.answers(state)
    if (state !== 403) await retry(place, w)
    await says(state, w[state])
    assert.equal(await page.locator('.lost').filter({ hasText: w.bar }).count(), state === 'lost' ? 1 : 0)
  }
  if (parts) {
    page.answers((url) => (parts(url.pathname) ? 'open' : 503))
    await retry(place, w)
    await says('parts', w[503])
  }
  page.answers('open')
  const end = typeof then === 'string' ? place.getByText(then).filter({ visible: true }).first() : then
  await passing(page, `${name} at last`, async () => {
    await retry(place, w)
    return (await end.isVisible()) && (await failures(place).count()) === 0
  })
  assert.equal(await page.locator('.lost').filter({ hasText: w.bar }).count(), 0)
  await page.sound(`${name} at last`)
}

describe('each page in its states', { concurrency: 2 }, () => {
  for (const look of looks) {
    const w = words[look.language]
    test(`a company without a message, ${look.size}`, async (t) => {
      const page = await open(t, look, `all@${fresh}`, '/nowhere')
      const [main, parties, conversations] = [page.getByRole('main'), page.locator('.parties'), page.locator('.conversations')]
      for (const [path, then, more] of [
        ['/setup/0', main.getByRole('button', { name: w.rename }), { parts: (path) => path !== `/v1/corps/${fresh}`, absent: w.register }],
        ['/status', w.never, { parts: (path) => path.endsWith('/status') }],
        ['/scope', w.scope],
        ['/proof', today()],
        [`/proof/${today()}`, w.statement],
        ['/proof/record/1', w.row],
        ['/proof/set-aside', w.aside],
        ['/proof/events', w.events],
        ['/audit/2020-01-05', w.readings],
        ['/chats/members', w.people, { place: parties }],
        ['/chats/members?of=nobody', w.chats, { place: conversations }],
        ['/open?member=nobody&external_contact=wmNobody', w.pair],
      ]) {
        await walk(page, w, path.slice(1).split('?')[0] + (path.includes('of=') ? ' of' : ''), { begin: () => go(page, path), place: main, then, ...more })
      }
      await go(page, '/chats/unplaced')
      await conversations.getByText(w.unplaced).waitFor()
      await go(page, '/setup/6')
      await page.getByText(w.notOn).waitFor()
      await page.sound('setup 6')
    })

    test(`a company with a chat, ${look.size}`, async (t) => {
      const page = await open(t, look, `all@${corp}`, '/nowhere')
      const side = page.locator('.side')
      await walk(page, w, 'chat', { begin: () => go(page, `/c/${chat.id}?as=${chat.member}`), place: page.locator('.chat'), then: w.wasOn })

      const dates = page.getByRole('dialog', { name: w.jump })
      await walk(page, w, 'dates', { begin: () => page.getByRole('button', { name: w.jump }).click(), place: dates, then: dates.getByRole('group', { name: w.days }).getByRole('button') })
      await page.keyboard.press('Escape')
      await dates.waitFor({ state: 'detached' })

      const search = page.locator('.search')
      await walk(page, w, 'search', {
        begin: async () => {
          await page.locator('.chat-tools').getByRole('button', { name: w.search }).click()
          await page.getByRole('searchbox', { name: w.searchField }).fill('九点')
          await page.keyboard.press('Enter')
        },
        place: search, waits: search.getByText(w.searching), then: search.getByText(w.hit),
      })
      await page.keyboard.press('Escape')

      await walk(page, w, 'info', { begin: () => page.getByRole('button', { name: w.info }).click(), place: side, then: w.noConsents })
      await page.keyboard.press('Escape')
      await side.waitFor({ state: 'detached' })

      // The original that could not be read is read again.
      await page.locator('article').hover()
      await page.getByRole('button', { name: w.details }).click()
      page.answers(503)
      await side.getByRole('button', { name: w.original }).click()
      await failures(side).getByText(w[503]).waitFor()
      const hidden = await failures(side).evaluate((notice) => notice.getBoundingClientRect().bottom - innerHeight)
      assert.ok(hidden < 1, `the failure ends ${hidden} px below the window`)
      await page.sound('original 503')
      page.answers('open')
      await retry(side, w)
      await side.getByText(w.checked).waitFor()
      assert.equal(await failures(side).count(), 0)

      const dialog = page.getByRole('dialog')
      await go(page, `/chats/members?of=${chat.member}`)
      await walk(page, w, 'consents', { begin: () => page.getByRole('button', { name: w.consents }).click(), place: dialog, then: w.noConsents })
      await page.keyboard.press('Escape')

      // Switching off is asked for, and a failure says so in the dialog.
      await go(page, '/setup/5')
      await page.getByRole('switch', { name: w.switch }).click()
      const asks = page.getByRole('dialog', { name: w.turnOff })
      await asks.waitFor()
      await page.sound('turn off')
      page.answers(503)
      await asks.getByRole('button', { name: w.off }).click()
      await failures(asks).getByText(w[503]).waitFor()
      await page.sound('turn off 503')
      page.answers('open')
      await asks.getByRole('button', { name: w.cancel }).click()
      await asks.waitFor({ state: 'detached' })
      assert.equal(await failures(page.getByRole('main')).count(), 0, 'a question that was closed leaves its failure')

      await page.getByRole('button', { name: look.size === 'wide' ? w.account : w.menu, exact: look.size !== 'wide' }).click()
      await page.getByRole('menuitem', { name: w.signOut }).waitFor()
      await page.sound('menu')
    })
  }
})

test('a company that is switched off', async (t) => {
  await cloud.ask(corp, 'admin', 'PUT', '/state', { enabled: false, reason: '系统迁移' })
  for (const look of looks) {
    const w = words[look.language]
    const page = await open(t, look, `all@${corp}`, '/status')
    await page.getByText(w.switchedOff).waitFor()
    await page.sound('status off')
    await go(page, '/setup/5')
    await page.locator('.switch-row').getByText(w.isOff).waitFor()
    assert.equal(await page.getByRole('switch', { name: w.switch }).getAttribute('aria-checked'), 'false')
    await page.locator('.check-result.off').getByText(w.unused).waitFor()
    await page.sound('switch off')
    // What is archived stays, and can be read.
    await go(page, `/c/${chat.id}`)
    await page.locator('article').getByText(w.wasOn).waitFor()
  }
})
