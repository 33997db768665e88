# The service as an image: one static binary for nobody in particular, which writes
# to its volume and to nothing else. docs/operating.md tells how to run it; the tests
# in image/ read this file and hold it to that.

FROM golang:1.26 AS build
ARG VERSION
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X main.version=${VERSION}" -o /out/merlon ./cmd/merlon
# Modes are given here, so that they do not depend on those of the checkout.
RUN install -D -m 0644 -t /out/etc image/etc/passwd image/etc/group && \
    install -D -m 0644 -t /out/etc/merlon image/etc/merlon/merlon.yaml && \
    install -d -m 1777 /out/tmp && \
    install -d -m 0700 /out/data

# What a distroless base holds is these few files.
FROM scratch
COPY --from=build /out/etc /etc
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /var/lib/merlon
COPY --from=build /out/merlon /merlon
USER 65532:65532
WORKDIR /var/lib/merlon
VOLUME /var/lib/merlon
EXPOSE 8443
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["/merlon", "health", "--config", "/etc/merlon/merlon.yaml"]
ENTRYPOINT ["/merlon"]
CMD ["serve", "--config", "/etc/merlon/merlon.yaml"]
