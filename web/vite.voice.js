import { defineConfig } from 'vite'
import { decoders, withoutNode } from './vite.decoders.js'

export default defineConfig({
  base: './',
  define: withoutNode,
  plugins: [decoders()],
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
      input: { index: 'index.html', voice: 'src/voice/voice.ts', 'voice-decoder': 'src/voice/decoder-thread.ts' },
      external: ['module'],
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
})
