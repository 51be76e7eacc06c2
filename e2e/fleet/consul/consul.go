// Package consul serves the parts of Consul's HTTP API that internal/consul uses
// over a fleet in memory, and a few that people look at.
package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-bexpr"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
)

const (
	// consulVersion is the Consul whose answers these are.
	consulVersion = "1.22.5"
	// blockFor is how long a blocking query waits that does not say; blockMost is
	// the longest that it may say.
	blockFor, blockMost = 5 * time.Minute, 10 * time.Minute
)

// Door serves Consul's HTTP API over a model. It is safe for concurrent use.
type Door struct {
	door.Health
	handler http.Handler
	mux     *http.ServeMux
	model   *door.Model
	mesh    *mesh.Mesh // guarded by the model

	mu     sync.Mutex
	probes map[string]*probe // by ID of the check
}

// New returns what serves Consul's API: the parts of it that
// internal/consul uses, and a few that people look at.
func New(m *door.Model) *Door {
	c := &Door{mux: http.NewServeMux(), model: m, probes: map[string]*probe{}}
	c.handler = c.WithFault(inDatacenter(c.Led(c.mux)))
	m.Update(func(f *fleet.Fleet) { c.mesh = mesh.New(f) })
	c.catalogRoutes()
	c.entryRoutes()
	c.agentRoutes()
	return c
}

// Mesh calls do with Consul's state, under the model's lock.
func (c *Door) Mesh(do func(*mesh.Mesh)) {
	c.model.Update(func(*fleet.Fleet) { do(c.mesh) })
}

// ServeHTTP implements http.Handler.
func (c *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// inDatacenter refuses what is asked of another datacenter.
func inDatacenter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dc := r.URL.Query().Get("dc"); dc != "" && dc != door.Datacenter {
			http.Error(w, "No path to datacenter", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mostBody bounds what a caller sends.
const mostBody = 1 << 20

// asked is one read or write.
type asked struct {
	*http.Request
	mesh   *mesh.Mesh
	body   []byte // of a write
	hidden map[string]bool
}

// look makes the answer to a read under the model's lock.
type look func(*asked) (any, error)

// read serves reads that block until a table has changed.
func (c *Door) read(do look, tables ...fleet.Table) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fault := c.Fault()
		ask := &asked{Request: r, mesh: c.mesh, hidden: map[string]bool{}}
		for _, name := range fault.Hidden {
			ask.hidden[name] = true
		}
		body, index, err := c.block(ask, do, tables)
		if err == nil {
			body, err = filtered(body, r.URL.Query().Get("filter"))
		}
		if err != nil {
			refuse(w, err)
			return
		}
		h := w.Header()
		h.Set("X-Consul-Index", strconv.FormatUint(index, 10))
		h.Set("X-Consul-KnownLeader", strconv.FormatBool(fault.Stale == 0))
		h.Set("X-Consul-LastContact", strconv.FormatInt(fault.Stale.Milliseconds(), 10))
		if len(fault.Hidden) > 0 {
			h.Set("X-Consul-Results-Filtered-By-ACLs", "true")
		}
		door.Reply(w, body)
	}
}

// block waits for a change when the caller asks for that, and makes the answer.
func (c *Door) block(ask *asked, do look, tables []fleet.Table) (body any, index uint64, err error) {
	query := ask.URL.Query()
	after, err := number(query.Get("index"))
	if err != nil {
		return nil, 0, err
	}
	wait, err := time.ParseDuration(cmp.Or(query.Get("wait"), blockFor.String()))
	if err != nil {
		return nil, 0, api.Errorf(api.CodeInvalid, "Invalid wait time")
	}
	ctx, cancel := context.WithTimeout(ask.Context(), min(wait, blockMost))
	defer cancel()
	for {
		var seen uint64
		c.model.View(func(f *fleet.Fleet) {
			seen, index = f.Index(), 1
			for _, t := range tables {
				index = max(index, f.TableIndex(t))
			}
			if after == 0 || index > after || ctx.Err() != nil {
				body, err = do(ask)
				seen = 0
			}
		})
		if seen == 0 {
			return body, index, err
		}
		_ = c.model.Wait(ctx, seen) // when the time is up the answer is what there is
	}
}

// filtered is the part of a list that a filter selects.
func filtered(body any, filter string) (any, error) {
	if filter == "" || reflect.TypeOf(body).Kind() != reflect.Slice {
		return body, nil
	}
	f, err := bexpr.CreateFilter(filter)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "failed to create boolean expression evaluator: ")
		return nil, api.Errorf(api.CodeInternal, "Failed to create boolean expression evaluator: %s", text)
	}
	return f.Execute(body)
}

