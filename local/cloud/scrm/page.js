// The pages of the SCRM. What concerns the archive is in handOver, open and news.
const start = JSON.parse(document.getElementById('start').textContent)
const at = (id) => document.getElementById(id)
const zh = (new URLSearchParams(location.search).get('lang') ?? navigator.language).startsWith('zh')

const texts = {
  zh: {
    product: '示例 SCRM', company: '企业', as: '当前员工', language: 'English', customers: '客户', nobody: '这位员工还没有客户会话。', tab: '聊天记录',
    choose: '请在左侧选择一位客户，查看聊天记录。', how: '这个页面演示什么', news: '存档发来的变更通知', newsAbout: '存档有变化时，会向 SCRM 的后端发送通知。通知只含编号和代码，不含消息内容。', quiet: '暂无通知。',
    steps: [
      '这是一个虚构的 SCRM，左侧是它自己的客户列表。',
      '中间的聊天记录是云朵会话存档的控制台，嵌在 iframe 中，员工无需再次登录。',
      'SCRM 的后端为当前员工签发 15 分钟有效的凭证（token），其中写明可以查看哪些成员的会话。',
      '选择另一位客户时，页面只向 iframe 发送一条 open 消息。',
    ],
    menu: { customers: '客户', chats: '全部会话', status: '存档状态', setup: '会话存档设置' },
    frame: '云朵会话存档', about: (who) => `跟进员工：${who}`, fresh: '新', all: '全部员工',
    raw: '通知原文', show: '查看', and: '、',
    updated: (who) => `${who} 有新消息`, room: '群聊有新消息', unplaced: '有新消息',
    consent: (who, to, what) => `${who} 对 ${to}：${what}`, consentRoom: (who, what) => `${who} 在群聊中：${what}`,
    statuses: { agree: '同意存档', disagree: '不同意存档', default_agree: '尚未答复' },
    setup: (step, check, to) => `设置第 ${step} 步的检查（${check}）：${to}`,
    states: { ok: '正常', waiting: '等待', bad: '有问题', unseen: '无法判断', off: '未使用' },
  },
  en: {
    product: 'Example SCRM', company: 'Company', as: 'Signed in as', language: '中文', customers: 'Customers', nobody: 'This member has no chats with customers yet.', tab: 'Chat history',
    choose: 'Choose a customer on the left to see the chat history.', how: 'What this page shows', news: 'Announcements of the archive',
    newsAbout: 'The archive tells the SCRM’s backend what has changed: ids and codes, and no message text.', quiet: 'Nothing announced yet.',
    steps: [
      'This is an invented SCRM. The list on the left is its own list of customers.',
      'The chat history is the console of Yunduo Archive in an iframe. Members of staff do not sign in again.',
      'The SCRM’s backend signs a token for the member, valid for 15 minutes. The token names the members whose chats it shows.',
      'To show another customer, the page sends the iframe one open message.',
    ],
    menu: { customers: 'Customers', chats: 'All chats', status: 'Archive status', setup: 'Archive set-up' },
    frame: 'Yunduo Archive', about: (who) => `Looked after by ${who}`, fresh: 'new', all: 'Everybody',
    raw: 'As it came', show: 'Show', and: ', ',
    updated: (who) => `New messages: ${who}`, room: 'New messages in a group chat', unplaced: 'New messages',
    consent: (who, to, what) => `${who} to ${to}: ${what}`, consentRoom: (who, what) => `${who} in a group chat: ${what}`,
    statuses: { agree: 'agreed to archiving', disagree: 'refused archiving', default_agree: 'has not answered' },
    setup: (step, check, to) => `Check of step ${step} (${check}): ${to}`,
    states: { ok: 'works', waiting: 'waiting', bad: 'problem', unseen: 'not known', off: 'not used' },
  },
}
const t = texts[zh ? 'zh' : 'en']

const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more })
const initial = (name) => [...name][0]?.toUpperCase() ?? '?'
const read = async (path) => {
  const answer = await fetch(path)
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json()
}

let corp = start.corp
/** A company that was added without a name is shown by its corpid. */
const companyName = (id) => start.companies.find((c) => c.id === id)?.name || id
/** The member who is signed in; empty for everybody. */
let member = start.staff && start.staff !== '*' ? start.staff : ''
let members = []
let customers = []
let customer
/** Customers with messages since they were last shown. */
const fresh = new Set()
/** Whom the present token of the frame is for, and whether the console has asked for it. */
let shown = { key: '', ready: false }

