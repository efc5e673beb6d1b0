import type { RpcName } from '@kvorum/protocol'
import { PASSWORDS } from './generateAuth.js'
import { BACKED_OFF } from './deviations.js'
import type { Answer, Message, Target } from './target.js'

const AUTH = 'etcdserverpb.Auth'

/** Authentication off, no users, no roles: what a sequence before may have left. */
export async function openDoors(target: Target): Promise<void> {
  const users = await target.grpc(`${AUTH}/UserList`, {})
  if (users.kind === 'refused') await disable(target)
  target.tokens.clear()
  await removeAll(target, 'users', `${AUTH}/UserList`, name => [`${AUTH}/UserDelete`, { name }])
  await removeAll(target, 'roles', `${AUTH}/RoleList`, role => [`${AUTH}/RoleDelete`, { role }])
}

const CLUSTER = 'etcdserverpb.Cluster'

/** No members but those that vote. */
export async function dismissLearners(target: Target): Promise<void> {
  const list = await target.grpc(`${CLUSTER}/MemberList`, {})
  if (list.kind !== 'ok') throw new Error(`${target.name}: MemberList: ${list.text}`)
  for (const { ID, isLearner } of list.message['members'] as { ID: bigint; isLearner: boolean }[]) {
    if (!isLearner) continue
    const removed = await target.grpc(`${CLUSTER}/MemberRemove`, { ID })
    if (removed.kind !== 'ok') throw new Error(`${target.name}: MemberRemove: ${removed.text}`)
  }
}

const PATIENCE_MS = 180_000
const POLL_MS = 250

/** Wrong passwords before may have made us wait. */
async function signIn(target: Target, password: string): Promise<Answer> {
  for (const end = performance.now() + PATIENCE_MS; ;) {
    const answer = await target.grpc(`${AUTH}/Authenticate`, { name: 'root', password })
    const waits = answer.kind === 'refused' && answer.text === BACKED_OFF
    if (!waits || performance.now() > end) return answer
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
}

async function disable(target: Target): Promise<void> {
  const reasons: string[] = []
  for (const password of PASSWORDS) {
    const answer = await signIn(target, password)
    if (answer.kind !== 'ok') {
      reasons.push(answer.text)
      continue
    }
    target.tokens.set('root', String(answer.message['token']))
    const disabled = await target.grpc(`${AUTH}/AuthDisable`, {}, 'root')
    if (disabled.kind === 'ok') return
    reasons.push(disabled.text)
  }
  throw new Error(`${target.name} cannot be opened again: ${reasons.join(', ')}`)
}

async function removeAll(
  target: Target,
  field: 'users' | 'roles',
  list: RpcName,
  removal: (name: string) => readonly [RpcName, Message],
): Promise<void> {
  const answer = await target.grpc(list, {})
  if (answer.kind !== 'ok') throw new Error(`${target.name}: ${list}: ${answer.text}`)
  for (const name of answer.message[field] as string[]) {
    const [rpc, message] = removal(name)
    const removed = await target.grpc(rpc, message)
    if (removed.kind !== 'ok') throw new Error(`${target.name}: ${rpc} ${name}: ${removed.text}`)
  }
}
