// The set-up of a company from nothing to its first chat, with the keyboard alone;
// and what the page says when WeCom refuses, until a person has mended the cause.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { accessible, closeWindow, openWindow, signIn, startBrowser, startCloud, tabTo } from './cloud.js'

let cloud, browser
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

/** Waits until a step has a mark. */
const marked = (page, name, mark) => page.getByRole('navigation', { name: '设置步骤' }).getByRole('link', { name: new RegExp(`^${mark}.*${name}`) }).waitFor()

/** A check of the open step in a state. */
const check = (page, name, state) => page.locator('.check-result').filter({ has: page.getByText(name, { exact: true }) }).filter({ hasText: state })

test('set-up from nothing to the first chat, by keyboard alone', async () => {
  const corp = await cloud.addCorp('wwkeyboard00000001')
  const { secret } = await cloud.wecom(corp, 'GET', '')
  const page = await openWindow(browser, cloud)
  page.setDefaultTimeout(60_000)
  await signIn(page, cloud, `admin@${corp}`)
  const keys = page.keyboard

  // 0 企业. The page opens the first step by itself.
  await page.waitForURL('**/setup/0')
  await tabTo(page, '企业名称')
  await keys.type('晨星教育')
  await keys.press('Enter')
  await marked(page, '企业', '已完成')
  // Nobody did these yet, and WeCom cannot be asked.
  for (const step of ['开启范围', '可信IP地址']) await marked(page, step, '未完成')

  // 1 开启范围
  await cloud.wecom(corp, 'PUT', '/scope', { members: ['lin.hua', 'chen.chen'] })
  await tabTo(page, /开启范围/)
  await keys.press('Enter')
  await page.getByText('完成第 2 步和第 4 步后，才能向企业微信查询').first().waitFor()
  await page.getByText('可能在第 5 步点击「立即开启」后才返回结果').first().waitFor()

  // 2 Secret. Something else that was pasted is named.
  await tabTo(page, /Secret/)
  await keys.press('Enter')
  await tabTo(page, 'Secret', 'textbox')
  await keys.insertText('-----BEGIN PUBLIC KEY-----')
  await page.getByText('这是密钥文件的内容').waitFor()
  await keys.press('Control+a')
  await keys.insertText(`  ${secret}\n`)
  await page.getByText('首尾的空格、换行和引号会自动去除').waitFor()
  await keys.press('Enter')
  await page.getByText(secret.slice(0, 4)).waitFor()
  assert.equal(await page.getByText(secret).count(), 0, 'the page shows a saved secret')

  // 3 消息加密公钥
  await tabTo(page, /消息加密公钥/)
  await keys.press('Enter')
  const pem = await page.getByRole('group', { name: '消息加密公钥' }).innerText()
  const { version } = await cloud.wecom(corp, 'POST', '/keys', pem)
  await tabTo(page, '版本号')
  await keys.type(String(version))
  await keys.press('Enter')
  await check(page, '当前公钥', '等待').getByText(`版本 ${version} 的`).waitFor()

  // 4 可信IP地址
  await tabTo(page, /可信IP地址/)
  await keys.press('Enter')
  await page.getByRole('button', { name: '复制 可信IP地址' }).waitFor()
  const addresses = await page.locator('.copy-value').first().innerText()
  await cloud.wecom(corp, 'PUT', '/trusted-ips', { ips: addresses.split(';') })

  // 5 接收事件与开启
  await tabTo(page, /接收事件与开启/)
  await keys.press('Enter')
  const values = {}
  for (const [name, field] of [['URL', 'url'], ['Token', 'token'], ['EncodingAESKey', 'encoding_aes_key']]) {
    values[field] = await page.locator('.copy-row', { hasText: name }).locator('.copy-value').innerText()
  }
  await cloud.wecom(corp, 'PUT', '/callback', values)
  await cloud.wecom(corp, 'PUT', '/open', { open: true })
  await tabTo(page, '云朵会话存档：拉取消息', 'switch')
  await keys.press('Space')
  await page.getByText('存档已开启').first().waitFor()
  await check(page, '接收事件服务器', '正常').waitFor()

  // 6 确认收到会话
  await tabTo(page, /确认收到会话/)
  await keys.press('Enter')
  const { staff } = await cloud.wecom(corp, 'GET', '')
  await cloud.wecom(corp, 'PUT', '/scope', { members: staff.map((s) => s.userid) })
  await cloud.wecom(corp, 'POST', '/messages', { drafts: [{ from: staff[0].userid, to: [staff[1].userid], text: '明天九点到' }] })
  await marked(page, '确认收到会话', '已完成')
  await marked(page, '消息加密公钥', '已完成')
  await page.getByText('已收到会话').waitFor()
  await page.getByText(/已拉取 \d+ 页，其中 \d+ 页已解析；最近收到消息：\d\d:\d\d。/).waitFor()

  // Back to step 3: a message has proved the version.
  await tabTo(page, /消息加密公钥/)
  await keys.press('Enter')
  await check(page, '当前公钥', '正常').waitFor()
  await page.getByText(`${version}（已验证，第一条消息：`).waitFor()

  // 1 again: WeCom answers now.
  await tabTo(page, /开启范围/)
  await keys.press('Enter')
  await tabTo(page, '重新检查')
  await keys.press('Enter')
  await page.getByText(`${staff.length} 位成员在开启范围内`).waitFor()
  await marked(page, '开启范围', '已完成')
  // What happened is listed.
  await page.getByRole('heading', { name: '设置的变化' }).waitFor()
  await page.locator('.changes').getByRole('link').first().waitFor()
  assert.deepEqual(page.complaints, [])
})

