// Signing in at the issuer, renewal, expiry, and the frame of an SCRM.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, closeWindow, openWindow, signIn, startBrowser, startCloud } from './cloud.js'

const corp = 'ww0123456789abcdef'
let cloud, browser
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

const stored = (page) => page.evaluate(() => JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }))

test('sign-in returns to the address, a reload signs in again, signing out ends it', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${corp}`, '/setup/4?x=1')
  await page.getByText('可信IP地址').first().waitFor()
  await page.waitForURL((url) => url.pathname + url.search === '/console/setup/4?x=1')
  assert.doesNotMatch(await stored(page), /eyJ/, 'a token is stored')
  await page.reload()
  await page.getByRole('heading', { name: '可信IP地址' }).waitFor()
  await page.waitForURL((url) => url.pathname === '/console/setup/4')
  await page.getByRole('button', { name: /^账号/ }).click()
  await page.getByRole('menuitem', { name: '退出登录' }).click()
  await page.getByRole('button', { name: '登录', exact: true }).waitFor()
  assert.deepEqual(await accessible(page), [])
  await page.reload()
  await page.getByRole('button', { name: '登录', exact: true }).waitFor()
  assert.deepEqual(page.complaints, [])
})

test('the sign-in page says why a sign-in failed', async () => {
  const page = await openWindow(browser, cloud, { language: 'en' })
  await page.goto(`${cloud.console}/callback?code=x&state=y`)
  await page.getByText('This sign-in is no longer valid').waitFor()
  assert.deepEqual(await accessible(page), [])
  await page.route(`${cloud.login}/**`, (route) => route.abort())
  await page.getByRole('button', { name: 'Sign in again' }).click()
  await page.getByText('cannot be reached').waitFor()
})

test('a console that cannot start says why, and starts again at the press of a button', async () => {
  const page = await openWindow(browser, cloud)
  await page.route('**/config.json', (route) => route.abort())
  await page.goto(cloud.console)
  await page.getByRole('heading', { level: 1, name: '云朵会话存档' }).waitFor()
  await page.getByRole('alert').getByText('无法连接服务器').waitFor()
  assert.deepEqual(await accessible(page), [])
  await page.unroute('**/config.json')
  await page.getByRole('button', { name: '重试' }).click()
  await page.getByRole('button', { name: '登录', exact: true }).waitFor()
  await closeWindow(page)
})

test('a browser that stores nothing is told so, and a missing script says what to do', async () => {
  const page = await openWindow(browser, cloud)
  await page.addInitScript(() => {
    for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get: () => { throw new DOMException('denied', 'SecurityError') } })
  })
  await page.goto(cloud.console)
  await page.getByRole('button', { name: '登录', exact: true }).click()
  await page.getByText('浏览器不允许本网站保存数据').waitFor()
  assert.deepEqual(page.complaints, [])
  await closeWindow(page)

  const other = await openWindow(browser, cloud)
  await other.route('**/pages-*.js', (route) => route.abort())
  await other.goto(cloud.console)
  await other.getByText('页面无法加载，请刷新重试。').waitFor()
  await closeWindow(other)
})

test('a token is renewed before it ends', async () => {
  const page = await openWindow(browser, cloud)
  await page.clock.install()
  await signIn(page, cloud, `admin@${corp}`, '/setup/4')
  await page.getByRole('heading', { name: '可信IP地址' }).waitFor()
  const renewed = page.waitForRequest((r) => r.url() === `${cloud.login}/token` && /refresh_token/.test(r.postData()))
  await page.clock.fastForward(14 * 60_000 + 5_000)
  await (await (await renewed).response()).finished()
  await page.clock.fastForward(14 * 60_000 + 5_000)
  await page.getByRole('link', { name: /Secret/ }).click()
  await page.getByRole('heading', { name: /Secret/ }).waitFor()
  assert.equal(await page.getByRole('alertdialog').count(), 0)
})

test('a session that cannot be renewed ends under a panel, and the page stays', async () => {
  const page = await openWindow(browser, cloud)
  await page.clock.install()
  await signIn(page, cloud, `expiring@${corp}`, '/setup/0')
  const name = page.getByLabel('企业名称')
  await page.waitForFunction(() => document.querySelector('main input')?.value === '云朵课堂')
  await name.fill('没有保存的名称')
  await page.clock.fastForward(30_000)
  await page.clock.fastForward(31_000)
  const panel = page.getByRole('alertdialog', { name: '登录已过期，请重新登录' })
  await panel.waitFor()
  assert.equal(await name.inputValue(), '没有保存的名称')
  await panel.getByText('没有保存的输入会丢失').waitFor()
  assert.deepEqual(await accessible(page), [])
  await panel.getByRole('button', { name: '重新登录' }).click()
  await page.waitForURL((url) => url.href.startsWith(cloud.login))
})

