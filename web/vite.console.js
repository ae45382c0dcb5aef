import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'
import { decoders } from './vite.decoders.js'

export default defineConfig({
  root: 'src/console',
  // The address is fixed: pages have addresses of several segments, and the
  // policy of the page refuses a <base>.
  base: '/console/',
  publicDir: false,
  plugins: [vue()],
  define: { __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
  build: {
    outDir: '../../dist/console',
    emptyOutDir: true,
    target: 'es2022',
    // The policy of the page allows no inline script.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    license: { fileName: 'licenses.md' },
  },
  worker: {
    format: 'es',
    plugins: () => [decoders()],
    rolldownOptions: { external: ['module'], output: { entryFileNames: 'voice-worker-[hash].js' } },
  },
})