/** A company that did every step, with one thing wrong in WeCom. */
async function company(id, { secret, app, ...settings } = {}) {
  await cloud.addCorp(id, { open: true, scope_all: true, trusted_ips: ['127.0.0.1'], ...settings })
  if (app) await cloud.wecom(id, 'PUT', '/app', app)
  const details = await cloud.wecom(id, 'GET', '')
  await cloud.ask(id, 'admin', 'PUT', '', { name: '晨星教育' })
  await cloud.ask(id, 'admin', 'PUT', '/setup', { secret: secret ?? details.secret })
  await cloud.ask(id, 'admin', 'PUT', '/state', { enabled: true })
  return details
}

/** Opens a step of a company as its admin. */
async function openStep(t, id, step, options) {
  const page = await openWindow(browser, cloud, options)
  t.after(() => closeWindow(page))
  page.setDefaultTimeout(150_000) // a secret may wait for its turn, and settle, a minute each
  await signIn(page, cloud, `admin@${id}`, `/setup/${step}`)
  return page
}
const again = (page) => page.getByRole('button', { name: '重新检查' }).click()
const nothingBad = (page) => page.waitForFunction(() => document.querySelector('.check-result') && !document.querySelector('.check-result.bad'))
/** What the page says must be done now. */
const trouble = (page, says) => page.getByRole('alert').filter({ hasText: says }).first()
const replaceSecret = async (page, label, secret) => {
  await page.getByRole('button', { name: '替换 Secret' }).click()
  await page.getByRole('textbox', { name: label }).fill(secret)
  await page.getByRole('button', { name: '保存', exact: true }).click()
}

