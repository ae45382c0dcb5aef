// Builds the gallery of test/gallery, which the tests open. It is no part of the
// console.
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  root: 'test/gallery',
  base: './',
  plugins: [vue()],
  build: { outDir: '../../dist/gallery', emptyOutDir: true, target: 'es2022', modulePreload: false, chunkSizeWarningLimit: 2000 },
  server: { fs: { allow: ['../..', '../../../shared'] } },
})
