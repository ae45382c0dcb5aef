// Takes the pictures of the console that README.md and README.zh-CN.md begin with:
// a chat of the prepared company of the local cloud. `npm run picture` writes them.
import { openWindow, signIn, startBrowser, startCloud } from './console/cloud.js'

const corp = 'ww0123456789abcdef'
const docs = new URL('../../docs/', import.meta.url).pathname
const minute = 60_000
const cloud = await startCloud()
const browser = await startBrowser()

const { staff, customers, rooms } = await cloud.wecom(corp, 'GET', '')
const own = customers.filter((c) => c.external_userid.startsWith('wm')).map((c) => c.external_userid)
const people = { [staff[0].userid]: '林华', [staff[1].userid]: '陈晨', [own[0]]: '小明妈妈', [own[1]]: '李先生', [own[2]]: '张老师', [own[3]]: '王女士', [own[4]]: '豆豆爸爸', [own[5]]: '赵经理' }
await cloud.ask(corp, 'service', 'PUT', '/contacts', { contacts: Object.entries(people).map(([id, name]) => ({ id, name })) })
await cloud.ask(corp, 'service', 'PUT', '/rooms', { rooms: [{ id: rooms[0].id, name: '三班家长群' }] })

const [teacher, mother] = [staff[0].userid, own[0]]
let at = Date.now() - 90 * minute
/** What is said, by whom: to the teacher, by the teacher, or in a room. */
const say = (from, to, text, more = {}) => ({ from, ...(to === rooms[0].id ? { room: to } : { to: [to] }), text, time: new Date((at += 2 * minute)).toISOString(), ...more })
const drafts = [
  say(own[5], teacher, '合同收到了，谢谢'),
  say(own[4], teacher, '', { kind: 'voice/plain' }),
  say(teacher, own[3], '好的，周五给您答复'),
  say(staff[1].userid, rooms[0].id, '明天春游，请大家七点半到校门口集合'),
  say(own[2], teacher, '', { kind: 'image/plain' }),
  say(own[1], teacher, '请问还有名额吗？'),
  say(mother, teacher, '林老师好，明天的春游几点集合？要带些什么？'),
  say(teacher, mother, '您好[微笑] 七点半在校门口集合，带水和午餐就可以。'),
  say(teacher, mother, '春游安排.pdf', { kind: 'file/plain' }),
  say(mother, teacher, '这是一条引用/回复消息：\n"林华：\n七点半在校门口集合，带水和午餐就可以。"\n------\n收到，谢谢老师！这是我们上次拍的照片'),
  say(mother, teacher, '', { kind: 'image/plain', size: 240_000 }),
  say(teacher, mother, '', { kind: 'voice/plain', size: 16_000 }),
  say(mother, teacher, '好的，明天见[玫瑰]'),
]
await cloud.wecom(corp, 'POST', '/messages', { drafts })
for (;;) {
  const { conversations } = await cloud.ask(corp, 'reader', 'GET', `/conversations?member=${teacher}`)
  const { files } = await cloud.ask(corp, 'admin', 'GET', '/status')
  if (conversations.length >= 7 && files.waiting === 0 && conversations[0].newest.text.startsWith('好的，明天见')) break
  await new Promise((resolve) => setTimeout(resolve, 500))
}
for (const [language, name] of [['en', 'console.png'], ['zh', 'console.zh-CN.png']]) {
  const page = await openWindow(browser, cloud, { language, viewport: { width: 1360, height: 800 } })
  await signIn(page, cloud, `all@${corp}`, `/chats/members?of=${teacher}`)
  await page.locator('.conversations .list-row').first().click()
  await page.locator('article img').first().waitFor()
  await page.mouse.move(0, 0)
  await page.waitForTimeout(1500)
  await page.screenshot({ path: docs + name })
}
await browser.close()
await cloud.stop()