/** A name that is not known yet, or of a customer of another member, is the beginning of the id. */
const nameOf = (id) => [...members, ...customers].find((p) => p.id === id)?.name || (id.length > 12 ? `${id.slice(0, 10)}…` : id)

// ---- the frame ----

const frame = at('frame')
const origin = new URL(start.console).origin
const say = (message) => frame.contentWindow.postMessage(message, origin)

/** Shows an address of the console to a role. A console that has its token only changes its page. */
function open(role, path, place) {
  const key = JSON.stringify([corp, role, member])
  if (place && shown.key === key && shown.ready) return say({ type: 'yunduo-archive:open', ...place })
  shown = { key, ready: false, role }
  const query = new URLSearchParams({ embed: '1', ...place })
  frame.src = `${start.console}${path}?${query}`
  frame.hidden = false
}

/** Gives the console a token, as the SCRM's backend would sign it. */
async function handOver() {
  const asked = shown
  const staff = start.staff || (shown.role === 'reader' && member ? member : '*')
  const body = JSON.stringify({ sub: 'scrm-user', corp, role: shown.role, staff, exp: Math.floor(Date.now() / 1000) + start.life })
  const { token } = await (await fetch('/token', { method: 'POST', body })).json()
  // The frame may show another page by now, which asks by itself.
  if (shown === asked) say({ type: 'yunduo-archive:token', token, lang: zh ? 'zh' : 'en' })
}

addEventListener('message', ({ source, origin: from, data }) => {
  if (source !== frame.contentWindow || from !== origin) return
  if (data.type === 'yunduo-archive:ready' || data.type === 'yunduo-archive:need-token') void handOver()
  if (data.type === 'yunduo-archive:opened') {
    shown.ready = true
    document.title = data.title ?? document.title
  }
})

// ---- the pages ----

const menu = [
  { id: 'customers' },
  { id: 'chats', role: 'reader', path: '/chats' },
  { id: 'status', role: 'admin', path: '/status' },
  { id: 'setup', role: 'admin', path: '/setup' },
]

function choose(id) {
  const entry = menu.find((m) => m.id === id)
  for (const button of at('menu').children) button.toggleAttribute('aria-current', button.dataset.id === id)
  document.body.classList.toggle('alone', id !== 'customers')
  at('card').hidden = true
  at('title').hidden = id === 'customers'
  at('title').textContent = entry ? t.menu[id] : t.frame
  at('choose').hidden = id !== 'customers'
  frame.hidden = id === 'customers'
  if (entry?.path) open(entry.role, entry.path)
  else if (entry && customer) show(customer)
}

function show(person) {
  customer = person
  fresh.delete(person.id)
  at('choose').hidden = true
  at('card').hidden = false
  at('card').querySelector('.avatar').textContent = initial(person.name || person.id)
  at('name').textContent = person.name || person.id
  at('about').textContent = [person.company, t.about(nameOf(member))].filter(Boolean).join(' · ')
  frame.hidden = false
  open('reader', '/open', { member, external_contact: person.id })
  list()
}

function list() {
  at('people').replaceChildren(
    ...customers.map((person) => {
      const button = make('button', '', { type: 'button', className: 'person' })
      const face = make('span', initial(person.name || person.id), { className: 'avatar' })
      face.setAttribute('aria-hidden', 'true')
      button.append(face, make('span', person.name || person.id))
      if (fresh.has(person.id)) button.append(make('span', t.fresh, { className: 'fresh' }))
      button.toggleAttribute('aria-current', person.id === customer?.id)
      button.onclick = () => show(person)
      const row = document.createElement('li')
      row.append(button)
      return row
    }),
  )
  at('nobody').hidden = customers.length > 0
}

/** Reads the customers of the member again. */
async function look() {
  customers = member ? await read(`/scrm/people?${new URLSearchParams({ corp, with: member })}`) : []
  list()
}

async function signIn() {
  members = await read(`/scrm/people?${new URLSearchParams({ corp })}`).catch(() => [])
  customer = undefined
  fresh.clear()
  if (!members.some((m) => m.id === member)) {
    // A visitor begins with a member who has customers.
    for (const m of members.slice(0, 8)) {
      member = m.id
      await look().catch(() => {})
      if (customers.length > 0) break
    }
  } else await look().catch(() => {})
  at('staff').replaceChildren(...members.map((m) => make('option', m.name || m.id, { value: m.id, selected: m.id === member })))
}

