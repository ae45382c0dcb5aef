// Times and lengths that messages hold.
import { clock, date } from '../texts/format'

/** A time of a message in milliseconds. Undefined if it is unknown or no date. */
export function known(at: number): Date | undefined {
  const time = new Date(at)
  return at === 0 || Number.isNaN(time.getTime()) ? undefined : time
}

/** 2026年1月31日 16:00–17:00 */
export function span(start: Date, end: Date | undefined): string {
  const from = `${date(start)} ${clock(start)}`
  if (!end) return from
  return date(start) === date(end) ? `${from}–${clock(end)}` : `${from} – ${date(end)} ${clock(end)}`
}

/** The length of a sound or film: 1:05 */
export function length(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}
