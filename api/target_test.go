package api_test

import (
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

// hashicorp/nomad#19072: names of jobs have slashes.
func TestParseTargetRef_FindsTheJobBetweenNamespaceAndGroup(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]api.TargetRef{
		"web":                              {Namespace: "default", Job: "web", Group: "web"},
		"web/vm":                           {Namespace: "default", Job: "web", Group: "vm"},
		"prod/web/vm":                      {Namespace: "prod", Job: "web", Group: "vm"},
		"prod/team/web/vm":                 {Namespace: "prod", Job: "team/web", Group: "vm"},
		"prod//web//a//vm":                 {Namespace: "prod", Job: "/web//a/", Group: "vm"},
		"prod/cron/periodic-1700000000/vm": {Namespace: "prod", Job: "cron/periodic-1700000000", Group: "vm"},
		"prod/Küche 1.0/vm":                {Namespace: "prod", Job: "Küche 1.0", Group: "vm"},
	} {
		got, err := api.ParseTargetRef(text)
		must.NoError(t, err, must.Sprint(text))
		must.Eq(t, want, got)
	}
	for _, text := range []string{"", "/", "/web", "web/", "prod//vm", "prod/web/", "/web/vm"} {
		_, err := api.ParseTargetRef(text)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(text))
	}
}

func TestParseTargetRef_ReadsWhatStringWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringMatching(`[^/]+`)
		want := api.TargetRef{Namespace: plain.Draw(t, "namespace"), Job: rapid.StringMatching(`.+`).Draw(t, "job"), Group: plain.Draw(t, "group")}
		got, err := api.ParseTargetRef(want.String())
		must.NoError(t, err)
		must.Eq(t, want, got)
	})
}
