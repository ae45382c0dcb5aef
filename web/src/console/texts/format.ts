// Times, counts and sizes for people. Times are those of Beijing, wherever the
// reader is, because WeCom's own console shows them so.
import { ref } from 'vue'
import { language, languageTag } from './language'

const zone = 'Asia/Shanghai'
const made = new Map<string, Intl.DateTimeFormat>()

function format(value: string | number | Date, options: Intl.DateTimeFormatOptions): string {
  const key = languageTag() + JSON.stringify(options)
  let formatter = made.get(key)
  if (!formatter) made.set(key, (formatter = new Intl.DateTimeFormat(languageTag(), { timeZone: zone, hourCycle: 'h23', ...options })))
  return formatter.format(new Date(value))
}

/** 16:01 */
export const clock = (t: string | number | Date) => format(t, { hour: '2-digit', minute: '2-digit' })

/** 2026年1月31日 · Jan 31, 2026 */
export const date = (t: string | number | Date) => format(t, { year: 'numeric', month: language.value === 'zh' ? 'long' : 'short', day: 'numeric' })

/** 1月31日 · Jan 31 */
export const dayOfYear = (t: string | number | Date) => format(t, { month: language.value === 'zh' ? 'long' : 'short', day: 'numeric' })

/** 2026年1月31日 16:01:05 */
export const moment = (t: string | number | Date) => `${date(t)} ${format(t, { hour: '2-digit', minute: '2-digit', second: '2-digit' })}`

/** 2026-01-31 16:01:05, which spreadsheets read as a time. */
export const stamp = (t: string | null) => t && `${dayOf(t)} ${format(t, { hour: '2-digit', minute: '2-digit', second: '2-digit' })}`

const days = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' })

/** The day in Beijing as the API writes it: 2026-01-31. */
export const dayOf = (t: string | number | Date): string => days.format(new Date(t))

/** The day in Beijing. It follows the clock, because a page may stay open for days. */
export const today = ref(dayOf(Date.now()))
setInterval(() => (today.value = dayOf(Date.now())), 60_000)

/** Whether a text is a day of this century as the API writes it. */
export const isDay = (text: string | undefined): text is string => !!text && /^20\d\d-\d\d-\d\d$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.slice(0, 10) === text

/** The day so many days after another, or before it. */
export const shiftDay = (day: string, by: number) => new Date(Date.parse(day) + by * 86_400_000).toISOString().slice(0, 10)

/** 2026年1月31日 星期六 · Saturday, Jan 31, 2026 */
export const dateWithWeekday = (t: string | number | Date) =>
  language.value === 'zh' ? `${date(t)} ${format(t, { weekday: 'long' })}` : `${format(t, { weekday: 'long' })}, ${date(t)}`

/** A time as a list shows it: the clock today, then yesterday, the day this year, else the date. */
export function short(t: string | number | Date): string {
  const [day, now] = [dayOf(t), today.value]
  if (day === now) return clock(t)
  if (day === shiftDay(now, -1)) return language.value === 'zh' ? '昨天' : 'Yesterday'
  return day.slice(0, 4) === now.slice(0, 4) ? dayOfYear(t) : date(t)
}

/** The time with its day unless that is today. */
export function when(t: string | number | Date): string {
  const [day, now] = [dayOf(t), today.value]
  return day === now ? clock(t) : `${day.slice(0, 4) === now.slice(0, 4) ? dayOfYear(t) : date(t)} ${clock(t)}`
}

/** Several of one thing: 3、4 · 3, 4 */
export const list = (items: readonly (string | number)[]) => items.join(language.value === 'zh' ? '、' : ', ')

/** Parts of one sentence: 播放，语音 · Play, Voice */
export const clauses = (parts: readonly string[]) => parts.join(language.value === 'zh' ? '，' : ', ')

export const number = (n: number | string) => new Intl.NumberFormat(languageTag()).format(typeof n === 'string' ? BigInt(n) : n)

/** A part of a whole, rounded down: only the whole is 100%. */
export const percent = (part: number) => new Intl.NumberFormat(languageTag(), { style: 'percent' }).format(Math.floor(part * 100) / 100)

/** How long something takes or has taken, in its largest unit. */
export function duration(seconds: number): string {
  const zh = language.value === 'zh'
  const s = Math.max(0, Math.round(seconds))
  const [n, unit, one] =
    s < 60
      ? [s, '秒', 'second']
      : s < 3600
        ? [Math.floor(s / 60), '分钟', 'minute']
        : s < 172_800
          ? [Math.floor(s / 3600), '小时', 'hour']
          : [Math.floor(s / 86_400), '天', 'day']
  return zh ? `${n} ${unit}` : `${n} ${one}${n === 1 ? '' : 's'}`
}

export function bytes(n: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = n
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${units[unit]}`
}
