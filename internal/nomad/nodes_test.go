package nomad_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
)

// TestNodes_AreReadAgainWhenTheyChange: the list of Nomad has no kernels, so each node is
// asked for, and a big fleet is not asked for anew each time.
func TestNodes_AreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	stubs := []map[string]any{{"ID": "2", "Name": "two", "ModifyIndex": 1}, {"ID": "1", "Name": "one", "ModifyIndex": 1}, {"ID": "3", "Name": "gone", "ModifyIndex": 1}}
	kernels := map[string]string{"1": "6.1", "2": "6.2"}
	asked, down := make(chan string, 100), false
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Nomad-Index", "7")
		id := strings.TrimPrefix(r.URL.Path, "/v1/node/")
		switch {
		case down:
			http.Error(w, "no leader", http.StatusInternalServerError)
		case r.URL.Path == "/v1/nodes":
			must.NoError(t, json.NewEncoder(w).Encode(stubs))
		case kernels[id] == "":
			http.Error(w, "node not found", http.StatusNotFound)
		default:
			asked <- id
			must.NoError(t, json.NewEncoder(w).Encode(map[string]any{
				"ID": id, "Name": "n" + id, "NodePool": "default", "Status": "ready",
				"Attributes": map[string]string{"os.name": "debian", "os.version": "12.5", "kernel.version": kernels[id]},
			}))
		}
	}))
	t.Cleanup(door.Close)
	client, err := nomad.New(nomad.Config{Address: door.URL})
	must.NoError(t, err)
	node := func(id, kernel string) api.Node {
		return api.Node{ID: id, Name: "n" + id, Pool: "default", Status: "ready", OS: "debian", OSVersion: "12.5", Kernel: kernel}
	}
	for range 2 {
		found, err := client.Nodes(t.Context())
		must.NoError(t, err)
		must.Eq(t, []api.Node{node("1", "6.1"), node("2", "6.2")}, found)
		must.EqOp(t, 2, len(asked), must.Sprint("each once"))
	}
	kernels["1"], kernels["2"], stubs[1]["ModifyIndex"] = "6.9", "6.9", 2
	found, err := client.Nodes(t.Context())
	must.NoError(t, err)
	must.Eq(t, []api.Node{node("1", "6.9"), node("2", "6.2")}, found, must.Sprint("only one has changed"))
	down = true
	_, err = client.Nodes(t.Context())
	must.Error(t, err)
}
