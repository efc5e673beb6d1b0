import { drawDelete, drawPut, drawRange, type Draw } from './draw.js'
import type { MessageTemplate, Template } from './symbols.js'

const DEPTH_MAX = 3
const OPS_MAX = 128
const TARGETS = [
  { target: 0, field: 'version' },
  { target: 1, field: 'create_revision' },
  { target: 2, field: 'mod_revision' },
  { target: 3, field: 'value' },
  { target: 4, field: 'lease' },
] as const

export function drawTxn(draw: Draw, depth = 1): MessageTemplate {
  if (depth === 1 && draw.chance(0.01)) return { success: tooMany(draw) }
  return {
    ...list(draw, 'compare', 0.7, 2, () => drawCompare(draw)),
    ...list(draw, 'success', 0.85, 3, () => drawOp(draw, depth)),
    ...list(draw, 'failure', 0.6, 3, () => drawOp(draw, depth)),
  }
}

function list(draw: Draw, field: string, p: number, max: number, item: () => Template): MessageTemplate {
  if (!draw.chance(p)) return {}
  return { [field]: Array.from({ length: draw.int(1, max) }, item) }
}

/** As many operations as are allowed, or one more. */
const tooMany = (draw: Draw): Template[] =>
  Array.from({ length: OPS_MAX + draw.int(0, 1) }, () => ({ request_range: { key: Buffer.from('a') } }))

function drawOp(draw: Draw, depth: number): Template {
  const at = draw.random.float()
  if (at < 0.02) return {}
  if (at < 0.45) return { request_put: drawPut(draw) }
  if (at < 0.6) return { request_delete_range: drawDelete(draw) }
  if (at < 0.85 || depth === DEPTH_MAX) return { request_range: drawRange(draw) }
  return { request_txn: drawTxn(draw, depth + 1) }
}

function drawCompare(draw: Draw): Template {
  const { target, field } = draw.pick(TARGETS)
  const result = draw.int(0, 3)
  return {
    key: draw.key(),
    ...draw.maybe(0.25, 'range_end', () => draw.end()),
    ...(target === 0 && draw.chance(0.2) ? {} : { target }),
    ...(result === 0 && draw.chance(0.2) ? {} : { result }),
    // An operand of another target does not count.
    ...(draw.chance(0.03) ? { lease: 1n } : draw.maybe(0.9, field, () => operand(draw, field, result))),
  }
}

const EQUAL_OR_NOT: readonly number[] = [0, 3]

function operand(draw: Draw, field: (typeof TARGETS)[number]['field'], result: number): Template {
  switch (field) {
    case 'version':
      return draw.int(-1, 3)
    case 'value':
      return draw.value()
    case 'lease':
      // Ids that servers choose have no order that both would share.
      if (EQUAL_OR_NOT.includes(result)) return draw.chance(0.3) ? 0n : (draw.lease() as Template)
      return draw.pick([0n, 7n, 8n, -1n])
    default:
      return draw.revision()
  }
}
