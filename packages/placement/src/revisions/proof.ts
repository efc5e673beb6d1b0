/**
 * How far the proof has come that whoever is asked was still the leader after it was asked. A proof is a round of
 * heartbeats that a majority answered (ReadIndex); `round` names it uniquely, so that answers to an older round
 * never count for a younger question.
 */
export type Proof =
  | { readonly kind: 'wanted' }
  | { readonly kind: 'underWay'; readonly round: number }
  | { readonly kind: 'given' }

export const WANTED: Proof = { kind: 'wanted' }
const GIVEN: Proof = { kind: 'given' }

interface Waiting {
  readonly proof: Proof
}

/** A round starts: it proves leadership to everything that waits already, and to nothing that comes later. */
export const roundStarts = <Item extends Waiting>(items: readonly Item[], round: number): readonly Item[] =>
  items.map(item => (item.proof.kind === 'wanted' ? { ...item, proof: { kind: 'underWay', round } } : item))

/** A majority has answered the round. */
export const roundSucceeds = <Item extends Waiting>(items: readonly Item[], round: number): readonly Item[] =>
  items.map(item =>
    item.proof.kind === 'underWay' && item.proof.round === round ? { ...item, proof: GIVEN } : item,
  )

export const isProven = (item: Waiting): boolean => item.proof.kind === 'given'
