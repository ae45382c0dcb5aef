import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  // The decoders can run in Node too. Their code for Node stops the bundlers of
  // other pages, and so does import.meta, which a classic worker lacks.
  define: { process: 'undefined', 'globalThis.process': 'undefined' },
  plugins: [
    {
      name: 'decoder-thread-script',
      enforce: 'post',
      transform: { filter: { id: /node_modules/ }, handler: (code) => code.replaceAll('import.meta.url', 'self.location.href') },
    },
  ],
  build: {
    target: 'es2022',
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    license: { fileName: 'licenses.md' },
    // The script of the decoder thread contains the decoders. So its policy need
    // not allow any connection.
    assetsInlineLimit: (file) => file.endsWith('.wasm'),
    rolldownOptions: {
      // The inputs are the page, the package for other pages, and the decoder
      // thread of both.
      input: { index: 'index.html', voice: 'src/voice.ts', 'voice-decoder': 'src/decoder-thread.ts' },
      external: ['module'],
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
})