test('a session that ends while a dialog is open is renewed from the panel, and the dialog keeps its input', async () => {
  for (const [language, words] of Object.entries({
    zh: { rotate: '轮换密钥', make: '生成新公钥', version: '版本号', expired: '登录已过期，请重新登录', again: '重新登录' },
    en: { rotate: 'Rotate the key', make: 'Make a new public key', version: /^Version/, expired: /expired/, again: 'Sign in again' },
  })) {
    const page = await openWindow(browser, cloud, { language })
    await page.clock.install()
    await signIn(page, cloud, `expiring@${corp}`, '/setup/3')
    await page.getByRole('button', { name: words.rotate }).click()
    const dialog = page.locator('[role=dialog]')
    if (await dialog.getByRole('button', { name: words.make }).count()) await dialog.getByRole('button', { name: words.make }).click()
    const version = dialog.getByLabel(words.version)
    await version.fill('12')
    await page.clock.fastForward(30_000)
    await page.clock.fastForward(31_000)
    const panel = page.getByRole('alertdialog', { name: words.expired })
    await panel.waitFor()
    const button = panel.getByRole('button', { name: words.again })
    await page.waitForFunction(() => document.activeElement.closest('[role=alertdialog]'))
    for (const key of ['Tab', 'Tab', 'Shift+Tab']) {
      await page.keyboard.press(key)
      assert.ok(await button.evaluate((b) => b === document.activeElement), `${key} leaves the panel`)
    }
    await page.keyboard.press('Escape')
    await page.mouse.click(5, 5)
    assert.ok(await panel.isVisible())
    assert.equal(await version.inputValue(), '12')
    assert.deepEqual(await accessible(page), [])
    await button.click()
    await page.waitForURL((url) => url.href.startsWith(cloud.login))
    assert.deepEqual(page.complaints, [])
    await closeWindow(page)
  }
})

