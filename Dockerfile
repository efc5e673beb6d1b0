ARG NODE=24
FROM node:${NODE}-bookworm-slim AS build
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
COPY packages/cli/bin packages/cli/bin
COPY bench/package.json bench/
RUN npm ci
COPY . .
# Only what ships: neither tests nor the simulator nor the benchmark.
RUN npx tsc -b packages/cli && npm prune --omit=dev --ignore-scripts && rm -rf packages/*/src packages/*/test

FROM node:${NODE}-bookworm-slim
LABEL org.opencontainers.image.title="kvorum" \
      org.opencontainers.image.description="A replicated key-value store that speaks the etcd v3 API" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/kvorum
COPY --from=build /opt/kvorum/package.json /opt/kvorum/LICENSE ./
COPY --from=build /opt/kvorum/node_modules node_modules
COPY --from=build /opt/kvorum/packages packages
COPY --from=build /opt/kvorum/bench/package.json bench/
# Its owner survives in the named or anonymous volume that is mounted here.
RUN mkdir -m 0700 /var/lib/kvorum && chown 10001:10001 /var/lib/kvorum
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16 \
    KVORUM_DATA_DIR=/var/lib/kvorum \
    KVORUM_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 \
    KVORUM_LISTEN_PEER_URLS=http://0.0.0.0:2380
USER 10001
VOLUME /var/lib/kvorum
EXPOSE 2379 2380
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "packages/cli/bin/healthcheck.js"]
ENTRYPOINT ["node", "packages/cli/bin/kvorum.js"]
CMD ["server"]