describe('what WeCom refuses is said with what to do', { concurrency: 4 }, () => {
  const appSecret = 'secret-of-a-self-built-app'
  const mendCode = (page, _, id) => cloud.wecom(id, 'DELETE', '/failures').then(() => again(page))
  for (const c of [
    {
      name: 'a wrong Secret', step: 2, settings: { secret: 'wrong-Secret-of-43-characters-0123456789abc' }, says: /Secret/,
      mend: (page, { secret }) => replaceSecret(page, 'Secret', secret),
    },
    {
      name: 'the Secret of another app', step: 2, settings: { app: { secret: appSecret, contacts: true, trusted_ips: ['127.0.0.1'] }, secret: appSecret }, says: /会话内容存档/,
      mend: (page, { secret }) => replaceSecret(page, 'Secret', secret),
    },
    {
      name: 'an address that is not trusted', step: 4, settings: { trusted_ips: ['203.0.113.9'] }, says: /127\.0\.0\.1/,
      mend: (page, _, id) => cloud.wecom(id, 'PUT', '/trusted-ips', { ips: ['127.0.0.1'] }).then(() => again(page)),
    },
    {
      name: 'an archive that is not switched on in WeCom', step: 5, settings: { open: false }, says: /开启/,
      mend: (page, _, id) => cloud.wecom(id, 'PUT', '/open', { open: true }).then(() => again(page)),
    },
    {
      name: 'a licence that has expired', step: 1, wecom: ['PUT', '/licence', { expires: '2026-01-01T00:00:00Z', edition: 3 }], says: /到期|过期/,
      mend: (page, _, id) => cloud.wecom(id, 'PUT', '/licence', { expires: '2126-01-01T00:00:00Z', edition: 3 }).then(() => again(page)),
    },
    { name: 'a corpid that WeCom does not know', step: 0, code: 40013, says: /企业 ?ID/, mend: mendCode },
    { name: 'an archive app that is switched off in WeCom', step: 1, code: 40056, says: /停用|禁用/, mend: mendCode },
    { name: 'a company that WeCom has not verified', step: 1, code: 43009, says: /认证|验证/, mend: mendCode },
    {
      name: 'a scope without members', step: 1, wecom: ['PUT', '/scope', { members: [] }], says: /开启范围/,
      mend: (page, { staff }, id) => cloud.wecom(id, 'PUT', '/scope', { members: [staff[0].userid] }).then(() => again(page)),
    },
  ]) {
    test(c.name, async (t) => {
      const id = `wwfail${c.name.replaceAll(/\W/g, '').slice(-12).padStart(12, '0')}`
      const details = await company(id, c.settings)
      const wrong = c.code ? ['POST', '/failures', { errcode: c.code, times: 100_000 }] : c.wecom
      if (wrong) await cloud.wecom(id, ...wrong).then(() => cloud.ask(id, 'admin', 'POST', '/doctor'))
      const page = await openStep(t, id, c.step)
      await trouble(page, c.says).waitFor()
      assert.deepEqual(await accessible(page), [])
      assert.match(await page.getByRole('navigation', { name: '设置步骤' }).innerText(), /需要处理/)
      await c.mend(page, details, id)
      await nothingBad(page)
      assert.deepEqual(page.complaints, [])
    })
  }

  test('each thing that the self-built app may lack', async (t) => {
    const id = 'wwapp0000000000001'
    await company(id, { app: { secret: appSecret, trusted_ips: ['203.0.113.9'] } })
    const page = await openStep(t, id, 7)
    await check(page, '自建应用', '未使用').waitFor()
    const field = page.getByRole('textbox', { name: '应用的 Secret' })
    await field.fill('another-secret-of-no-app')
    await page.getByRole('button', { name: '保存', exact: true }).click()
    await trouble(page, '不接受已保存的自建应用 Secret').waitFor()
    await replaceSecret(page, '应用的 Secret', appSecret)
    await trouble(page, '企业可信IP').waitFor()
    await cloud.wecom(id, 'PUT', '/app', { secret: appSecret, trusted_ips: ['127.0.0.1'] })
    await again(page)
    await trouble(page, '可调用接口的应用').waitFor()
    assert.deepEqual(await accessible(page), [])
    await cloud.wecom(id, 'PUT', '/app', { secret: appSecret, trusted_ips: ['127.0.0.1'], contacts: true })
    await again(page)
    await check(page, '自建应用', '正常').waitFor()
    await page.locator('.accesses > div').filter({ hasText: '客户和群聊的名称' }).getByText('正常', { exact: true }).waitFor()
    await nothingBad(page)
    assert.deepEqual(page.complaints, [])
  })

  test('a callback pair is replaced, and WeCom follows', async (t) => {
    const id = 'wwcallback00000001'
    await company(id)
    const page = await openStep(t, id, 5)
    const value = (name) => page.locator('.copy-row', { hasText: name }).locator('.copy-value').innerText()
    const enter = async () => cloud.wecom(id, 'PUT', '/callback', { url: await value('URL'), token: await value('Token'), encoding_aes_key: await value('EncodingAESKey') })
    await check(page, '接收事件服务器', '无法判断').getByText('企业微信还没有验证回调 URL').waitFor()
    await enter()
    await check(page, '接收事件服务器', '正常').waitFor()
    const token = await value('Token')
    await page.getByRole('button', { name: '轮换 Token 和 EncodingAESKey' }).click()
    const dialog = page.getByRole('dialog', { name: '轮换 Token 和 EncodingAESKey' })
    await dialog.getByLabel('旧凭证已泄露，立即停用').check()
    assert.deepEqual(await accessible(page), [])
    await dialog.getByRole('button', { name: '轮换', exact: true }).click()
    await check(page, '接收事件服务器', '无法判断').waitFor()
    await page.locator('.copy-value').filter({ hasText: token }).waitFor({ state: 'detached' })
    // WeCom goes on with the pair that has ended.
    await cloud.wecom(id, 'POST', '/events', {})
    await trouble(page, '签名不符').waitFor()
    await enter()
    await check(page, '接收事件服务器', '正常').waitFor()
    await nothingBad(page)
    assert.deepEqual(page.complaints, [])
  })
})

