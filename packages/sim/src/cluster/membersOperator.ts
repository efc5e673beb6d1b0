import {
  META_GROUP,
  nodeId,
  type ClientRequest,
  type GroupConfig,
  type NodeId,
  type ReplicaId,
} from '@kvorum/model'
import { encodeMetaCommand, type MemberCommand } from '@kvorum/placement'
import { isQuorum } from '../invariants/ledger.js'
import type { MembersAt } from '../invariants/members.js'
import type { Random } from '../random.js'
import { MILLISECOND, SECOND, type Micros } from '../schedule.js'
import { urlOf } from './addresses.js'
import { Client, type Outcome } from './client.js'
import type { Cluster } from './cluster.js'
import { Failure } from './failure.js'
import { nodeOf, stationOf } from './nodeConfig.js'
import type { SimNode } from './simNode.js'

type Step = 'add' | 'learner' | 'promote' | 'remove' | 'update' | 'moveLeader' | 'replace' | 'return' | 'away'

const STEPS: readonly Step[] = [
  'add',
  'add',
  'learner',
  'promote',
  'promote',
  'remove',
  'remove',
  'update',
  'moveLeader',
  'replace',
  'return',
]

/** Where shards have fewer replicas than there are members. */
const STEPS_WHERE_PLACED: readonly Step[] = [...STEPS, 'away', 'away']

/** Longer than it takes to be replaced as a dead node. */
const AWAY: readonly [Micros, Micros] = [6 * SECOND, 14 * SECOND]

const VOTERS_MAX = 6
const FOLLOW_EVERY = 200 * MILLISECOND

/**
 * Changes the members while everything else goes wrong, one thing or several at once, as one does who looks before
 * each step but cannot see what is under way. It never takes away so much that nobody could go on.
 */
