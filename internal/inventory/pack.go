package inventory

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// packedMax bounds what an inventory unpacks to, in bytes, so that a small piece can't
// fill the memory.
const packedMax = 4 * DocumentMax

// releasesBytesMax bounds the names of the releases, in bytes. They are in the record of an
// inventory, which is one entry of the log. An image has one release.
const releasesBytesMax = 16 << 10

// packed is what an inventory says is installed, without where and when it was read.
type packed struct {
	Releases []string      `json:"releases,omitempty"`
	Packages []api.Package `json:"packages"`
	Aside    []api.Aside   `json:"aside,omitempty"`
}

// Pack makes pieces of at most so many bytes of what an inventory says is installed, and
// the hash of it: hex SHA-256, the same for the same packages, releases and entries kept
// aside.
func Pack(inv api.Inventory, most int) (hash string, pieces [][]byte, err error) {
	if n := len(strings.Join(inv.Releases, "")); n > releasesBytesMax {
		return "", nil, api.Errorf(api.CodeInvalid, "pack inventory: its %d releases have names of %d bytes, want at most %d", len(inv.Releases), n, releasesBytesMax)
	}
	plain, err := json.Marshal(packed{Releases: inv.Releases, Packages: inv.Packages, Aside: inv.Aside})
	if err == nil && len(plain) > packedMax {
		err = fmt.Errorf("it has %d MiB, want at most %d", len(plain)>>20, packedMax>>20)
	}
	if err != nil {
		return "", nil, fmt.Errorf("pack inventory: %w", err)
	}
	sum := sha256.Sum256(plain)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", nil, fmt.Errorf("pack inventory: %w", err)
	}
	for part := range slices.Chunk(out.Bytes(), most) {
		pieces = append(pieces, part)
	}
	return hex.EncodeToString(sum[:]), pieces, nil
}

// Unpack puts the pieces of an inventory together, and checks that they are what its
// record says.
func Unpack(r api.InventoryRecord, pieces [][]byte) (api.Inventory, error) {
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(bytes.Join(pieces, nil))), packedMax+1))
	if err != nil {
		return api.Inventory{}, fmt.Errorf("unpack the inventory of %s: %w", r.Of, err)
	}
	if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != r.Hash {
		return api.Inventory{}, fmt.Errorf("unpack the inventory of %s: its pieces do not add up to its hash", r.Of)
	}
	var p packed
	if err := json.Unmarshal(plain, &p); err != nil {
		return api.Inventory{}, fmt.Errorf("unpack the inventory of %s: %w", r.Of, err)
	}
	return api.Inventory{
		Source: r.Source, Format: r.Format, Subject: r.Subject, Digest: DigestOf(r), TakenAt: r.TakenAt,
		Releases: p.Releases, Packages: p.Packages, Aside: p.Aside,
	}, nil
}

// DigestOf is the digest of what a record describes, or "" when that is known by a name
// only.
func DigestOf(r api.InventoryRecord) string { return digestIn(r.Of) }
