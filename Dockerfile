# The released images are made without this file and without a base image: `make
# image` puts the same binaries FROM scratch. For who builds with Docker or buildah:
#
#   docker build .                  the command, and with it the controller
#   docker build --target probe .   the probe alone, for every node
#
# With BuildKit, --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) and
# --output type=image,rewrite-timestamp=true the same commit gives the same bytes.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=devel
RUN make chart && make binaries GOOS=${TARGETOS} GOARCH=${TARGETARCH} BIN=/out VERSION=${VERSION} && \
    mkdir -m 0700 /out/data && mkdir -m 1777 /out/tmp

FROM scratch AS probe
COPY --from=build /out/remediate-probe /remediate-probe
USER 65532:65532
ENTRYPOINT ["/remediate-probe"]

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/remediate /usr/local/bin/remediate
ENV HOME=/data PATH=/usr/local/bin
WORKDIR /data
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/remediate"]
