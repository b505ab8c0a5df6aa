# The surgewall image for those who build with a container engine; hack/image builds the same content without one.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN mkdir -p /out/tmp /out/etc/ssl/certs \
 && CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X github.com/surgewall/surgewall/cmd/internal/boot.version=$VERSION" \
      -o /out/ ./cmd/edge ./cmd/shield ./cmd/controller ./cmd/surgectl \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >/out/etc/passwd \
 && echo 'nonroot:x:65532:' >/out/etc/group \
 && chmod 1777 /out/tmp

FROM scratch
LABEL org.opencontainers.image.title="surgewall" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/surgewall/surgewall"
COPY --from=build /out/ /
ENV PATH=/
USER 65532
# No entrypoint: name one of /edge /shield /controller /surgectl.
CMD ["/surgectl", "--help"]
