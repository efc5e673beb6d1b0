/** A value, or the sentence that tells the user why there is none. */
export type Parsed<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string }

export const accepted = <Value>(value: Value): { ok: true; value: Value } => ({ ok: true, value })
export const rejected = (reason: string): { ok: false; reason: string } => ({ ok: false, reason })
