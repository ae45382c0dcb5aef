// Serves the built page on the loopback address, under the policies of README.md.
// The tests use the same policies.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const policies = {
  page: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; worker-src 'self'; media-src blob:; connect-src 'self' https: http://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  decoder: "default-src 'none'; script-src 'unsafe-eval'; connect-src data:",
}

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }

/** Starts a server on the loopback address. Returns its URL and a function that closes it. */
export async function serve(port = 0, { page, decoder } = policies) {
  const server = createServer(async (request, response) => {
    const name = /^\/([\w-]+\.(?:html|js|css|svg))?$/.exec(request.url)
    const file = name?.[1] ?? 'index.html'
    const body = name && (await readFile(new URL(`dist/${file}`, import.meta.url)).catch(() => undefined))
    response.writeHead(body ? 200 : 404, {
      'content-type': `${body ? types[extname(file)] : 'text/plain'}; charset=utf-8`,
      'content-security-policy': file === 'voice-decoder.js' ? decoder : page,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
    })
    response.end(body)
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await serve(Number(process.env.PORT ?? 8790))).url)
}