// Most causes need an outage or days to come, so the answers are changed on their way. The
// texts are the archive's: a test of the API keeps causes.json, in both languages. The page
// shows them as they are, so each is read in one language.
for (const [n, [language, operators, ask]] of [['zh', '由运维人员处理', '重新检查'], ['en', 'For operations', 'Check again']].entries()) {
  test(`the page says the causes with their remedies, in ${language}`, async (t) => {
    const id = `wwcauses${language}00000001`
    await company(id)
    const causes = JSON.parse(await readFile(new URL('causes.json', import.meta.url), 'utf8'))[language].filter((_, i) => i % 2 === n)
    /** A check has one cause at a time. */
    const rounds = []
    for (const c of causes) (rounds.find((r) => r.every((x) => x.check !== c.check)) ?? rounds[rounds.push([]) - 1]).push(c)
    const answer = await cloud.ask(id, 'admin', 'GET', '/doctor')
    let [checks, next] = rounds
    const page = await openWindow(browser, cloud, { language })
    t.after(() => closeWindow(page))
    // The page asks by itself too: the next causes come when they are asked for.
    await page.route('**/doctor', (route) => {
      if (route.request().method() === 'GET') return route.fulfill({ json: { ...answer, checks } })
      checks = next
      return route.fulfill({ json: { requested_at: '2026-01-31T08:00:00Z' } })
    })
    await signIn(page, cloud, `admin@${id}`, '/setup/0')
    for (next of rounds) {
      if (next !== rounds[0]) await page.getByRole('button', { name: ask }).click()
      for (const step of new Set(next.map((c) => c.step))) {
        await page.locator(`.setup-nav a[href$="/setup/${step}"]`).click()
        for (const c of next.filter((c) => c.step === step)) {
          const said = page.locator('.check-result').filter({ hasText: c.what }).filter({ hasText: c.fix })
          await said.waitFor()
          assert.equal(await said.getByText(operators).count(), c.state === 'bad' && c.who === 'operators' ? 1 : 0, c.cause)
          if (c.op) await said.getByText(`${c.code} · `).waitFor()
        }
      }
    }
    assert.deepEqual(page.complaints, [])
  })
}

