import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  // The decoders run in Node too. What they would do there, and import.meta,
  // which a worker that is no module lacks, stop the bundlers of other pages.
  define: { process: 'undefined', 'globalThis.process': 'undefined' },
  plugins: [
    {
      name: 'worker-script',
      enforce: 'post',
      transform: { filter: { id: /node_modules/ }, handler: (code) => code.replaceAll('import.meta.url', 'self.location.href') },
    },
  ],
  build: {
    target: 'es2022',
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    license: { fileName: 'licenses.md' },
    // The decoders are inside the worker's script: its policy then need allow
    // no connection at all.
    assetsInlineLimit: (file) => file.endsWith('.wasm'),
    rolldownOptions: {
      // The page, what other pages import, and the worker of both.
      input: { index: 'index.html', voice: 'src/voice.ts', 'voice-worker': 'src/worker.ts' },
      external: ['module'],
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
})
