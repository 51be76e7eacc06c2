package consul_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// large is a catalog of numbered services with an instance each.
func large(services int) *agent {
	names := object{}
	a := &agent{answers: map[string]any{"/v1/catalog/services": names, "/v1/health/state/any": []object{}}}
	for i := range services {
		name := fmt.Sprintf("s%04d", i)
		names[name] = []string{}
		a.answers["/v1/catalog/service/"+name] = []object{{"ServiceName": name, "ServiceID": name, "Node": "n1"}}
	}
	return a
}

// scans counts how often services were read, and how often each one.
func (a *agent) scans() (total int, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path, n := range a.calls {
		if strings.HasPrefix(path, "/v1/catalog/service/") {
			total, most = total+n, max(most, n)
		}
	}
	return total, most
}

// TestServices_ScansALargeCatalogBitByBit has the index move at every look.
func TestServices_ScansALargeCatalogBitByBit(t *testing.T) {
	a := large(1_200)
	c := a.client(t, "secret")
	for look := range 4 {
		a.mu.Lock()
		a.index = strconv.Itoa(10 + look)
		a.mu.Unlock()
		before, _ := a.scans()
		list, _, err := c.Services(t.Context())
		must.NoError(t, err)
		must.Len(t, 1_200, list)
		after, most := a.scans()
		want := 500
		if look == 0 {
			want = 1_200
		}
		must.Eq(t, want, after-before)
		must.LessEq(t, 3, most, must.Sprint("those that were read longest ago come first"))
	}
	for range 4 { // it stands still: the rest follows, and then nothing
		_, _, err := c.Services(t.Context())
		must.NoError(t, err)
	}
	total, _ := a.scans()
	must.Eq(t, 1_200+3*500+700, total)
}

// TestServices_GoesOnWhereAScanFailed keeps what was read before an error, and forgets
// services that are gone.
func TestServices_GoesOnWhereAScanFailed(t *testing.T) {
	a := large(600)
	broken := a.answers["/v1/catalog/service/s0500"]
	delete(a.answers, "/v1/catalog/service/s0500")
	c := a.client(t, "secret")
	_, _, err := c.Services(t.Context())
	must.ErrorContains(t, err, "read service s0500")
	before, _ := a.scans()
	must.GreaterEq(t, 500-8, before, must.Sprint("up to eight are read at once, and end with the one that fails"))

	a.mu.Lock()
	a.answers["/v1/catalog/service/s0500"] = broken
	delete(a.answers["/v1/catalog/services"].(object), "s0001")
	a.mu.Unlock()
	list, _, err := c.Services(t.Context())
	must.NoError(t, err)
	must.Len(t, 599, list)
	after, _ := a.scans()
	must.LessEq(t, 600+16-before, after-before, must.Sprint("the others were known"))
}
