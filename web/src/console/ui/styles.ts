// The looks that all pages share.
import 'tdesign-vue-next/es/style/index.css'
import './tokens.css'
import './base.css'
