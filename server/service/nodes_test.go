package service

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestNodes_AreThoseOfNomad(t *testing.T) {
	f := newFixture(t)
	f.fleet.nodes = []api.Node{{ID: "n1", Name: "one"}}
	found, err := f.Nodes(t.Context())
	must.NoError(t, err)
	must.Eq(t, f.fleet.nodes, found)
	f.fleet.err = errors.New("no route")
	_, err = f.Nodes(t.Context())
	must.ErrorContains(t, err, "list nodes: no route")
}
