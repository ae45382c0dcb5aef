// The page of the voice player, for a person with a voice file or a link.
import { openVoice, VoiceError, type Voice } from './voice'

const texts = {
  zh: {
    title: '语音播放',
    drop: '把语音文件拖到这里，或点击选择',
    link: '或粘贴语音链接',
    play: '播放',
    busy: '正在转换…',
    cut: '文件不完整，只能播放到损坏处。',
    other: 'English',
    note: '支持 AMR-NB、AMR-WB 和 SILK。文件在浏览器中转换，不会上传。',
    seconds: '秒',
    fail: '无法播放。',
  },
  en: {
    title: 'Voice player',
    drop: 'Drop a voice file here, or click to choose one',
    link: 'Or paste the link of a voice file',
    play: 'Play',
    busy: 'Converting…',
    cut: 'The file is incomplete. It plays up to the damaged place.',
    other: '中文',
    note: 'AMR-NB, AMR-WB and SILK. This browser converts the files. Nothing is uploaded.',
    seconds: 's',
    fail: 'Playing failed.',
  },
}

const $ = <T extends HTMLElement>(id: string) => document.getElementById(id) as T
const file = $<HTMLInputElement>('file')
const drop = $('drop')
const link = $<HTMLInputElement>('link')
const audio = $<HTMLAudioElement>('audio')

let lang: 'zh' | 'en' = navigator.language.startsWith('zh') ? 'zh' : 'en'
// status gives the text in either language, so that the page can change language.
let status: (t: (typeof texts)['zh']) => string = () => ''
let failed = false
let current: Voice | undefined
let opening = new AbortController()

function show() {
  const t = texts[lang]
  document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'
  document.title = t.title
  $('title').textContent = t.title
  $('drop-text').textContent = t.drop
  link.placeholder = link.ariaLabel = t.link
  $('play').textContent = t.play
  $('lang').textContent = t.other
  $('note').textContent = t.note
  $('status').textContent = status(t)
  $('status').classList.toggle('failed', failed)
}

function say(what: typeof status, isFailure = false) {
  status = what
  failed = isFailure
  show()
}

async function play(source: string | File) {
  opening.abort()
  const { signal } = (opening = new AbortController())
  current?.close()
  current = undefined
  audio.hidden = true
  audio.removeAttribute('src')
  say((t) => t.busy)
  try {
    const v = (current = await openVoice(source, { signal }))
    const name = typeof source === 'string' ? '' : `${source.name} · `
    say((t) => `${name}${v.format} · ${v.seconds.toFixed(1)} ${t.seconds}${v.complete ? '' : `\n${t.cut}`}`)
    audio.src = v.url
    audio.hidden = false
    // A browser may require a click first, so a failure to play is no error.
    await audio.play().catch(() => {})
  } catch (e) {
    if (!signal.aborted) say((t) => (e instanceof VoiceError ? e.text[lang] : t.fail), true)
  }
}

file.addEventListener('change', () => {
  if (file.files?.[0]) play(file.files[0])
  file.value = ''
})
drop.addEventListener('dragover', (e) => {
  e.preventDefault()
  drop.classList.add('over')
})
drop.addEventListener('dragleave', () => drop.classList.remove('over'))
drop.addEventListener('drop', (e) => {
  e.preventDefault()
  drop.classList.remove('over')
  if (e.dataTransfer?.files[0]) play(e.dataTransfer.files[0])
})
$('form').addEventListener('submit', (e) => {
  e.preventDefault()
  if (link.value.trim()) play(link.value.trim())
})
$('lang').addEventListener('click', () => {
  lang = lang === 'zh' ? 'en' : 'zh'
  show()
})
show()
