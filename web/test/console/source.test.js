// What the source of the console must keep.
import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { schema } from '../../schema.js'

const web = new URL('../../', import.meta.url)

async function sources(kind = /\.(ts|vue)$/) {
  const root = new URL('src/', web).pathname
  const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((f) => f.isFile() && kind.test(f.name))
  return Promise.all(
    files.map(async (f) => {
      const path = join(f.parentPath, f.name)
      return { path: path.slice(root.length), text: await readFile(path, 'utf8') }
    }),
  )
}

test('schema.d.ts is what openapi.yaml says', async () => {
  assert.ok((await readFile(new URL('src/api/schema.d.ts', web), 'utf8')) === (await schema()), 'run npm run schema in web/')
})

test('only ui imports TDesign and Reka UI, only api and voice call fetch, parts know no page', async () => {
  for (const { path, text } of await sources()) {
    const imports = [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map((m) => m[1])
    if (!path.startsWith('console/ui/')) {
      assert.deepEqual(imports.filter((i) => /^(tdesign-vue-next|reka-ui)/.test(i)), [], path)
    }
    if (!path.startsWith('api/') && !path.startsWith('voice/')) assert.doesNotMatch(text, /\bfetch\(/, path)
    if (path.startsWith('console/parts/')) {
      assert.deepEqual(imports.filter((i) => /\/(chats|setup|status|proof|router)(\/|$)/.test(i)), [], path)
    }
  }
})

test('no text of a stranger becomes markup, and no style is inline', async () => {
  for (const { path, text } of await sources()) {
    assert.doesNotMatch(text, /v-html|innerHTML|insertAdjacentHTML|document\.write/, path)
    if (path.endsWith('.vue')) assert.doesNotMatch(text, /<[^>]*\sstyle="/, path)
  }
})

// Pixels as breakpoints would keep the wide layout for a reader whose text is twice as large.
test('breakpoints and sizes of text follow the reader\'s size of text', async () => {
  for (const { path, text } of await sources(/\.(css|vue)$/)) {
    if (!path.startsWith('console/')) continue
    assert.doesNotMatch(text, /\((?:min|max)-width: \d+px\)/, path)
    assert.doesNotMatch(text, /font(?:-size)?:[^;]*\dpx/, path)
  }
})

// The styles of all pages stay once they are loaded, so a class that two places define would depend on
// which page was opened first.
test('a class is defined in one place', async () => {
  const places = new Map()
  for (const { path, text } of await sources(/\.(css|vue)$/)) {
    const css = path.endsWith('.css') ? text : [...text.matchAll(/<style>(.*?)<\/style>/gs)].map((m) => m[1]).join('')
    // Whatever a part of a message looks like is nested in .parts.
    if (path === 'console/parts/parts.css' || !path.startsWith('console/')) continue
    for (const [name] of css.matchAll(/(?<=^|,\s)\.[\w-]+(?=\s*[,{])/gm)) places.set(name, [...(places.get(name) ?? []), path])
  }
  for (const [name, paths] of places) assert.equal(new Set(paths).size, 1, `${name}: ${paths}`)
})
