// The client as it is packed: its types, and what it does with the local cloud.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { compareSeqs, createClient, data, Failure, seq } from '@yunduo-scrm/archive-web/client'
import { startCloud } from '../console/cloud.js'

const run = promisify(execFile)
const web = new URL('../../', import.meta.url).pathname

test('a strict program compiles against the packed file, which needs no other package', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'client-'))
  t.after(() => rm(home, { recursive: true }))
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', home], { cwd: web })
  const installed = join(home, 'node_modules/@yunduo-scrm/archive-web')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(home, stdout.trim()), '-C', installed, '--strip-components=1'])
  for (const name of ['consumer.ts', 'tsconfig.json']) await cp(join(web, 'test/client', name), join(home, name))
  await run('node_modules/.bin/tsc', ['--project', home], { cwd: web }).catch((e) => assert.fail(e.stdout))
  const program = "import { seq } from '@yunduo-scrm/archive-web/client'; console.log(seq('4711'))"
  assert.equal((await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: home })).stdout, '4711\n')
})

let cloud
const corpid = 'ww00000000000000c1'
const params = { path: { corpid } }

before(async () => {
  cloud = await startCloud()
  await cloud.addCorp(corpid)
})
after(() => cloud?.stop())

/** A client with a token of the role; without a role it has none. */
async function clientOf(role, options = {}) {
  const { token } = role ? await cloud.call('POST', '/token', { sub: 'scrm', corp: corpid, role, staff: '*' }) : {}
  return createClient({ base: cloud.api, token: () => token, language: () => 'en', ...options })
}

test('the client sets a company up and reads it', async () => {
  const client = await clientOf('service')
  const corp = await data(client.PUT('/v1/corps/{corpid}', { params, body: { name: '晨星教育' } }))
  assert.equal(corp.corp_id, corpid)
  const setup = await data(client.GET('/v1/corps/{corpid}/setup', { params }))
  assert.match(setup.public_key, /BEGIN PUBLIC KEY/)
  const page = await data(client.GET('/v1/corps/{corpid}/people', { params: { ...params, query: { kind: 'member', limit: 10 } } }))
  assert.deepEqual(page.people, [])
})

test('a list in a query is one text, and problems come in the language of the client', async () => {
  const client = await clientOf('service')
  const kinds = { ...params, query: { kinds: ['text', 'image'] }, path: { corpid, conversation: 'abc' } }
  const failure = await data(client.GET('/v1/corps/{corpid}/conversations/{conversation}/messages', { params: kinds })).catch((e) => e)
  assert.ok(failure instanceof Failure)
  assert.equal(failure.status, 404)
  assert.equal(failure.problem.title, 'Not found')
})

test('a token that the gateway refuses is renewed once', async () => {
  let renewed = 0
  const good = await cloud.call('POST', '/token', { sub: 'scrm', corp: corpid, role: 'service' })
  let token = 'refused'
  const client = createClient({
    base: cloud.api,
    token: () => token,
    language: () => 'en',
    async renew() {
      renewed++
      token = good.token
      return true
    },
  })
  const session = await data(client.GET('/v1/session'))
  assert.deepEqual([session.corp, renewed], [corpid, 1])
})

test('a text becomes a seq only if it is one, and seqs sort as numbers', () => {
  assert.equal(seq('18446744073709551615'), '18446744073709551615')
  assert.equal(seq(4711n), '4711')
  for (const text of ['', '-1', '007', '1.5', '2026-01-31', ' 1', '18446744073709551616']) assert.throws(() => seq(text), RangeError, text)
  assert.deepEqual(['100', '99', '9', '18446744073709551615', '10'].map(seq).sort(compareSeqs), ['9', '10', '99', '100', '18446744073709551615'])
})

test('no answer is a failure without a status', async () => {
  const client = createClient({ base: 'http://127.0.0.1:1', token: () => undefined, language: () => 'en' })
  const failure = await data(client.GET('/v1/session')).catch((e) => e)
  assert.deepEqual([failure.name, failure.status], ['Failure', 0])
})