/** Saves the table of a place, and returns the name and the text of the file. */
async function saved(page, place) {
  const [download] = await Promise.all([page.waitForEvent('download'), place.getByRole('button', { name: '下载 CSV' }).click()])
  return [download.suggestedFilename(), await readFile(await download.path(), 'utf8')]
}

test('a rotation waits for the first message of the new version, and says when it came', async (t) => {
  const id = 'wwrotate0000000001'
  const details = await company(id)
  const say = (text) => cloud.wecom(id, 'POST', '/messages', { drafts: [{ from: details.staff[0].userid, to: [details.staff[1].userid], text }] })
  const { public_key } = await cloud.ask(id, 'admin', 'GET', '/setup')
  const first = await cloud.wecom(id, 'POST', '/keys', public_key)
  await cloud.ask(id, 'admin', 'PUT', '/setup', { publickey_ver: first.version })
  await say('一')
  const page = await openStep(t, id, 3)
  await page.locator('.check-result.ok').filter({ hasText: '当前公钥' }).waitFor({ timeout: 60_000 })
  await page.getByRole('button', { name: '轮换密钥' }).click()
  const dialog = page.getByRole('dialog', { name: '轮换消息加密公钥' })
  assert.deepEqual(await accessible(page), [])
  await dialog.getByRole('button', { name: '生成新公钥' }).click()
  const pem = await dialog.getByRole('group').innerText()
  assert.notEqual(pem.trim(), public_key.trim())
  await say('二') // a message with the old key, while the rotation is under way
  const second = await cloud.wecom(id, 'POST', '/keys', pem)
  await dialog.getByLabel('版本号').fill(String(second.version))
  await dialog.getByRole('button', { name: '保存' }).click()
  await dialog.getByText(`正在等待第一条用版本 ${second.version} 的公钥加密的消息`).waitFor()
  assert.deepEqual(await accessible(page), [])
  await say('三')
  await dialog.getByText('轮换完成').waitFor({ timeout: 60_000 })
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => document.activeElement.textContent.includes('轮换密钥'))
  const status = await cloud.ask(id, 'admin', 'GET', '/status')
  assert.equal(status.set_aside.count, 0)
  // The time of each first message stays on the page, and in the tables that are saved.
  const proved = (await cloud.ask(id, 'admin', 'GET', '/setup')).keys.flatMap((k) => k.proved)
  const time = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', hourCycle: 'h23', hour: '2-digit', minute: '2-digit' })
  assert.equal(proved.length, 2)
  for (const p of proved) await page.getByText(`${p.version}（已验证，第一条消息：${time.format(new Date(p.at))}）`).waitFor()
  const [keys, keysText] = await saved(page, page.locator('.step-part'))
  assert.equal(keys, 'keys.csv')
  assert.match(keysText, /第一条消息：\d{4}年/)
  for (const p of proved) assert.ok(keysText.includes(`${p.version} ${p.at}`), keysText)
  const [changes, changesText] = await saved(page, page.locator('.setup-changes'))
  assert.equal(changes, 'setup-changes.csv')
  assert.match(changesText, /^\ufeff时间,步骤,检查项,状态,之前,说明,at,check,to,from\r\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,/)
  assert.deepEqual(page.complaints, [])
})

test('a version that a message proved stands in the field, and not the wrong one that was entered', async (t) => {
  const id = 'wwproved0000000001'
  const { staff } = await company(id)
  const { public_key } = await cloud.ask(id, 'admin', 'GET', '/setup')
  const { version } = await cloud.wecom(id, 'POST', '/keys', public_key)
  await cloud.ask(id, 'admin', 'PUT', '/setup', { publickey_ver: version + 6 })
  await cloud.wecom(id, 'POST', '/messages', { drafts: [{ from: staff[0].userid, to: [staff[1].userid], text: '明天九点到' }] })
  while ((await cloud.ask(id, 'admin', 'GET', '/setup')).keys[0].proved.length === 0) await new Promise((resolve) => setTimeout(resolve, 200))
  const page = await openStep(t, id, 3)
  await page.waitForFunction((want) => document.querySelector('.step-form input')?.value === want, String(version))
  assert.deepEqual(page.complaints, [])
})

