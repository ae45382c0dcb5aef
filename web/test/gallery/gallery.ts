// Draws every golden message of shared/message with the parts of the console.
import { createApp } from 'vue'
import '../../src/console/ui/base.css'
import '../../src/console/ui/tokens.css'
import 'tdesign-vue-next/es/style/index.css'
import '../../src/console/parts/parts.css'
import './gallery.css'
import Gallery from './Gallery.vue'

createApp(Gallery).mount('#app')
