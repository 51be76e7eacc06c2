#!/usr/bin/env bash
# Makes a deb and an rpm of bin/oakum, a software bill of materials, and their checksums.
# The same program makes the same packages.
#
#   packaging/build.sh FOLDER
set -euo pipefail
to=$(realpath -m "${1:?want the folder that the packages go to}")
cd "$(dirname "$0")/.."
VERSION=$(bin/oakum version -json | sed -n 's/.*"Version": *"\([^"]*\)".*/\1/p')
[ -n "$VERSION" ] || { echo "bin/oakum does not tell its version: make build" >&2; exit 1; }
ARCH=$(go env GOARCH)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export VERSION ARCH SOURCE_DATE_EPOCH
mkdir -p "$to"
rm -f "$to"/oakum[_-]*.{deb,rpm} "$to/oakum.cdx.json" "$to/SHA256SUMS"
for kind in deb rpm; do
	go tool -modfile=internal/tools/packages/go.mod nfpm package --config packaging/nfpm.yaml --packager "$kind" --target "$to" >/dev/null
done
go tool -modfile=internal/tools/sbom/go.mod cyclonedx-gomod bin -json -noserial -output "$to/oakum.cdx.json" bin/oakum 2>/dev/null
(cd "$to" && sha256sum -- oakum* >SHA256SUMS && cat SHA256SUMS)