test('an imported key is checked as it is typed, and by the archive', async (t) => {
  const id = 'wwimport0000000001'
  await company(id)
  const page = await openStep(t, id, 3)
  await page.getByRole('button', { name: '导入私钥' }).click()
  const dialog = page.getByRole('dialog', { name: '导入私钥' })
  const field = dialog.getByLabel('私钥（PEM）')
  await field.fill('-----BEGIN PUBLIC KEY-----')
  await dialog.getByText('这是公钥，不是私钥').waitFor()
  await field.fill('-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----')
  await dialog.getByRole('button', { name: '导入' }).click()
  await dialog.getByRole('alert').first().waitFor()
  assert.match(await field.inputValue(), /abc/, 'a refused key is not kept for correction')
  assert.deepEqual(await accessible(page), [])

  // Only an empty field is refused here. The archive reads other forms, or says what they are.
  await field.fill('')
  await dialog.getByRole('button', { name: '导入' }).click()
  await dialog.getByText('请粘贴私钥。').waitFor()
  await field.fill('PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 6\nAAAA')
  await dialog.getByText('没有看到 -----BEGIN 开头的私钥').waitFor()
  assert.deepEqual(await accessible(page), [])
  await dialog.getByRole('button', { name: '导入' }).click()
  await dialog.getByText('这是 PuTTY 格式的私钥').waitFor()
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } })
  await field.fill(`${pair.publicKey}${pair.privateKey}`)
  assert.equal(await dialog.getByText('这是公钥，不是私钥').count(), 0)
  await field.fill(`Bag Attributes\n    friendlyName: archive\nKey Attributes: <No Attributes>\n${pair.privateKey}`)
  await dialog.getByRole('button', { name: '导入' }).click()
  await dialog.getByText('私钥已导入').waitFor()
})

test('the AgentId is checked as it is typed, and step 7 says what an absent app costs', async (t) => {
  const id = 'wwagent00000000001'
  await company(id)
  for (const [language, words] of Object.entries({
    zh: { wrong: 'AgentId 只能是 1 至 20 位数字。', none: '企业微信不会返回成员和客户的姓名', secret: '应用的 Secret', save: '保存' },
    en: { wrong: 'An AgentId has 1 to 20 digits and nothing else.', none: 'WeCom returns no names of members, of customers', secret: 'Secret of the app', save: 'Save' },
  })) {
    const page = await openStep(t, id, 7, { language })
    await page.getByText(words.none).waitFor()
    await page.getByRole('textbox', { name: words.secret }).fill('a-Secret-of-an-app-0123456789')
    const save = page.getByRole('button', { name: words.save, exact: true })
    assert.ok(await save.isEnabled())
    await page.getByLabel(/^AgentId/).fill('10000x2')
    await page.getByText(words.wrong).waitFor()
    assert.ok(await save.isDisabled())
    assert.deepEqual(await accessible(page), [])
    await page.getByLabel(/^AgentId/).fill('1000002')
    assert.equal(await page.getByText(words.wrong).count(), 0)
    assert.ok(await save.isEnabled())
    // The place of the settings within WeCom's page of the archive.
    await page.goto(`${cloud.console}/setup/2`)
    await page.getByText('会话存档API配置').waitFor()
  }
})

