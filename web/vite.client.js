import { defineConfig } from 'vite'

// The client is one script without imports.
export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    license: { fileName: 'client-licenses.md' },
    lib: { entry: 'src/api/client.ts', formats: ['es'], fileName: 'client' },
  },
})
