import type { KeptReply, SessionTag } from '@kvorum/model'
import { addToSum, type EntryWrites, write } from './entryWrites.js'
import { sessionReplyKey } from './rowKeys.js'
import { replyRow, sessionRow } from './sessionRows.js'
import { acknowledged, forgetReplies, keepReply, toKeep } from './sessions.js'

/**
 * The answer to a write of a session is kept in the same layer as what the write did, or as the record that it is done:
 * with it, or not at all.
 */
export function keepAnswer(entry: EntryWrites, tag: SessionTag, reply: KeptReply): void {
  const { machine } = entry
  const { sessions } = machine
  const session = sessions.byId.get(tag.session)
  // Its lease ended with this very entry.
  if (session === undefined) return
  const { sequence, acknowledgedBelow } = tag
  if (acknowledgedBelow > session.acknowledgedBelow) {
    const known = acknowledged(session, acknowledgedBelow)
    for (const one of known) write(entry, sessionReplyKey(machine.group, session.id, one), null)
    forgetReplies(sessions, session, known)
    session.acknowledgedBelow = acknowledgedBelow
    const row = sessionRow(machine, session)
    write(entry, row.key, row.value)
    addToSum(entry, row.crc)
  }
  // A later write has said so while this one was under way in several shards.
  if (sequence < session.acknowledgedBelow) return
  const kept = toKeep(reply.revision, reply.result)
  keepReply(sessions, session, sequence, kept)
  const row = replyRow(machine, session, sequence, kept)
  write(entry, row.key, row.value)
  addToSum(entry, row.crc)
}
