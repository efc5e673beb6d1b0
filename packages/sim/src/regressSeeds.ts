import type { ProfileName } from './cluster/profiles.js'
import type { Draw } from './swarm.js'

/** Runs that once found something. They are replayed for ever, although a changed draw may make others of them. */
export interface RegressSeed {
  readonly seed: number
  readonly profile: ProfileName
  /** What could be drawn when it was found. */
  readonly draw: Draw
  readonly found: string
}

export const REGRESS_SEEDS: readonly RegressSeed[] = [
  { seed: 8, profile: 'calm', draw: 1, found: 'purging the log asked for the same move for ever' },
  {
    seed: 16,
    profile: 'swarm',
    draw: 1,
    found: 'a single node did not go on applying when the overlay had room again',
  },
  {
    seed: 116,
    profile: 'swarm',
    draw: 1,
    found: 'a single node did not ask its disk for the next entries to apply',
  },
  {
    seed: 385,
    profile: 'swarm',
    draw: 1,
    found: 'the checker gave a request to the end of a lease (its own mistake)',
  },
  {
    seed: 23,
    profile: 'swarm',
    draw: 1,
    found: 'the checker blamed a late request for the end of a lease (its own mistake)',
  },
  {
    seed: 1054,
    profile: 'swarm',
    draw: 1,
    found: 'a lease that expired under one leadership was revoked by the next, which had renewed it',
  },
  {
    seed: 1073,
    profile: 'swarm',
    draw: 1,
    found: 'rows that had not reached the store yet survived the install of a snapshot',
  },
  { seed: 1083, profile: 'swarm', draw: 1, found: 'the same, on another path' },
  {
    seed: 300,
    profile: 'swarm',
    draw: 1,
    found: 'slow watchers were still slow when catching up was demanded (its own mistake)',
  },
  { seed: 5012, profile: 'swarm', draw: 1, found: 'the same' },
  {
    seed: 5057,
    profile: 'swarm',
    draw: 1,
    found:
      'a write of a session was sent again while a disk was slow, longer than demanded (its own mistake)',
  },
  {
    seed: 900,
    profile: 'swarm',
    draw: 1,
    found: 'a command that waited used rows fetched before earlier entries had reached the store',
  },
  {
    seed: 888,
    profile: 'swarm',
    draw: 1,
    found: 'the checker handed out requests greedily and had none left for a write (its own mistake)',
  },
  {
    seed: 1,
    profile: 'members',
    draw: 3,
    found: 'who was removed went on leading a group, and never heard that it should let itself go',
  },
  {
    seed: 4,
    profile: 'members',
    draw: 3,
    found:
      'a newcomer voted before it had a state, and could not come back without the majority it was part of',
  },
  {
    seed: 20045,
    profile: 'swarm',
    draw: 3,
    found:
      'who was removed was turned away for good by a member that had just started and still needed its vote',
  },
  {
    seed: 167,
    profile: 'swarm',
    draw: 3,
    found:
      'removed members gave the leadership to one another, and never got so far as to let a successor in',
  },
  {
    seed: 127,
    profile: 'delays',
    draw: 3,
    found: 'a removal was given to one that was asked for after a stale read had shown it (its own mistake)',
  },
  {
    seed: 60037,
    profile: 'swarm',
    draw: 4,
    found: 'a start whose log had not heard of an installed snapshot was taken for a loss (its own mistake)',
  },
  {
    seed: 60047,
    profile: 'swarm',
    draw: 4,
    found: 'a changed member that was still being checked at its start had to be named (its own mistake)',
  },
  { seed: 61001, profile: 'upkeep', draw: 4, found: 'the same' },
  {
    seed: 61001,
    profile: 'powerLoss',
    draw: 4,
    found: 'an unsynced entry of a later leader that survived was taken for a loss (its own mistake)',
  },
  {
    seed: 61003,
    profile: 'members',
    draw: 4,
    found:
      'what was committed just before a change of members was judged by the members after it (its own mistake)',
  },
  {
    seed: 61008,
    profile: 'members',
    draw: 4,
    found: 'nobody found a member at the address that only its own log and one more knew',
  },
  {
    seed: 62020,
    profile: 'members',
    draw: 4,
    found: 'who was removed and wiped, and knew nobody who had not moved, had to end (its own mistake)',
  },
  {
    seed: 9,
    profile: 'shards',
    draw: 6,
    found:
      'a shard whose last write was older than a compaction of all could not be hashed, and never served',
  },
  {
    seed: 32,
    profile: 'shards',
    draw: 6,
    found: 'a member was compared with one that had not applied a split yet, and ended itself',
  },
  {
    seed: 61,
    profile: 'shards',
    draw: 6,
    found: 'a watch missed what a snapshot from behind a split had brought',
  },
  {
    seed: 49,
    profile: 'shards',
    draw: 6,
    found: 'a right half that was in the store and not in the log began again with a term behind its log',
  },
  {
    seed: 90018,
    profile: 'moves',
    draw: 7,
    found:
      'a replica that started in the middle of an install took the members of the map for those where its log begins',
  },
  {
    seed: 90065,
    profile: 'moves',
    draw: 7,
    found:
      'watches that follow shards elsewhere took the room of requests, and a decided transaction never ended everywhere in one round',
  },
  {
    seed: 91018,
    profile: 'moves',
    draw: 8,
    found: 'the header of a watch went back when the watch was brought to other shards',
  },
  {
    seed: 91039,
    profile: 'moves',
    draw: 8,
    found:
      'a removed member was told to end while a shard that those who told it had no replica of still counted it',
  },
  {
    seed: 95003,
    profile: 'moves',
    draw: 7,
    found: 'the header of a watch went back at a hub that was not as far',
  },
]
