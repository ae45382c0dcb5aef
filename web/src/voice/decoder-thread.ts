// The thread that decodes one voice file. Each file has its own thread, so damage
// that a file does to the decoders' memory ends with the thread.
import { decode, Refused, type Refusal, type Sound } from './decode'

export type Answer = Sound | { why: Refusal | 'decoder' }

self.addEventListener('message', async ({ data }: MessageEvent<ArrayBuffer>) => {
  try {
    const sound = await decode(new Uint8Array(data))
    self.postMessage(sound satisfies Answer, { transfer: [sound.samples.buffer] })
  } catch (e) {
    self.postMessage({ why: e instanceof Refused ? e.why : mayRun() ? 'damaged' : 'decoder' } satisfies Answer)
  }
})

/** Reports whether the policy of this script allows the decoders to start. */
function mayRun(): boolean {
  try {
    Function()
    return true
  } catch {
    return false
  }
}
