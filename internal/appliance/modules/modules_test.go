package modules_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/appliance/modules"
)

// TestPrint_TellsTheModulesOfPrograms reads a program, beside what is no program of Go.
func TestPrint_TellsTheModulesOfPrograms(t *testing.T) {
	t.Parallel()
	self := filepath.Join(t.TempDir(), "app")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", self, "./testdata/app").CombinedOutput()
	must.NoError(t, err, must.Sprint(string(built)))
	program, err := os.ReadFile(self)
	must.NoError(t, err)
	root := t.TempDir()
	for name, content := range map[string][]byte{
		"usr/local/bin/app": program, "usr/lib/copy": program, "proc/1/exe": program,
		"cut": program[:len(program)/2], "text": bytes.Repeat([]byte("x"), 1<<20), "elf": append([]byte("\x7fELF"), make([]byte, 1<<20)...), "small": []byte("\x7fELF"),
	} {
		path := filepath.Join(root, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.NoError(t, os.WriteFile(path, content, 0o600))
	}
	must.NoError(t, os.Symlink("/proc/self/exe", filepath.Join(root, "link")))
	var out bytes.Buffer
	must.NoError(t, modules.Print(t.Context(), root, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	must.EqOp(t, modules.Header, lines[0])
	must.SliceContains(t, lines, "github.com/oakumhq/oakum\t(devel)")

	t.Log("the go command says the same")
	said, err := exec.CommandContext(t.Context(), "go", "version", "-m", self).Output()
	must.NoError(t, err)
	count := 0
	for line := range strings.Lines(string(said)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if fields[0] == "dep" {
			must.SliceContains(t, lines, fields[1]+"\t"+fields[2])
			count++
		}
	}
	must.Positive(t, count)
	must.Len(t, count+3, lines, must.Sprint("a header, the standard library and the program itself"))
	first, _, _ := strings.Cut(string(said), "\n")
	_, version, _ := strings.Cut(first, ": ")
	version, _, _ = strings.Cut(version, " ")
	must.SliceContains(t, lines, "stdlib\t"+version)
}

func TestPrint_RefusesWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	must.Error(t, modules.Print(t.Context(), filepath.Join(t.TempDir(), "none"), &out))
	must.EqOp(t, 0, out.Len())
}
