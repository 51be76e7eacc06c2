package nomad_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
)

// many is a Nomad of numbered jobs, with as many instances and a service each.
type many struct {
	mu     sync.Mutex
	jobs   int
	modify map[int]int // job → its modify index; 1 when it is not there
	index  int         // of the list of jobs, and of the catalog of services
	read   map[string]int
	lists  int
	each   int // instances of a job
	onRead func(total int)
}

func (m *many) client(t testing.TB) *nomad.Client {
	t.Helper()
	m.read = map[string]int{}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	client, err := nomad.New(nomad.Config{Address: s.URL})
	must.NoError(t, err)
	return client
}

func (m *many) total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := 0
	for _, n := range m.read {
		sum += n
	}
	return sum
}

// ServeHTTP implements http.Handler.
func (m *many) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("X-Nomad-Index", strconv.Itoa(m.index))
	w.Header().Set("X-Nomad-LastContact", "0")
	w.Header().Set("X-Nomad-KnownLeader", "true")
	switch id, isJob := strings.CutPrefix(r.URL.Path, "/v1/job/"); {
	case isJob:
		m.read[id]++
		if m.onRead != nil {
			m.onRead(len(m.read))
		}
		n, _ := strconv.Atoi(id)
		answer(w, m.job(n))
	case r.URL.Path == "/v1/jobs":
		if r.FormValue("per_page") != "1" {
			m.lists++
		}
		m.page(w, r, m.jobs, func(n int) any {
			return object{"ID": strconv.Itoa(n), "Namespace": "default", "Type": "service", "Status": "running", "JobModifyIndex": m.modified(n)}
		})
	case r.URL.Path == "/v1/allocations":
		m.page(w, r, m.jobs*m.each, func(n int) any { return m.alloc(n) })
	case r.URL.Path == "/v1/nodes":
		answer(w, []object{})
	case r.URL.Path == "/v1/services":
		list := []object{}
		for n := range m.jobs {
			list = append(list, object{"ServiceName": strconv.Itoa(n)})
		}
		answer(w, []object{{"Namespace": "default", "Services": list}})
	default: // a service
		name := strings.TrimPrefix(r.URL.Path, "/v1/service/")
		m.read["service "+name]++
		answer(w, []object{{"ServiceName": name, "AllocID": "a", "Address": "10.0.0.1", "Port": 80, "JobID": name}})
	}
}

func (m *many) modified(n int) int {
	if at, ok := m.modify[n]; ok {
		return at
	}
	return 1
}

func (m *many) job(n int) object {
	return object{"ID": strconv.Itoa(n), "Namespace": "default", "Type": "service", "Version": 1, "JobModifyIndex": m.modified(n), "Stop": false,
		"TaskGroups": []object{{"Name": "web", "Count": m.modified(n), "Services": []object{{"Name": fmt.Sprint("service-", n)}},
			"Tasks": []object{{"Name": "server", "Driver": "docker", "Config": object{"image": "web:1"}}}}}}
}

func (m *many) alloc(n int) object {
	return object{"ID": fmt.Sprintf("%08x-0000-0000-0000-000000000000", n), "Namespace": "default", "JobID": strconv.Itoa(n % m.jobs), "TaskGroup": "web",
		"NodeID": strconv.Itoa(n % 1000), "NodeName": fmt.Sprint("node-", n%1000), "DesiredStatus": "run", "ClientStatus": "running",
		"TaskStates":         object{"server": object{"State": "running"}},
		"AllocatedResources": object{"Shared": object{"Ports": []object{{"HostIP": "10.0.0.1", "Value": 20000 + n%10000}}}}}
}

// page answers with a page of total rows.
func (m *many) page(w http.ResponseWriter, r *http.Request, total int, row func(int) any) {
	from, _ := strconv.Atoi(r.FormValue("next_token"))
	size, _ := strconv.Atoi(r.FormValue("per_page"))
	to := min(from+size, total)
	if to < total {
		w.Header().Set("X-Nomad-NextToken", strconv.Itoa(to))
	}
	rows := []any{}
	for n := from; n < to; n++ {
		rows = append(rows, row(n))
	}
	answer(w, rows)
}

func answer(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }

