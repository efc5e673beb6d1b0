ARG NODE=24
FROM node:${NODE}-bookworm-slim AS manifests
WORKDIR /opt/kvorum
# Manifests first: dependencies are installed again only when they change.
COPY package.json package-lock.json .npmrc ./
COPY packages/model/package.json packages/model/
COPY packages/raft/package.json packages/raft/
COPY packages/machine/package.json packages/machine/
COPY packages/placement/package.json packages/placement/
COPY packages/storage/package.json packages/storage/
COPY packages/peer/package.json packages/peer/
COPY packages/node/package.json packages/node/
COPY packages/protocol/package.json packages/protocol/
COPY packages/client/package.json packages/client/
COPY packages/server/package.json packages/server/
COPY packages/sim/package.json packages/sim/
COPY packages/cli/package.json packages/cli/
COPY bench/package.json bench/
# npm links the commands of a workspace only when they are there.
COPY packages/cli/bin packages/cli/bin

FROM manifests AS build
RUN npm ci --ignore-scripts
COPY . .
# The state store's native part comes prebuilt in its package, so that nothing has to be compiled for it. What is
# left of the packages is what runs: neither sources and tests nor the simulator.
RUN npx tsc -b packages/cli \
 && rm -rf packages/sim packages/*/src packages/*/test \
 && find packages -type f \( -name '*.map' -o -name '*.d.ts' -o -name 'tsconfig.json' -o -name '.tsbuildinfo' \) -delete

FROM manifests AS dependencies
RUN npm ci --ignore-scripts --omit=dev --workspace=kvorum

FROM node:${NODE}-bookworm-slim
LABEL org.opencontainers.image.title="kvorum" \
      org.opencontainers.image.description="A replicated key-value store that speaks the etcd v3 API" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/kvorum
COPY --from=dependencies /opt/kvorum/node_modules node_modules
COPY --from=build /opt/kvorum/package.json /opt/kvorum/LICENSE ./
COPY --from=build /opt/kvorum/packages packages
# The owner and mode of the directory survive in the named or anonymous volume that is mounted there.
RUN ln -s /opt/kvorum/packages/cli/bin/kvorum.js /usr/local/bin/kvorum \
 && mkdir -m 0700 /var/lib/kvorum && chown 10001:10001 /var/lib/kvorum
ENV NODE_ENV=production \
    KVORUM_DATA_DIR=/var/lib/kvorum \
    KVORUM_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 \
    KVORUM_LISTEN_PEER_URLS=http://0.0.0.0:2380
USER 10001:10001
VOLUME /var/lib/kvorum
EXPOSE 2379 2380
# Whether the process answers, whatever the other nodes do: some who run containers replace an unhealthy one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "packages/cli/bin/healthcheck.js", "/livez"]
ENTRYPOINT ["kvorum"]
CMD ["server"]