test('a gateway that refuses the token gets one renewal and one repetition', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${corp}`, '/setup/4')
  await page.getByRole('heading', { name: '可信IP地址' }).waitFor()
  let [readings, renewals] = [0, 0]
  await page.route('**/v1/corps/*/setup', (route) =>
    readings++ === 0 ? route.fulfill({ status: 401, contentType: 'application/json', body: '{"message":"Unauthorized"}' }) : route.continue(),
  )
  page.on('request', (r) => r.url() === `${cloud.login}/token` && renewals++)
  const repeated = page.waitForResponse((r) => /\/v1\/corps\/[^/]+\/setup$/.test(r.url()) && r.ok())
  await page.getByRole('button', { name: '重新检查' }).click()
  // Later readings, which the doctor's answer may cause, take the renewed token.
  await repeated
  await page.waitForFunction(() => !document.querySelector('[aria-busy]'))
  assert.equal(renewals, 1)
  assert.equal(await page.getByRole('alertdialog').count(), 0)
})

test('who may open what', async () => {
  for (const [user, sections] of Object.entries({ admin: ['状态', '设置', '范围与同意', '审计'], auditor: ['状态', '范围与同意', '证明', '审计'], all: ['状态', '设置', '范围与同意', '证明', '审计'], norole: [] })) {
    const page = await openWindow(browser, cloud)
    await signIn(page, cloud, `${user}@${corp}`)
    await page.getByRole('banner').waitFor()
    const links = await page.getByRole('navigation', { name: '主导航' }).getByRole('link').allInnerTexts()
    assert.deepEqual(links.map((l) => l.trim()).filter((l) => l !== '会话'), sections, user)
    if (user === 'auditor') {
      await page.goto(`${cloud.console}/setup/2`)
      await page.getByText('没有这个页面').first().waitFor()
    }
    if (user === 'norole') await page.getByText('您没有可以查看的内容').first().waitFor()
    await page.getByRole('heading', { level: 1 }).first().waitFor({ state: 'attached' }) // the page may still be loaded
    assert.deepEqual(await accessible(page), [], user)
    await closeWindow(page)
  }
})

test('a company that is not registered begins with step 0', async () => {
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `foreign@${corp}`)
  await page.getByText('这家企业还没有登记').waitFor()
  await page.waitForURL((url) => url.pathname === '/console/setup/0')
  for (const section of ['状态', '范围与同意', '审计']) {
    await page.getByRole('navigation', { name: '主导航' }).getByRole('link', { name: section }).click()
    await page.locator('.empty').getByText('这家企业还没有登记').waitFor()
    assert.equal(await page.locator('.notice[role=alert]').count(), 0)
  }
  assert.deepEqual(await accessible(page), [])
  await page.locator('.empty').getByRole('link', { name: '设置' }).click()
  await page.waitForURL((url) => url.pathname === '/console/setup/0')
})

test('in the frame of an SCRM the console takes its token', async () => {
  const page = await openWindow(browser, cloud)
  await page.goto(`${cloud.control}/scrm?role=admin&path=/setup/4`)
  const frame = page.frameLocator('iframe')
  await frame.getByRole('heading', { name: '可信IP地址' }).waitFor()
  assert.equal(await frame.getByRole('banner').count(), 0, 'the frame has a header')
  await page.waitForFunction(() => document.title.startsWith('设置'))
  assert.deepEqual(page.complaints, [])
})

test('the invented SCRM shows its customers, their chats in the frame, and what the archive announces', async () => {
  const { staff, customers } = await cloud.wecom(corp, 'GET', '')
  const [member, first, second] = [staff[0], customers[0], customers[1]]
  const say = (customer, text) => cloud.wecom(corp, 'POST', '/messages', { drafts: [{ from: customer.external_userid, to: [member.userid], text }] })
  await say(first, '第一位客户的问题')
  await say(second, '第二位客户的问题')
  const listed = async () => (await cloud.ask(corp, 'service', 'GET', `/people?kind=external&with=${member.userid}`)).people.filter((p) => p.name)
  while ((await listed()).length < 2) await new Promise((resolve) => setTimeout(resolve, 300))
  for (const language of ['zh', 'en']) {
    const page = await openWindow(browser, cloud, { language })
    await page.goto(`${cloud.control}/scrm`)
    const frame = page.frameLocator('iframe')
    // The page begins with the newest customer's chat.
    await frame.locator('article').first().waitFor()
    await page.getByRole('button', { name: second.name }).click()
    await frame.locator('article').getByText('第二位客户的问题').waitFor()
    // The next customer opens in the same console.
    await page.getByRole('button', { name: first.name }).click()
    await frame.locator('article').getByText('第一位客户的问题').waitFor()
    await page.getByRole('heading', { level: 1, name: first.name }).waitFor()
    const news = page.getByRole('complementary')
    await news.getByText(language === 'zh' ? /有新消息/ : /New messages: /).first().waitFor()
    await page.getByRole('button', { name: language === 'zh' ? '会话存档设置' : 'Archive set-up' }).click()
    await frame.getByRole('heading', { level: 1, name: language === 'zh' ? '会话内容存档设置' : 'Set-up' }).waitFor()
    await page.setViewportSize({ width: 320, height: 720 })
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320)
    assert.deepEqual(page.complaints, [])
    // axe speaks to the frame, which is of another origin, and the browser logs that.
    assert.deepEqual(await accessible(page), [])
    await closeWindow(page)
  }
})

test('the frame asks for the next token, and shows the end if none comes', async () => {
  const page = await openWindow(browser, cloud)
  await page.goto(`${cloud.control}/scrm?role=admin&path=/setup/4&life=63`)
  const frame = page.frameLocator('iframe')
  await frame.getByRole('heading', { name: '可信IP地址' }).waitFor()
  // The token ends in about a minute, so the next one is asked for after seconds.
  await page.waitForRequest((r) => r.url() === `${cloud.control}/token`)
  await page.route(`${cloud.control}/token`, (route) => route.abort())
  await page.route('**/v1/corps/*/setup', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{"message":"Unauthorized"}' }))
  await frame.getByRole('button', { name: '重新检查' }).click()
  await frame.getByRole('alertdialog').waitFor()
})

test('no other page may show the console, and no other window may hand it a token', async () => {
  const page = await openWindow(browser, cloud)
  // The same page under another name of this machine is another origin.
  await page.goto(`${cloud.control.replace('127.0.0.1', 'localhost')}/scrm?role=admin&path=/setup/4`)
  await page.waitForTimeout(1500)
  assert.equal(await page.frameLocator('iframe').getByRole('heading', { name: '可信IP地址' }).count(), 0)
  const own = await openWindow(browser, cloud)
  await own.goto(cloud.console)
  await own.getByRole('button', { name: '登录', exact: true }).waitFor()
  const { token } = await cloud.call('POST', '/token', { sub: 'x', corp, role: 'admin' })
  await own.evaluate((token) => postMessage({ type: 'yunduo-archive:token', token }, '*'), token)
  await own.waitForTimeout(500)
  assert.equal(await own.getByRole('banner').count(), 0)
})