// ---- what the archive announces ----

const told = new Set()
const shownMost = 30

function describe({ 'detail-type': type, detail: d }) {
  switch (type) {
    case 'conversation.updated': {
      const external = d.parties.find((id) => /^w[mo]/.test(id))
      const place = d.room ? { room: d.room } : d.kind === 'single' && external ? { member: d.parties.find((id) => id !== external), external_contact: external } : undefined
      return { text: d.room ? t.room : d.parties.length ? t.updated(d.parties.map(nameOf).join(zh ? ' 与 ' : ' and ')) : t.unplaced, place }
    }
    case 'consent.changed':
      return { text: d.room ? t.consentRoom(nameOf(d.external_contact), t.statuses[d.status]) : t.consent(nameOf(d.external_contact), nameOf(d.member), t.statuses[d.status]) }
    case 'setup.changed':
      return { text: t.setup(d.step, d.check, t.states[d.to] ?? d.to) }
    default:
      return { text: type }
  }
}

function note(event) {
  const { text, place } = describe(event)
  const row = document.createElement('li')
  const time = make('time', new Date(event.time).toLocaleTimeString(zh ? 'zh-CN' : 'en-GB', { timeZone: 'Asia/Shanghai' }), { dateTime: event.time })
  const line = make('p', `${text} `)
  // Only a chat of the member who is signed in may be opened.
  if (place && (place.room || place.member === member)) line.append(make('button', t.show, { type: 'button', onclick: () => follow(place) }))
  const raw = document.createElement('details')
  raw.append(make('summary', t.raw), make('pre', JSON.stringify(event, null, 2)))
  const company = make('span', companyName(event.detail.corp), { className: 'of' })
  row.append(time, ' ', company, line, raw)
  at('events').prepend(row)
  while (at('events').children.length > shownMost) at('events').lastChild.remove()
  at('quiet').hidden = true
}

function follow(place) {
  const person = customers.find((p) => p.id === place.external_contact)
  choose('customers')
  if (person) show(person)
  else {
    at('choose').hidden = true
    frame.hidden = false
    open('reader', '/open', place)
  }
}

/** A customer who writes comes to the front of the list, which is then read again. */
async function news() {
  const all = (await read('/announcements')).filter((a) => a.detail.corp === corp && !told.has(a.id))
  let moved = false
  for (const event of all.reverse()) {
    told.add(event.id)
    note(event)
    if (event['detail-type'] !== 'conversation.updated' || !event.detail.parties.includes(member)) continue
    moved = true
    for (const id of event.detail.parties) if (id !== member && id !== customer?.id) fresh.add(id)
  }
  if (moved) await look()
}

// ---- the beginning ----

document.documentElement.lang = zh ? 'zh-CN' : 'en'
document.title = t.product
frame.title = t.frame
for (const e of document.querySelectorAll('[data-text]')) e.textContent = t[e.dataset.text]
at('how').replaceChildren(...t.steps.map((s) => make('li', s)))
at('menu').setAttribute('aria-label', t.product)
at('menu').replaceChildren(...menu.map(({ id }) => make('button', t.menu[id], { type: 'button', onclick: () => choose(id) })))
menu.forEach(({ id }, n) => (at('menu').children[n].dataset.id = id))
at('company').replaceChildren(...start.companies.map((c) => make('option', companyName(c.id), { value: c.id, selected: c.id === corp })))
at('company').onchange = async ({ target }) => {
  corp = target.value
  told.clear()
  at('events').replaceChildren()
  at('quiet').hidden = false
  await signIn()
  choose('customers')
}
at('staff').onchange = async ({ target }) => {
  member = target.value
  customer = undefined
  fresh.clear()
  await look()
  choose('customers')
}
at('language').textContent = t.language
at('language').lang = zh ? 'en' : 'zh-CN'
at('language').onclick = () => {
  const to = new URL(location)
  to.searchParams.set('lang', zh ? 'en' : 'zh')
  location.assign(to)
}

// An address that names a page of the console shows it to the role in the address.
if (start.path) {
  choose('')
  open(start.role, start.path)
} else choose('customers')
await signIn()
if (!start.path && customers[0]) show(customers[0])
const poll = async () => {
  if (!document.hidden) await news().catch(() => {})
  setTimeout(poll, 3000)
}
void poll()
