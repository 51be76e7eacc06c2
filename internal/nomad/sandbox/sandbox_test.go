package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestTwinDigest: only what is a digest is taken for one. Nomad (1.11.3) answers
// for a file that is not there with status 200 and says so in the body.
func TestTwinDigest(t *testing.T) {
	digest := strings.Repeat("0123456789abcdef", 4)
	cases := map[string]struct {
		text, want string
	}{
		"digest":        {digest, digest},
		"absent":        {"stat /var/nomad/alloc/5a3c1b8e/alloc/data/oakum-twin.sha256: no such file or directory", ""},
		"half of one":   {digest[:32], ""},
		"more than one": {digest + "0", ""},
		"no hex digits": {strings.Repeat("g", 64), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				must.Eq(t, "/v1/client/fs/cat/a-1", r.URL.Path)
				_, _ = fmt.Fprint(w, c.text)
			}))
			t.Cleanup(s.Close)
			client, err := nomad.New(nomad.Config{Address: s.URL})
			must.NoError(t, err)
			must.Eq(t, c.want, New(client, Options{}).twinDigest(t.Context(), twin.Machine{}, &nomadapi.Allocation{ID: "a-1"}))
		})
	}
}