export class MembersOperator {
  readonly #cluster: Cluster
  readonly #random: Random
  /** Removals whose end is not known, of each member: it may have been asked for more than once. */
  readonly #doubtful = new Map<NodeId, number>()
  readonly #refused = new Set<NodeId>()
  #stopped = false
  #moves = 0

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#random = cluster.random.stream('members operator')
  }

  start(): void {
    const { every } = this.#cluster.plan.swarm.faults.membership
    if (every === 0) return
    const next = (): void => {
      this.#cluster.schedule.after(this.#random.exponential(every) + 1, 'operator', () => {
        if (this.#stopped) return
        const times = this.#random.chance(0.25) ? this.#random.int(2, 3) : 1
        for (let i = 0; i < times; i++) this.#act(this.#choose())
        next()
      })
    }
    next()
  }

  /** No more changes; what is still decided of those under way is followed. */
  finish(): void {
    this.#stopped = true
    if (this.#cluster.plan.spares > 0) this.#follow()
  }

  /** Who was let in starts now, whoever was forgotten on the way; everybody is found where the log says. */
  #follow(): void {
    const { nodes, world, observer, schedule } = this.#cluster
    schedule.after(FOLLOW_EVERY, 'operator', () => this.#follow())
    for (const { node, urls } of observer.members.latest.members) {
      world.addresses.move(urls[0]!, stationOf(node))
      const member = nodes.find(({ id }) => id === node)
      if (member === undefined || member.wiped) continue
      // Whether it was turned away or nobody came to start it: its addition may have been decided only now.
      member.revive()
      member.start()
    }
  }

  /** What was refused has never had an effect. */
  judge(): void {
    const { members } = this.#cluster.observer
    for (const node of this.#refused) {
      if (members.wasMember(node)) throw new Failure('a refused newcomer is a member', { node: `${node}` })
    }
  }

  #choose(): Step {
    const voters = this.#voters().length
    if (voters < 3 && this.#random.chance(0.7)) return 'add'
    if (voters >= VOTERS_MAX) return 'remove'
    return this.#random.pick(this.#isPlaced ? STEPS_WHERE_PLACED : STEPS)
  }

  #act(step: Step): void {
    this.#cluster.coverage.mark(`operator ${step}`)
    switch (step) {
      case 'add':
      case 'learner':
        this.#add(step === 'learner')
        return
      case 'promote':
        this.#promote()
        return
      case 'remove':
        this.#remove(this.#someMember())
        return
      case 'update':
        this.#update()
        return
      case 'moveLeader':
        this.#ask({ kind: 'moveLeader', to: this.#someMember() }, () => undefined)
        return
      case 'replace':
        this.#replace()
        return
      case 'return':
        this.#return()
        return
      case 'away':
        this.#stayAway()
        return
    }
  }

  get #isPlaced(): boolean {
    return this.#cluster.plan.swarm.cluster.replicas > 0
  }

  get #latest(): MembersAt {
    return this.#cluster.observer.members.latest
  }

  #voters(): MembersAt['members'] {
    return this.#latest.members.filter(({ learner }) => !learner)
  }

  #someMember(): NodeId {
    const { dataGroups, nodes } = this.#cluster
    const leader = this.#cluster.leaderOf(this.#random.pick([dataGroups[0]!, ...this.#cluster.plan.groups]))
    if (leader !== undefined && this.#random.chance(0.4)) return leader.id
    const { members } = this.#latest
    return members.length === 0 ? this.#random.pick(nodes).id : this.#random.pick(members).node
  }

  #nodeOf(id: NodeId): SimNode | undefined {
    return this.#cluster.nodes.find(node => node.id === id)
  }

  #ask(request: ClientRequest, done: (outcome: Outcome) => void): void {
    const { nodes } = this.#cluster
    new Client(this.#cluster, this.#random.stream(`asks ${++this.#asked}`), nodes).ask(request, done)
  }

  #asked = 0

  #change(command: MemberCommand, done: (outcome: Outcome) => void): void {
    this.#ask({ kind: 'meta', command: encodeMetaCommand(command) }, outcome => {
      this.#cluster.coverage.mark(
        `${command.kind} ${outcome.kind}${outcome.kind === 'fail' ? ` ${outcome.code}` : ''}`,
      )
      done(outcome)
    })
  }

  #later(time: Micros, act: () => void): void {
    this.#cluster.schedule.after(this.#random.int(0, time), 'operator', () => {
      if (!this.#stopped) act()
    })
  }

  #add(learner: boolean): void {
    const newcomer = this.#cluster.newcomer()
    if (newcomer === null) return
    const { id, station } = newcomer
    // Under so many faults somebody is nearly always missing.
    const strict = this.#random.chance(this.#cluster.plan.swarm.cluster.oracle ? 0.3 : 0.8)
    this.#change({ kind: 'addMember', node: id, peerUrls: [urlOf(station)], learner, strict }, outcome => {
      if (outcome.kind === 'fail') this.#refused.add(id)
      if (outcome.kind === 'ok' && !this.#cluster.observer.members.wasMember(id))
        throw new Failure('an acknowledged newcomer is no member', { node: `${id}` })
      if (outcome.kind !== 'fail') this.#later(2 * SECOND, () => this.#begin(newcomer))
    })
  }

  /** Now and then it dies half-way, and comes back with what it had, or with nothing. */
  #begin(newcomer: SimNode): void {
    newcomer.start()
    if (!this.#random.chance(0.4)) return
    this.#later(this.#random.pick([20 * MILLISECOND, 200 * MILLISECOND, 2 * SECOND]), () => {
      newcomer.crash(this.#random.chance(0.7))
      const bound = this.#latest.members.some(({ node, incarnation }) => {
        return node === newcomer.id && incarnation !== 0n
      })
      if (!bound && newcomer.status === 'down' && this.#random.chance(0.5)) {
        this.#cluster.coverage.mark('newcomer wiped')
        newcomer.wipe()
      }
      this.#later(2 * SECOND, () => newcomer.start())
    })
  }

  #promote(): void {
    const learners = this.#latest.members.filter(({ learner }) => learner)
    if (learners.length === 0) return
    const { node } = this.#random.pick(learners)
    this.#change({ kind: 'promoteMember', node, strict: this.#random.chance(0.8) }, () => undefined)
  }

  #remove(node: NodeId): void {
    const left = this.#voters().filter(voter => voter.node !== node && !this.#doubtful.has(voter.node))
    const healthy = left.filter(voter => this.#isHealthy(voter.node))
    const wiped = this.#latest.members.some(member => this.#nodeOf(member.node)?.wiped === true)
    const member = this.#latest.members.some(member => member.node === node)
    if (!member || healthy.length * 2 <= left.length || (wiped && this.#isHealthy(node))) return
    if (!this.#shardsGoOnWithout(node)) return
    this.#removeFor(node, () => undefined)
  }

  /** By wherever anybody takes their replicas to be wanted: the balancer mends nothing that has no majority. */
  #shardsGoOnWithout(lost: NodeId): boolean {
    const { members } = this.#latest
    const stays = (id: NodeId): boolean =>
      id !== lost && !this.#doubtful.has(id) && this.#isHealthy(id) && members.some(({ node }) => node === id)
    return this.#cluster.nodes.every(({ state }) => {
      const shards = state?.groups.get(META_GROUP)?.machine.meta?.placement.shards ?? []
      return shards.every(({ nodes }) => nodes.filter(stays).length * 2 > nodes.length)
    })
  }

  /** Its machine is off for so long that its replicas are made again elsewhere; then it is back, with the old ones. */
  #stayAway(): void {
    const machine = this.#nodeOf(this.#someMember())
    if (machine?.status !== 'up') return
    machine.crash(this.#random.chance(0.5))
    this.#cluster.schedule.after(this.#random.int(...AWAY), 'operator', () => machine.start())
  }

  #removeFor(node: NodeId, done: (outcome: Outcome) => void): void {
    this.#doubt(node, 1)
    this.#change({ kind: 'removeMember', node, strict: this.#random.chance(0.8) }, outcome => {
      if (outcome.kind !== 'unknown') this.#doubt(node, -1)
      if (outcome.kind === 'ok' && !this.#cluster.observer.members.isRemoved(node))
        throw new Failure('an acknowledged removal has not happened', { node: `${node}` })
      done(outcome)
    })
  }

  #doubt(node: NodeId, more: number): void {
    const asked = (this.#doubtful.get(node) ?? 0) + more
    if (asked > 0) this.#doubtful.set(node, asked)
    else this.#doubtful.delete(node)
  }

  #isHealthy(node: NodeId): boolean {
    const machine = this.#nodeOf(node)
    return machine !== undefined && !machine.wiped && machine.status !== 'failed'
  }

  /** The log is told of the new address first, then the machine moves there. */
  #update(): void {
    const { world } = this.#cluster
    const running = this.#latest.members.filter(({ started }) => started)
    if (running.length === 0) return
    const { node } = this.#random.pick(running)
    const url = urlOf(stationOf(node), ++this.#moves)
    this.#change({ kind: 'updateMember', node, peerUrls: [url] }, outcome => {
      if (outcome.kind !== 'ok') return
      this.#later(SECOND, () => {
        const machine = this.#nodeOf(node)!
        world.addresses.move(url, machine.station)
        machine.crash(false)
        this.#later(SECOND, () => machine.start())
      })
    })
  }

  /** A machine loses its disks and is started as if nothing had happened; then it is removed, and another one added. */
  #replace(): void {
    const victims = this.#voters().filter(({ node }) => this.#mayLose(node))
    if (victims.length === 0) return
    const { node } = this.#random.pick(victims)
    const machine = this.#nodeOf(node)!
    this.#cluster.coverage.mark('wiped')
    machine.crash(true)
    machine.wipe()
    this.#later(SECOND, () => machine.start())
    const remove = (): void =>
      this.#removeFor(node, outcome => {
        if (outcome.kind === 'ok') this.#add(false)
        else if (!this.#cluster.observer.members.isRemoved(node)) this.#later(4 * SECOND, remove)
      })
    this.#later(5 * SECOND, remove)
  }

  /** Whether everybody could go on without it, in every configuration that is in force anywhere, or is next. */
  #mayLose(lost: NodeId): boolean {
    const { nodes } = this.#cluster
    const machine = this.#nodeOf(lost)
    if (machine?.status !== 'up' || this.#voters().length < 3) return false
    const members = this.#latest.members.map(({ node }) => this.#nodeOf(node))
    if (members.some(member => member?.wiped !== false || member.status === 'failed')) return false
    if ([...this.#doubtful.keys()].some(node => !this.#cluster.observer.members.isRemoved(node))) return false
    if (!this.#shardsGoOnWithout(lost)) return false
    return nodes.every(node =>
      [...(node.state?.groups.values() ?? [])].every(({ raft, machine: { config } }) => {
        const inForce = raft?.config ?? config?.value
        if (inForce === undefined || inForce.voters.length === 0) return true
        const remains = (id: number): boolean => {
          const place = inForce.replicas.find(replica => replica.id === id)
          return place !== undefined && place.node !== lost && this.#isHealthy(place.node)
        }
        return isQuorum(inForce, remains) && isQuorum(this.#nextOf(inForce), remains)
      }),
    )
  }

  /** What becomes of a configuration when those who are removed go before anybody comes. */
  #nextOf(config: GroupConfig): GroupConfig {
    const { members } = this.#latest
    const stays = (id: ReplicaId): boolean => {
      const place = config.replicas.find(replica => replica.id === id)
      return place !== undefined && members.some(({ node }) => node === place.node)
    }
    return { ...config, voters: config.voters.filter(stays), outgoing: [] }
  }

  /** Somebody starts a removed member again, from the directory it had. */
  #return(): void {
    const gone = this.#cluster.nodes.filter(
      node => node.status === 'failed' && this.#latest.removed.includes(nodeId(node.id)),
    )
    if (gone.length > 0) this.#random.pick(gone).revive()
  }
}

export const isMember = ({ members }: MembersAt, node: SimNode): boolean =>
  members.some(member => member.node === nodeOf(node.station))
