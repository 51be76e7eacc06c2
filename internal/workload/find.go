package workload

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/oakumhq/oakum/api"
)

// Digest names a workload file by what is in it: its SHA-256 in hexadecimal digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Find reads the workload with a digest out of the files that policies refer to. An
// error has code not_found when no policy in force has the file any more.
func Find(digest string, policies []api.SourceFile) (Workload, error) {
	name, data, ok := fileOf(digest, policies)
	if !ok {
		return Workload{}, api.Errorf(api.CodeNotFound, "no policy in force has the workload %.12s any more", digest)
	}
	return Parse(name, data)
}

// fileOf is the file with a digest among those that policies refer to.
func fileOf(digest string, policies []api.SourceFile) (name string, data []byte, ok bool) {
	for _, policy := range policies {
		for _, name := range sorted(policy.Files) {
			if data := []byte(policy.Files[name]); Digest(data) == digest {
				return name, data, true
			}
		}
	}
	return "", nil, false
}
