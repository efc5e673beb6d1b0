/** CRC-32C (Castagnoli), which etcd hashes snapshots with; zlib has only the other one. Four bytes a step. */
const POLYNOMIAL = 0x82f63b78

const TABLES: readonly Uint32Array[] = makeTables()

function makeTables(): Uint32Array[] {
  const tables = [0, 1, 2, 3].map(() => new Uint32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    tables[0]![byte] = crc
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let t = 1; t < 4; t++) {
      const before = tables[t - 1]![byte]!
      tables[t]![byte] = (before >>> 8) ^ tables[0]![before & 0xff]!
    }
  }
  return tables
}

/** Of `bytes`, continued from `seed`, the value for what stood before them. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const [t0, t1, t2, t3] = TABLES as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]
  let crc = ~seed
  let i = 0
  for (; i + 4 <= bytes.length; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    crc = t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!
  }
  for (; i < bytes.length; i++) crc = t0[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
