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
	for _, policy := range policies {
		for _, name := range sorted(policy.Files) {
			if data := []byte(policy.Files[name]); Digest(data) == digest {
				return Parse(name, data)
			}
		}
	}
	return Workload{}, api.Errorf(api.CodeNotFound, "no policy in force has the workload %.12s any more", digest)
}
