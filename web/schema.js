// Makes the types of the API from openapi.yaml: `node schema.js` writes
// src/api/schema.d.ts, and a test compares that file with schema().
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import openapi, { astToString, stringToAST } from 'openapi-typescript'

/**
 * Schemas with a narrower type than their text form. A text that only may be a seq, such as what a person typed, is
 * none before seq() has read it. A brand would not do: openapi-fetch takes a branded text for an object.
 */
const narrower = { '#/components/schemas/Seq': '`${bigint}`' }

/** Returns the content of schema.d.ts. */
export async function schema() {
  const types = await openapi(new URL('../functions/api/openapi.yaml', import.meta.url), {
    // What a request may leave out is optional, although the document names its default.
    defaultNonNullable: false,
    transform: (_, { path }) => narrower[path] && stringToAST(`type T = ${narrower[path]}`)[0].type,
  })
  return `// Made from functions/api/openapi.yaml by npm run schema. Do not edit.\n${astToString(types)}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(new URL('src/api/schema.d.ts', import.meta.url), await schema())