test('archiving is switched off with a reason, and step 6 then lists nothing that is off', async (t) => {
  const id = 'wwreason0000000001'
  await company(id)
  const page = await openStep(t, id, 5)
  await page.getByText('回到本页，打开下面的开关').waitFor()
  await page.getByText('云朵会话存档：拉取消息').waitFor()
  await page.getByRole('switch', { name: '云朵会话存档：拉取消息' }).click()
  const dialog = page.getByRole('dialog', { name: '关闭会话存档？' })
  await dialog.getByLabel('原因（可选）').fill(' 迁移到新系统 ')
  assert.deepEqual(await accessible(page), [])
  if (process.env.SCREENS) await page.screenshot({ path: `${process.env.SCREENS}/zh-turn-off.png` })
  await dialog.getByRole('button', { name: '关闭存档' }).click()
  await page.getByRole('main').getByText('存档未开启').waitFor()
  await page.getByText('迁移到新系统').first().waitFor()
  assert.equal((await cloud.ask(id, 'admin', 'GET', '/status')).switched.reason, '迁移到新系统')
  await page.getByRole('navigation', { name: '设置步骤' }).getByRole('link', { name: /确认收到会话/ }).click()
  await page.getByText('存档还没有开启').waitFor()
  await page.locator('.check-result').first().waitFor()
  assert.equal(await page.locator('.check-result.off').count(), 0)
  assert.deepEqual(page.complaints, [])
})

test('the import of a key names the versions without one', async (t) => {
  const id = 'wwmissing000000001'
  const { staff } = await company(id)
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } })
  const { version } = await cloud.wecom(id, 'POST', '/keys', publicKey)
  await cloud.wecom(id, 'POST', '/messages', { drafts: [{ from: staff[0].userid, to: [staff[1].userid], text: '没有密钥' }] })
  while ((await cloud.ask(id, 'admin', 'GET', '/setup')).unmatched_versions.length === 0) await new Promise((resolve) => setTimeout(resolve, 300))
  const page = await openStep(t, id, 3)
  await page.getByRole('button', { name: '导入私钥' }).click()
  const dialog = page.getByRole('dialog', { name: '导入私钥' })
  await dialog.getByText(`以下版本的记录还没有可用的私钥：${version}。`).waitFor()
  await dialog.getByRole('button', { name: `填入版本 ${version}` }).click()
  assert.equal(await dialog.getByLabel('版本号（可选）').inputValue(), String(version))
  assert.deepEqual(await accessible(page), [])
})

test('a Secret that WeCom refuses stays in its field, with what WeCom said', async (t) => {
  const id = 'wwrefused000000001'
  const { secret } = await company(id)
  const page = await openStep(t, id, 2)
  await replaceSecret(page, 'Secret', 'wrong-Secret-of-43-characters-0123456789abc')
  const field = page.getByRole('textbox', { name: 'Secret' })
  await page.locator('form').getByText(/不接受/).waitFor()
  assert.equal(await field.inputValue(), 'wrong-Secret-of-43-characters-0123456789abc')
  await page.locator('.secret-state').getByText(/^上次验证：.*\d\d:\d\d，未通过；/).waitFor()
  assert.deepEqual(await accessible(page), [])
  await field.fill(secret)
  assert.equal(await page.locator('form').getByText(/不接受/).count(), 0, 'another Secret is said to be refused')
  await page.getByRole('button', { name: '保存', exact: true }).click()
  await page.getByRole('button', { name: '替换 Secret' }).waitFor()
  assert.deepEqual(page.complaints, [])
})

test('a lost connection is said, and ends', async (t) => {
  const id = 'wwoffline000000001'
  await company(id)
  const page = await openStep(t, id, 2, { language: 'en' })
  await page.getByText('Saved Secret').waitFor()
  await page.getByRole('button', { name: 'Replace the Secret' }).click()
  const field = page.getByRole('textbox', { name: 'Secret' })
  await field.fill('another-Secret-0123456789')
  await page.context().setOffline(true)
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The server cannot be reached').first().waitFor()
  assert.equal(await field.inputValue(), 'another-Secret-0123456789')
  await page.context().setOffline(false)
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('anot••••••••').waitFor()
})
