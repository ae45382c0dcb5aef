// What the builds of the voice decoders share.

/**
 * The decoders can run in Node too. Their code for Node stops bundlers, and so
 * does import.meta, which a classic worker lacks.
 */
export function decoders() {
  return {
    name: 'decoder-thread-script',
    enforce: 'post',
    transform: { filter: { id: /node_modules/ }, handler: (code) => code.replaceAll('import.meta.url', 'self.location.href') },
  }
}

/** The names that only Node has. */
export const withoutNode = { process: 'undefined', 'globalThis.process': 'undefined' }
