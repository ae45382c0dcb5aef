// The set-up of a company from nothing to its first chat, with the keyboard
// alone, and what the page says when WeCom refuses.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, openWindow, signIn, startBrowser, startCloud, tabTo } from './cloud.js'

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
const check = (page, name, state) => page.locator('.check').filter({ has: page.getByText(name, { exact: true }) }).filter({ hasText: state })

test('set-up from nothing to the first chat, by keyboard alone', async () => {
  const corp = await cloud.addCorp('wwkeyboard00000001')
  const { secret } = await cloud.wecom(corp, 'GET', '')
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${corp}`)
  const keys = page.keyboard

  // 0 企业. The page opens the first step by itself.
  await page.waitForURL('**/setup/0')
  await tabTo(page, '企业名称')
  await keys.type('晨星教育')
  await keys.press('Enter')
  await marked(page, '企业', '已完成')

  // 1 开启范围
  await cloud.wecom(corp, 'PUT', '/scope', { members: ['lin.hua', 'chen.chen'] })
  await tabTo(page, /开启范围/)
  await keys.press('Enter')
  await page.getByText('企业微信要等第 2、4 步完成后才会回答').first().waitFor()

  // 2 Secret. Something else that was pasted is named.
  await tabTo(page, /Secret/)
  await keys.press('Enter')
  await tabTo(page, 'Secret', 'textbox')
  await keys.insertText('-----BEGIN PUBLIC KEY-----')
  await page.getByText('这是密钥文件的内容').waitFor()
  await keys.press('Control+a')
  await keys.insertText(`  ${secret}\n`)
  await page.getByText('前后的空格或换行会去掉').waitFor()
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
  await check(page, '当前公钥', `还没有收到使用版本 ${version} 加密的消息`).waitFor()

  // 4 可信IP地址
  await tabTo(page, /可信IP地址/)
  await keys.press('Enter')
  await page.getByRole('button', { name: '复制 可信IP地址' }).waitFor()
  const addresses = await page.locator('.copy-value').first().innerText()
  await cloud.wecom(corp, 'PUT', '/trusted-ips', { ips: addresses.split(';') })

  // 5 事件与开启
  await tabTo(page, /事件与开启/)
  await keys.press('Enter')
  const values = {}
  for (const [name, field] of [['URL', 'url'], ['Token', 'token'], ['EncodingAESKey', 'encoding_aes_key']]) {
    values[field] = await page.locator('.copy-row', { hasText: name }).locator('.copy-value').innerText()
  }
  await cloud.wecom(corp, 'PUT', '/callback', values)
  await cloud.wecom(corp, 'PUT', '/open', { open: true })
  await tabTo(page, '会话存档', 'switch')
  await keys.press('Space')
  await page.getByText('存档已开启').first().waitFor()
  await check(page, '接收事件服务器', '正常').getByText('URL 验证时间').waitFor()

  // 6 会话出现
  await tabTo(page, /会话出现/)
  await keys.press('Enter')
  const { staff } = await cloud.wecom(corp, 'GET', '')
  await cloud.wecom(corp, 'PUT', '/scope', { members: staff.map((s) => s.userid) })
  await cloud.wecom(corp, 'POST', '/messages', { drafts: [{ from: staff[0].userid, to: [staff[1].userid], text: '明天九点到' }] })
  await marked(page, '会话出现', '已完成')
  await marked(page, '消息加密公钥', '已完成')
  await page.getByText('会话已经出现').waitFor()

  // Back to step 3: a message has proved the version.
  await tabTo(page, /消息加密公钥/)
  await keys.press('Enter')
  await check(page, '当前公钥', '正常').getByText('消息证明的版本号').waitFor()

  // 1 again: WeCom answers now.
  await tabTo(page, /开启范围/)
  await keys.press('Enter')
  await tabTo(page, '重新检查')
  await keys.press('Enter')
  await page.getByText(`${staff.length} 位成员在开启范围内`).waitFor()
  await marked(page, '开启范围', '已完成')
  // What happened is listed.
  await page.getByRole('heading', { name: '设置的变化' }).waitFor()
  await page.locator('.changes').getByRole('link', { name: '开启范围' }).first().waitFor()
  assert.deepEqual(page.complaints, [])
})
