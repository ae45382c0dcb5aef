// Completes the types of the published client: they need those of openapi-fetch,
// which the package contains as it contains its code.
import { copyFile, readFile, writeFile } from 'node:fs/promises'

const at = (path) => new URL(path, import.meta.url)
await copyFile(at('src/api/schema.d.ts'), at('dist/schema.d.ts'))
for (const [from, to] of [
  ['dist/client.d.ts', 'client'],
  ['node_modules/openapi-fetch/dist/index.d.mts', 'openapi-fetch'],
  ['node_modules/openapi-typescript-helpers/dist/index.d.mts', 'openapi-typescript-helpers'],
]) {
  const text = await readFile(at(from), 'utf8')
  await writeFile(at(`dist/${to}.d.ts`), text.replaceAll(/from '(openapi-[a-z-]+)'/g, "from './$1.js'"))
}
