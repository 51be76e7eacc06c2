package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const described = `
nodes "small" {
  count = 2
}
service "web" {
  count = 3
  calls = { db = 1 }
  rate  = 10
}
service "db" {
  count = 2
}
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fleet.hcl")
	must.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func anywhere(more ...string) []string {
	const free = "=127.0.0.1:0"
	return append([]string{"-nomad" + free, "-consul" + free, "-prometheus" + free, "-issuer" + free}, more...)
}

func TestServesUntilItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, anywhere(write(t, described)), in, io.Discard) }()
	urls := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "#") {
		name, url, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		must.True(t, ok, must.Sprint(lines.Text()))
		urls[name] = url
	}
	for name, path := range map[string]string{
		"NOMAD_ADDR": "/v1/job/web", "CONSUL_HTTP_ADDR": "/v1/catalog/services", "PROMETHEUS_ADDR": "/api/v1/query?query=1",
		"OIDC_ISSUER": "/.well-known/keys",
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, urls[name]+path, nil)
		must.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		must.NoError(t, err, must.Sprint(name))
		must.Eq(t, http.StatusOK, resp.StatusCode, must.Sprint(name))
		must.NoError(t, resp.Body.Close())
	}
	cancel()
	must.NoError(t, <-done)
}

func TestSaysWhatIsWrong(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, taken.Close()) })
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":         {anywhere(), "want one file that describes the fleet, have 0"},
		"two files":       {anywhere("a", "b"), "have 2"},
		"an absent file":  {anywhere("/nowhere/fleet.hcl"), "read the fleet's description: open /nowhere/fleet.hcl: no such file or directory"},
		"no HCL":          {anywhere(write(t, "service {")), "fleet.hcl:1,9"},
		"a wrong figure":  {anywhere(write(t, strings.Replace(described, "count = 3", "count = -3", 1))), "service web: count: want 0 to 50000, have -3"},
		"a wrong callee":  {anywhere(write(t, strings.Replace(described, "db = 1", "absent = 1", 1))), `there is no other service "absent"`},
		"a taken port":    {anywhere("-consul="+taken.Addr().String(), write(t, described)), "serve consul: listen tcp " + taken.Addr().String()},
		"a strange flag":  {[]string{"-odd"}, "flag provided but not defined: -odd"},
		"an odd address":  {anywhere("-nomad=nowhere", write(t, described)), "serve nomad: listen tcp"},
		"nothing to help": {[]string{"-help"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), c.args, io.Discard, io.Discard)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
		})
	}
}
