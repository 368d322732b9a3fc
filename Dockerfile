# Two images: `server` (forktail with the example application) and `nginx` (Debian's, with the module).
#
#   docker build --target server -t forktail-server .
#   docker build --target nginx -t forktail-nginx .
#
# `--build-arg SUITE=trixie` makes them of Debian 13 instead of 12. The two must be of one suite: a module fits one
# nginx.
ARG SUITE=bookworm

FROM debian:${SUITE}-slim AS base
# Both containers are this user: each may use the socket in the volume that they share.
RUN groupadd --gid 10001 forktail \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin forktail \
    && install -d -o forktail -g forktail /run/forktail

FROM debian:${SUITE}-slim AS build
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        cmake g++ ninja-build pkg-config nginx-dev libpcre2-dev libssl-dev zlib1g-dev libzstd-dev \
        libspdlog-dev libfmt-dev libcli11-dev libdw-dev nlohmann-json3-dev
COPY . /src
WORKDIR /src
RUN cmake --preset release -DCMAKE_BUILD_TYPE=Release && cmake --build --preset release \
    && cmake --install build/release --prefix /opt/forktail
# The packages of the libraries that the programs are linked with; each suite has its own names for them.
RUN ldd /opt/forktail/bin/forktail /opt/forktail/lib/forktail/apps/*.so \
    | awk '$2 == "=>" { print "*/" $1 }' | sort -u | xargs dpkg -S | cut -d : -f 1 | sort -u >/opt/forktail/packages

FROM base AS server
COPY --from=build /opt/forktail/packages /tmp/packages
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y -qq --no-install-recommends </tmp/packages \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/forktail/bin/forktail /usr/local/bin/
COPY --from=build /opt/forktail/lib/forktail /usr/local/lib/forktail
COPY conf/compose/forktail.ini /etc/forktail/forktail.ini
USER 10001:10001
VOLUME /run/forktail
# TERM, Docker's default, lets the requests in flight finish.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["forktail", "request", "--ping", "--timeout", "2s", "--socket", "/run/forktail/forktail.sock"]
ENTRYPOINT ["forktail"]
CMD ["serve", "-c", "/etc/forktail/forktail.ini"]

FROM base AS nginx
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/forktail/lib/nginx/modules /usr/local/lib/nginx/modules
COPY --from=build /opt/forktail/share/forktail/conf/nginx /etc/nginx/forktail
COPY conf/compose/nginx.conf /etc/nginx/nginx.conf
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGQUIT
CMD ["nginx", "-e", "/dev/stderr"]