// number reads an index; none is 0.
func number(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, api.Errorf(api.CodeInvalid, "Invalid index")
	}
	return n, nil
}

// write serves what changes something.
func (c *Door) write(do look) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
		var body any
		if err == nil {
			c.model.Update(func(*fleet.Fleet) { body, err = do(&asked{Request: r, mesh: c.mesh, body: sent}) })
		}
		if err != nil {
			refuse(w, err)
			return
		}
		door.Reply(w, body)
	}
}

// refuse answers with an error as Consul does: a status and a line of text.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	text := err.Error()
	if known, ok := errors.AsType[*api.Error](err); ok {
		text = known.Message
		switch known.Code {
		case api.CodeInvalid:
			status = http.StatusBadRequest
		case api.CodeNotFound:
			status = http.StatusNotFound
		default: // the others are Consul's own fault
		}
	}
	http.Error(w, text, status)
}

// agentRoutes are what an agent answers by itself.
func (c *Door) agentRoutes() {
	c.mux.HandleFunc("GET /v1/agent/self", c.read(func(*asked) (any, error) {
		return map[string]any{"Config": map[string]any{"Datacenter": door.Datacenter, "NodeName": "consul", "Version": consulVersion, "Server": true}}, nil
	}))
	c.mux.HandleFunc("GET /v1/status/leader", c.read(func(*asked) (any, error) { return "127.0.0.1:8300", nil }))
	c.mux.HandleFunc("GET /v1/agent/service/{id}", c.read(agentService))
	c.mux.HandleFunc("PUT /v1/agent/service/register", c.write(c.register))
	c.mux.HandleFunc("PUT /v1/agent/service/deregister/{id}", c.write(func(a *asked) (any, error) {
		return nil, a.mesh.Deregister(a.PathValue("id"))
	}))
	c.mux.HandleFunc("PUT /v1/agent/check/update/{id}", c.write(func(a *asked) (any, error) {
		var update struct{ Status, Output string }
		if err := json.Unmarshal(a.body, &update); err != nil {
			return nil, api.Errorf(api.CodeInvalid, "Request decode failed: %v", err)
		}
		return nil, a.mesh.Report(a.PathValue("id"), update.Status, update.Output)
	}))
}

func agentService(a *asked) (any, error) {
	r, err := a.mesh.Registered(a.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return serviceOf(r), nil
}

func (c *Door) register(a *asked) (any, error) {
	var in consulapi.AgentServiceRegistration
	if err := json.Unmarshal(a.body, &in); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "Request decode failed: %v", err)
	}
	if in.Name == "" {
		return nil, api.Errorf(api.CodeInvalid, "Missing service name")
	}
	r := mesh.Registration{
		Service: in.Name, ID: cmp.Or(in.ID, in.Name), Address: in.Address, Port: in.Port, Kind: string(in.Kind), Tags: in.Tags, Meta: in.Meta,
	}
	if in.Proxy != nil {
		r.ProxyFor, r.ProxyForID = in.Proxy.DestinationServiceName, in.Proxy.DestinationServiceID
		for _, u := range in.Proxy.Upstreams {
			r.Upstreams = append(r.Upstreams, u.DestinationName)
		}
	}
	list := in.Checks
	if in.Check != nil {
		list = append(list, in.Check)
	}
	var checks []mesh.Check
	for i, k := range list {
		id := "service:" + r.ID
		if len(list) > 1 {
			id += fmt.Sprintf(":%d", i+1)
		}
		id = cmp.Or(k.CheckID, id)
		checks = append(checks, mesh.Check{ID: id, Name: cmp.Or(k.Name, fmt.Sprintf("Service '%s' check", in.Name))})
		c.probe(id, k)
	}
	a.mesh.Register(r, checks)
	return nil, nil
}
