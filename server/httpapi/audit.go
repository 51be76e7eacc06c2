package httpapi

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/audit"
)

// headerRequestID is the ID of a request's entries in the audit log, in the answer.
const headerRequestID = "X-Oakum-Request-Id"

// headerForwardedFor is the address of who asked the server that forwarded a request.
const headerForwardedFor = "X-Oakum-Forwarded-For"

// record is what the audit log keeps of one call, from its authentication to its answer.
type record struct {
	id      string // "" until the call is authenticated or refused, and without an audit log
	request audit.Request
	missed  error // why no device took the request
}

// admitted records a call that may be answered. Nothing is done for a call that no device
// records, but for those that hold or turn back a rollout and for open routes.
func (a *API) admitted(rt route, c *call) error {
	if a.opt.Audit == nil {
		return nil
	}
	if rt.open && c.by.Name == "" {
		return nil // anybody may ask it, and nobody was recognised
	}
	a.begin(rt, c)
	c.record.missed = a.opt.Audit.Record(audit.Entry{Kind: audit.KindRequest, ID: c.record.id, Request: new(c.record.request)})
	if rt.open || rt.holds {
		return nil // brakeSet refuses to take the brake off
	}
	return c.record.missed
}

// begin makes the record of a call.
func (a *API) begin(rt route, c *call) {
	if a.opt.Audit == nil {
		return
	}
	c.record.id = strings.ToLower(rand.Text())
	c.w.Header().Set(headerRequestID, c.record.id)
	in := audit.Request{
		Method: rt.method, Route: rt.path, Path: map[string]string{}, Query: map[string][]string{}, Remote: c.r.RemoteAddr,
		Token:  a.opt.Audit.Conceal([]byte(c.token())),
		Server: audit.Short(c.r.Header.Get(headerForwarded)), Forward: audit.Short(c.r.Header.Get(headerForwardedFor)),
	}
	if c.by.Name != "" {
		in.Caller = &audit.Caller{Name: audit.Short(c.by.Name), Subject: audit.Short(c.by.Subject), Via: c.by.Via}
	}
	for part := range strings.SplitSeq(rt.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
			in.Path[name] = audit.Short(c.r.PathValue(name))
		}
	}
	for name, values := range c.r.URL.Query() {
		if len(in.Query) == queryMax {
			break
		}
		for _, v := range values[:min(len(values), valuesMax)] {
			if !slices.Contains(plainQuery, name) {
				v = a.opt.Audit.Conceal([]byte(v))
			}
			in.Query[audit.Short(name)] = append(in.Query[audit.Short(name)], audit.Short(v))
		}
	}
	c.record.request = in
}

// How many query parameters, and values of each, are recorded: more than any route needs.
// The longest request must fit into a line, or its caller could keep it out of the log.
const (
	queryMax  = 16
	valuesMax = 4
)

// plainQuery are the query parameters that say how to answer, and nothing else.
var plainQuery = []string{ //nolint:gochecknoglobals // it never changes
	"index", "wait", "stale", "consistent", "per_page", "topic", "level", "recent", "follow", "debug",
}

// answered records what a call was answered, a refusal included. It comes after the answer
// was made: what was done stays done, whether a device takes it or not.
func (a *API) answered(c *call, status int) {
	if c.record.id == "" {
		return
	}
	c.record.request.Status = status
	_ = a.opt.Audit.Record(audit.Entry{Kind: audit.KindResponse, ID: c.record.id, Request: new(c.record.request)}) // the log has said so
}

// named records what a body is about, as far as it says so, and the HMAC of the whole.
func (a *API) named(c *call, body []byte, in any) {
	if c.record.id == "" {
		return
	}
	c.record.request.Body = a.opt.Audit.Conceal(body)
	switch in := in.(type) {
	case *api.SourceFile:
		c.record.name("file", in.Name)
	case *api.PatchSubmission:
		c.record.name("file", in.File.Name)
	case *api.QuarantineLift:
		c.record.name("patch", in.Patch)
		c.record.name("target", in.Target.String())
	case *api.SimulationRequest:
		c.record.name("file", in.File.Name)
		c.record.name("target", in.Target.String())
	case *api.PeerRequest:
		c.record.name("server", in.ID)
	}
}

// made records what a call has made.
func (c *call) made(out any) {
	if c.record.id == "" {
		return
	}
	switch out := out.(type) {
	case api.PatchReceipt:
		c.record.name("patch", out.Patch.Name)
		c.record.name("plan", out.Plan.ID)
		c.record.name("rollout", out.Rollouts...)
	case api.Policy:
		c.record.name("policy", out.Name)
	case api.Simulation:
		c.record.name("simulation", out.ID)
		c.record.name("target", out.Target.String())
	case api.Rollout:
		c.record.name("target", out.Target.String())
	}
}

// namesMax is how many things of a kind are recorded by name: a plan may have thousands of
// rollouts, whose IDs begin with the plan's.
const namesMax = 100

func (r *record) name(kind string, names ...string) {
	if r.request.Names == nil {
		r.request.Names = map[string][]string{}
	}
	for _, n := range names[:min(len(names), namesMax)] {
		if n != "" {
			r.request.Names[kind] = append(r.request.Names[kind], audit.Short(n))
		}
	}
}
