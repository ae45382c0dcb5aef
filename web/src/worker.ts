// One file, one worker: what a file does to the decoders' memory ends with it.
import { decode, Refused, type Refusal, type Sound } from './decode'

export type Answer = Sound | { why: Refusal | 'worker' }

self.addEventListener('message', async ({ data }: MessageEvent<ArrayBuffer>) => {
  try {
    const sound = await decode(new Uint8Array(data))
    self.postMessage(sound satisfies Answer, { transfer: [sound.samples.buffer] })
  } catch (e) {
    self.postMessage({ why: e instanceof Refused ? e.why : mayRun() ? 'damaged' : 'worker' } satisfies Answer)
  }
})

/** Whether the policy that this script was served with lets the decoders start. */
function mayRun(): boolean {
  try {
    Function()
    return true
  } catch {
    return false
  }
}
