import { Counter, Gauge, type Registry } from 'prom-client'
import type { TlsStatus } from '../tls/setup.js'

/** Certificates, and connections that they kept out. The result takes a fresh reading. */
export function createTlsMetrics(registry: Registry, status: () => TlsStatus): () => void {
  const registers = [registry]
  const labelNames = ['side'] as const
  const notAfter = new Gauge({
    name: 'kvorum_tls_certificate_not_after_seconds',
    help: 'When the certificate in use ends, in Unix time.',
    labelNames,
    registers,
  })
  const reloads = new Counter({
    name: 'kvorum_tls_reloads_total',
    help: 'Times that changed certificates were taken into use.',
    labelNames,
    registers,
  })
  const failedReloads = new Counter({
    name: 'kvorum_tls_reload_failures_total',
    help: 'Times that changed certificates could not be used.',
    labelNames,
    registers,
  })
  const failures = new Counter({
    name: 'kvorum_tls_client_failures_total',
    help: 'TLS connections of clients that came to nothing.',
    registers,
  })
  const plain = new Gauge({
    name: 'kvorum_peer_urls_without_tls',
    help: 'Peer URLs off this machine, known at the start, that are not https.',
    registers,
  })
  return () => {
    const { sources, failedHandshakes, plainPeerUrls } = status()
    for (const counter of [reloads, failedReloads, failures]) counter.reset()
    for (const { side, ...source } of sources) {
      notAfter.set({ side }, Math.round(source.notAfter / 1000))
      reloads.inc({ side }, source.reloads)
      failedReloads.inc({ side }, source.failedReloads)
    }
    failures.inc(failedHandshakes)
    plain.set(plainPeerUrls)
  }
}
