package ui_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/shoenig/test/must"
)

// TestLibraries_AreTheOnesThatAreListed holds that the files of others are as their
// packages have them, and have their licences beside them.
func TestLibraries_AreTheOnesThatAreListed(t *testing.T) {
	list, err := os.ReadFile("LIBRARIES.md")
	must.NoError(t, err)
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\S+) \\|.*\\| ([0-9a-f]{64}) \\|$").FindAllStringSubmatch(string(list), -1) {
		listed[m[1]] = m[3]
		_, err := os.Stat(filepath.Join("licences", m[2]+".txt"))
		must.NoError(t, err)
	}
	files, err := os.ReadDir("static/lib")
	must.NoError(t, err)
	must.EqOp(t, len(listed), len(files))
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join("static/lib", f.Name()))
		must.NoError(t, err)
		sum := sha256.Sum256(text)
		must.EqOp(t, listed[f.Name()], hex.EncodeToString(sum[:]), must.Sprintf("%s is not as its package has it", f.Name()))
	}
}
