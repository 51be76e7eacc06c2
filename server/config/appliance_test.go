package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/appliance"
)

// withAppliance loads a configuration whose simulator block has an appliance.
func withAppliance(t *testing.T, simulator string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oakum.hcl")
	must.NoError(t, os.WriteFile(path, []byte("simulator {\n"+simulator+"\n}\n"), 0o600))
	return Load([]string{path}, true, func(string) string { return "" })
}

func TestLoad_ReadsTheAppliance(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	c, err := withAppliance(t, `
appliance {
  memory = "1GB"
  kernel {
    source   = "https://files.example/oakum/vmlinuz"
    checksum = "`+sum+`"
  }
  initrd {
    source   = "/opt/oakum/initrd"
    checksum = "`+sum+`"
  }
}`)
	must.NoError(t, err)
	must.Eq(t, &appliance.Appliance{
		Kernel: appliance.File{Source: "https://files.example/oakum/vmlinuz", Checksum: sum},
		Initrd: appliance.File{Source: "/opt/oakum/initrd", Checksum: sum},
		Memory: 1024, Within: 10 * time.Minute,
	}, c.Simulator.Appliance)

	c, err = withAppliance(t, "rate = 5")
	must.NoError(t, err)
	must.Nil(t, c.Simulator.Appliance)
}

func TestLoad_RefusesAnAppliance(t *testing.T) {
	file := func(source, sum string) string {
		return "{\nsource = \"" + source + "\"\nchecksum = \"" + sum + "\"\n}\n"
	}
	good := file("/a", "sha256:"+strings.Repeat("ab", 32))
	for text, want := range map[string]string{
		"kernel " + good: "oakum.hcl:2,1: simulator.appliance.initrd: want a source: a URL, or an absolute path on the clients",
		"initrd " + good + "kernel " + file("vmlinuz", "sha256:"+strings.Repeat("ab", 32)):         `oakum.hcl:7,1: simulator.appliance.kernel: source "vmlinuz" is neither a URL nor an absolute path`,
		"initrd " + good + "kernel " + file("ftp://a/vmlinuz", "sha256:"+strings.Repeat("ab", 32)): "Nomad fetches http and https here",
		"initrd " + good + "kernel " + file("/a", "md5:"+strings.Repeat("ab", 16)):                 `is not "sha256:" and 64 lower-case hexadecimal digits`,
		"initrd " + good + "kernel " + file("/a", ""):                                              `checksum "" is not`,
		"initrd " + good + "kernel " + good + "memory = \"64MB\"":                                  "simulator.appliance.memory: want at least 128MB, have 64MB",
		"initrd " + good + "kernel " + good + "memory = \"512\"":                                   `want an amount of memory such as "512MB"`,
		"initrd " + good + "kernel " + good + "timeout = \"16m\"":                                  "simulator.appliance.timeout: want 100ms to 15m0s (simulator.timeout), have 16m0s",
	} {
		_, err := withAppliance(t, "appliance {\n"+text+"\n}")
		must.ErrorContains(t, err, want)
	}
}
