import { encodeFrames, FrameDecoder, type Parcel } from '@kvorum/peer'
import type { Random } from '../random.js'

/** How messages become what the network carries. One direction of one connection has one decoder. */
export interface FrameCodec {
  encode(parcels: readonly Parcel[]): Uint8Array[]
  decoder(): { push(chunk: Uint8Array): readonly Parcel[] }
}

/** The real frames, cut at random places: slower, used in some seeds. */
export const wireFrames = (random: Random): FrameCodec => ({
  encode(parcels) {
    const chunks: Uint8Array[] = []
    for (const { bytes } of encodeFrames(parcels).frames) {
      let rest = bytes
      while (rest.length > 1 && random.chance(0.2)) {
        const at = random.int(1, rest.length - 1)
        chunks.push(rest.subarray(0, at))
        rest = rest.subarray(at)
      }
      chunks.push(rest)
    }
    return chunks
  },
  decoder: () => new FrameDecoder(),
})

/** Messages as they are, behind a token that the network carries. Nobody may change a message it was given. */
export function structuredFrames(): FrameCodec {
  const carried = new WeakMap<Uint8Array, readonly Parcel[]>()
  return {
    encode(parcels) {
      const token = new Uint8Array([parcels.length])
      carried.set(token, parcels)
      return [token]
    },
    decoder: () => ({ push: chunk => carried.get(chunk)! }),
  }
}
