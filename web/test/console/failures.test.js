// What the page says when WeCom refuses, and that it goes on by itself or by one
// click once a person has mended the cause in WeCom.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, openWindow, signIn, startBrowser, startCloud } from './cloud.js'

let cloud, browser
before(async () => {
  ;[cloud, browser] = [await startCloud(), await startBrowser()]
})
after(async () => {
  await browser?.close()
  await cloud?.stop()
})

/** A company that did every step, with one thing wrong in WeCom. */
async function company(id, { secret, ...settings } = {}) {
  await cloud.addCorp(id, { open: true, scope_all: true, trusted_ips: ['127.0.0.1'], ...settings })
  const details = await cloud.wecom(id, 'GET', '')
  await cloud.ask(id, 'admin', 'PUT', '', { name: '晨星教育' })
  await cloud.ask(id, 'admin', 'PUT', '/setup', { secret: secret ?? details.secret })
  await cloud.ask(id, 'admin', 'PUT', '/state', { enabled: true })
  return details
}

for (const c of [
  {
    name: 'a wrong Secret', id: 'wwfail000000000001', step: 2, settings: { secret: 'wrong-Secret-of-43-characters-0123456789abc' }, says: /Secret/,
    async mend(page, details) {
      await page.getByRole('button', { name: '替换 Secret' }).click()
      await page.getByRole('textbox', { name: 'Secret' }).fill(details.secret)
      await page.getByRole('button', { name: '保存' }).click()
    },
  },
  {
    name: 'an address that is not trusted', id: 'wwfail000000000002', step: 4, settings: { trusted_ips: ['203.0.113.9'] }, says: /127\.0\.0\.1/,
    mend: (page, _, id) => cloud.wecom(id, 'PUT', '/trusted-ips', { ips: ['127.0.0.1'] }).then(() => page.getByRole('button', { name: '重新检查' }).click()),
  },
  {
    name: 'an archive that is not switched on in WeCom', id: 'wwfail000000000003', step: 5, settings: { open: false }, says: /开启/,
    mend: (page, _, id) => cloud.wecom(id, 'PUT', '/open', { open: true }).then(() => page.getByRole('button', { name: '重新检查' }).click()),
  },
]) {
  test(c.name, async () => {
    const details = await company(c.id, c.settings)
    const page = await openWindow(browser, cloud)
    await signIn(page, cloud, `admin@${c.id}`, `/setup/${c.step}`)
    const trouble = page.getByRole('alert').filter({ hasText: c.says }).first()
    await trouble.waitFor({ timeout: 60_000 })
    assert.deepEqual(await accessible(page), [])
    assert.match(await page.getByRole('navigation', { name: '设置步骤' }).innerText(), /需要处理/)
    await c.mend(page, details, c.id)
    await page.waitForFunction(() => !document.querySelector('.check.bad'), undefined, { timeout: 60_000 })
    assert.deepEqual(page.complaints, [])
    await page.context().close()
  })
}

test('a rotation waits for the first message of the new version, and says when it came', async () => {
  const id = 'wwrotate0000000001'
  const details = await company(id)
  const say = (text) => cloud.wecom(id, 'POST', '/messages', { drafts: [{ from: details.staff[0].userid, to: [details.staff[1].userid], text }] })
  const { public_key } = await cloud.ask(id, 'admin', 'GET', '/setup')
  const first = await cloud.wecom(id, 'POST', '/keys', public_key)
  await cloud.ask(id, 'admin', 'PUT', '/setup', { publickey_ver: first.version })
  await say('一')
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${id}`, '/setup/3')
  await page.locator('.check.ok').filter({ hasText: '当前公钥' }).waitFor({ timeout: 60_000 })
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
  await dialog.getByText(`等待第一条使用版本 ${second.version} 的消息`).waitFor()
  assert.deepEqual(await accessible(page), [])
  await say('三')
  await dialog.getByText('轮换完成').waitFor({ timeout: 60_000 })
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => document.activeElement.textContent.includes('轮换密钥'))
  const status = await cloud.ask(id, 'admin', 'GET', '/status')
  assert.equal(status.set_aside.count, 0)
  assert.deepEqual(page.complaints, [])
})

test('an imported key is checked as it is typed, and by the archive', async () => {
  const id = 'wwimport0000000001'
  await company(id)
  const page = await openWindow(browser, cloud)
  await signIn(page, cloud, `admin@${id}`, '/setup/3')
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
})

test('a lost connection is said, and ends', async () => {
  const id = 'wwoffline000000001'
  await company(id)
  const page = await openWindow(browser, cloud, { language: 'en' })
  await signIn(page, cloud, `admin@${id}`, '/setup/2')
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