func TestTargets_ReadsOnlyJobsThatChanged(t *testing.T) {
	t.Parallel()
	m := &many{jobs: 2_500, index: 10, modify: map[int]int{}}
	client := m.client(t)
	for range 3 {
		targets, err := client.Targets(t.Context())
		must.NoError(t, err)
		must.Len(t, 2_500, targets)
	}
	must.Eq(t, 2_500, m.total(), must.Sprint("each job is read once"))
	must.Eq(t, 2, m.lists, must.Sprint("while the index stands still, two pages are listed once"))

	m.mu.Lock()
	m.index, m.modify[7] = 11, 5
	m.mu.Unlock()
	targets, err := client.Targets(t.Context())
	must.NoError(t, err)
	must.Eq(t, 2_501, m.total())
	must.Eq(t, 2, m.read["7"])
	changed := 0
	for _, target := range targets {
		if target.Job == "7" {
			must.Eq(t, 5, target.Count)
			changed++
		}
	}
	must.Eq(t, 1, changed)

	m.mu.Lock()
	m.index, m.jobs = 12, 2_400
	m.mu.Unlock()
	targets, err = client.Targets(t.Context())
	must.NoError(t, err)
	must.Len(t, 2_400, targets, must.Sprint("jobs that are gone are no targets"))
}

// TestTargets_GoesOnWhereALookWasCut lets each look end after a few hundred jobs:
// none is read twice, and the whole fleet is known in the end.
func TestTargets_GoesOnWhereALookWasCut(t *testing.T) {
	t.Parallel()
	m := &many{jobs: 1_000, index: 10}
	client := m.client(t)
	var targets []api.Target
	looks := 0
	for targets == nil {
		must.Less(t, 10, looks)
		looks++
		ctx, cancel := context.WithCancel(t.Context())
		m.mu.Lock()
		enough := len(m.read) + 300
		m.onRead = func(total int) {
			if total >= enough {
				cancel()
			}
		}
		m.mu.Unlock()
		var err error
		targets, err = client.Targets(ctx)
		cancel()
		if err != nil {
			must.StrContains(t, err.Error(), "of 1000 jobs were read until then; the next look goes on from there")
		}
	}
	must.Len(t, 1_000, targets)
	must.Between(t, 3, looks, 5)
	for id, n := range m.read {
		must.LessEq(t, 2, n, must.Sprint("job ", id)) // again only when its answer was cut
	}
	must.LessEq(t, 1_000+looks*8, m.total())
}

// TestTargets_EndsWithItsContext has one caller wait for another.
func TestTargets_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	m := &many{jobs: 1, index: 10}
	client := m.client(t)
	reading, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.onRead = func(int) {
		once.Do(func() {
			close(reading)
			<-goOn
		})
	}
	first := make(chan error)
	go func() {
		_, err := client.Targets(t.Context())
		first <- err
	}()
	<-reading
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Layout(ctx)
	must.ErrorContains(t, err, "after another caller")
	close(goOn)
	must.NoError(t, <-first)
}

// TestDirectory_ReadsALargeCatalogBitByBit has the index of the catalog move at
// every look.
func TestDirectory_ReadsALargeCatalogBitByBit(t *testing.T) {
	t.Parallel()
	m := &many{jobs: 1_200, index: 10}
	client := m.client(t)
	for look := range 4 {
		before := m.total()
		d, err := client.Directory(t.Context())
		must.NoError(t, err)
		must.Len(t, 1_200, d.Registrations)
		want := 500
		if look == 0 {
			want = 2_400 // every job and every service
		}
		must.Eq(t, want, m.total()-before)
		m.mu.Lock()
		m.index++
		m.mu.Unlock()
	}
	for n := range m.jobs {
		must.GreaterEq(t, 2, m.read[fmt.Sprint("service ", n)], must.Sprint("the longest known come first"))
	}
}

// BenchmarkLayout looks at 20,000 jobs of five instances: as a new leader does,
// and again when one job has changed.
func BenchmarkLayout(b *testing.B) {
	m := &many{jobs: 20_000, each: 5, index: 10, modify: map[int]int{}}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			layout, err := m.client(b).Layout(b.Context())
			must.NoError(b, err)
			must.Len(b, 100_000, layout.Instances)
		}
	})
	client := m.client(b)
	b.Run("targets", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			m.mu.Lock()
			m.index++
			m.modify[i%m.jobs] = m.index
			m.mu.Unlock()
			targets, err := client.Targets(b.Context())
			must.NoError(b, err)
			must.Len(b, 20_000, targets)
		}
	})
}
