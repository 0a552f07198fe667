FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN make build VERSION=${VERSION}

# The probe alone, for every node: docker build --target probe.
FROM scratch AS probe
COPY --from=build /src/bin/remediate-probe /remediate-probe
USER 65532:65532
ENTRYPOINT ["/remediate-probe"]

FROM gcr.io/distroless/static:nonroot
COPY --from=build /src/bin/ /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/remediate"]
