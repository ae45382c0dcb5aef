// Prints what is shipped of web/ as a list in CycloneDX: the packages that a bundle
// contains, as the build's licenses.md name them. npm lists the tools of the build too.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'

const lists = [
  await readFile(new URL('dist/licenses.md', import.meta.url), 'utf8'),
  await readFile(new URL('dist/client-licenses.md', import.meta.url), 'utf8'),
  gunzipSync(await readFile(new URL('../functions/api/internal/console/dist/licenses.md.gz', import.meta.url))).toString(),
]
const shipped = new Set(lists.flatMap((text) => [...text.matchAll(/^## (\S+) - (\S+) \(/gm)].map(([, name, version]) => `${name}@${version}`)))
const bom = JSON.parse(execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx'], { cwd: new URL('.', import.meta.url), encoding: 'utf8', maxBuffer: 1 << 26 }))
const root = bom.metadata.component['bom-ref']
bom.components = bom.components.filter((c) => shipped.has(c['bom-ref']))
bom.dependencies = bom.dependencies
  .filter((d) => d.ref === root || shipped.has(d.ref))
  .map((d) => ({ ...d, dependsOn: d.dependsOn.filter((ref) => shipped.has(ref)) }))
const listed = new Set(bom.components.map((c) => c['bom-ref']))
const missing = [...shipped].filter((ref) => !listed.has(ref))
if (missing.length > 0) throw new Error(`npm does not list what a bundle contains: ${missing.join(', ')}`)
console.log(JSON.stringify(bom, null, 2))
