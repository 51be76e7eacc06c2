package config

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/appliance"
)

func TestLoad_ReadsWhatTwinsInNamespacesNeed(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	load := "load {\nsource = \"/usr/local/bin/oakum\"\nchecksum = \"" + sum + "\"\n}\n"
	c, err := withAppliance(t, "network = \"oakum-sandbox\"\n"+load)
	must.NoError(t, err)
	must.Eq(t, "oakum-sandbox", c.Simulator.Network)
	must.Eq(t, &appliance.File{Source: "/usr/local/bin/oakum", Checksum: sum}, c.Simulator.Load)

	for text, want := range map[string]string{
		load:                          ": simulator.load: want both network and load, or neither",
		"network = \"oakum-sandbox\"": "simulator.network: want both network and load, or neither",
		"network = \"n\"\nload {\nsource = \"oakum\"\n}": `: simulator.load: source "oakum" is neither a URL nor an absolute path`,
	} {
		_, err := withAppliance(t, text)
		must.ErrorContains(t, err, want)
	}
}
