#!/bin/sh
# Generates the Go code of the strategy protocol. Needs protoc on PATH
# (Debian: protobuf-compiler); the two Go generators are tools of the module in
# internal/tools/proto.
set -eu
cd "$(dirname "$0")/../.."

if ! command -v protoc >/dev/null 2>&1; then
	echo "generate: protoc is not on PATH (Debian: apt-get install protobuf-compiler)" >&2
	exit 1
fi

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT INT TERM
(
	cd internal/tools/proto
	go build -o "$bin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
	go build -o "$bin/protoc-gen-go-grpc" google.golang.org/grpc/cmd/protoc-gen-go-grpc
)

protoc \
	--plugin=protoc-gen-go="$bin/protoc-gen-go" \
	--plugin=protoc-gen-go-grpc="$bin/protoc-gen-go-grpc" \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	plugins/proto/v1/strategy.proto
