// Puts the built console where the function api embeds it. Every text file is
// there twice, compressed by brotli and by gzip, and not as it is. Each file is
// complete before build.json appears, which the Makefile takes as the sign that
// the console is built.
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

const from = new URL('dist/console/', import.meta.url).pathname
const to = new URL('../functions/api/internal/console/dist/', import.meta.url).pathname
const texts = ['.html', '.js', '.css', '.svg', '.json', '.md']

for (const name of await readdir(to)) {
  if (name !== '.keep') await rm(join(to, name), { recursive: true })
}
const digest = createHash('sha256')
for (const name of (await readdir(from, { recursive: true, withFileTypes: true })).filter((f) => f.isFile()).map((f) => join(f.parentPath, f.name)).sort()) {
  const bytes = await readFile(name)
  const path = name.slice(from.length)
  digest.update(`${path}\0${bytes.length}\0`).update(bytes)
  const target = join(to, path)
  await mkdir(dirname(target), { recursive: true })
  if (!texts.includes(extname(name))) {
    await writeFile(target, bytes)
    continue
  }
  await writeFile(`${target}.gz`, await promisify(gzip)(bytes, { level: 9 }))
  await writeFile(`${target}.br`, await promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
}
await writeFile(join(to, 'build.json'), `${JSON.stringify({ digest: digest.digest('hex') })}\n`)
