# One node of Tunnus, for a PostgreSQL and a mail server elsewhere (docker-compose.yml shows all of it).
# The steps are the ones that .ci/run takes: npm ci, then node on the sources; nothing is built in between.
FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev

FROM node:24-trixie-slim
WORKDIR /app
ENV NODE_ENV=production \
    TUNNUS_CONFIG=/config \
    NODE_COMPILE_CACHE=/app/node_modules/.cache/node \
    PATH=/app/node_modules/.bin:$PATH

COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY sql sql
COPY views views
COPY src src
COPY config /config
# What reading the sources gives is kept for every start.
RUN node src/cli.ts --help >/dev/null

# Writes nothing inside the image: a read-only root file system is fine.
USER node
EXPOSE 3000 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=4", "src/cli.ts", "serve"]
