package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// health answers everybody, with 503 when the server is not ready, so that a
// load balancer needs no token. Only callers who may read see the sources, the brake and
// the warnings.
func (a *API) health(c *call) error {
	_, leader := a.opt.Cluster.Leader()
	report := api.HealthReport{
		Live: true, Leader: leader, Server: a.opt.Server, Index: a.opt.Store.Index(),
	}
	if leader == "" {
		report.Because = append(report.Because, "the cluster has no leader")
	}
	if a.opt.ServerHealth != nil {
		v := a.opt.ServerHealth()
		report.Lag, report.LastContact, report.Tolerance = v.Lag, api.Duration(max(v.LastContact, 0).Round(time.Millisecond)), v.Tolerance
		report.Because = append(report.Because, v.Because...)
		if access.Everywhere(c.by, api.CapRead) {
			report.Warnings = v.Warnings
		}
	}
	select {
	case <-a.closing:
		report.Because = append(report.Because, "the server is stopping")
	default:
	}
	report.Ready = len(report.Because) == 0
	if c.by.Can(api.CapRead) {
		if err := a.healthOfFleet(c, &report); err != nil {
			return err
		}
	}
	status := http.StatusOK
	if !report.Ready {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(c.w, status, report)
}

// healthOfFleet adds what callers who may read learn: the sources and the brake.
func (a *API) healthOfFleet(c *call, report *api.HealthReport) error {
	v := a.view(c)
	sources, err := access.Redact(v, a.opt.Store.Sources())
	if err != nil {
		return err
	}
	report.Sources = sources
	if brake := a.opt.Store.Brake(); brake.On {
		brake, err := access.Redact(v, brake)
		if err != nil {
			return err
		}
		report.Brake = &brake
	}
	return nil
}

func (a *API) leader(*call) (any, error) {
	_, address := a.opt.Cluster.Leader()
	return address, nil
}

func (a *API) self(c *call) (any, error) {
	out := api.AgentSelf{
		Server: a.opt.Server, Version: a.opt.Version, Leader: a.opt.Cluster.IsLeader(),
		AuthOff: a.opt.Auth == nil, InClear: a.opt.InClear, Identity: c.by,
	}
	if access.Everywhere(c.by, api.CapRead) {
		out.Config = a.opt.Self
	}
	return out, nil
}

func (a *API) serveMetrics(c *call) error {
	promhttp.HandlerFor(a.opt.Metrics, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	return nil
}

func (a *API) replica(*call) (any, error) {
	// The index is read before and after the hash. When both are equal, the hash is of
	// this index. A replica that changes all the time is given up after some tries.
	const tries = 5
	var info api.StateInfo
	for range tries {
		before := a.opt.Store.Index()
		info = api.StateInfo{Server: a.opt.Server, Index: before, Level: a.opt.Store.Level(), Hash: a.opt.Store.Hash()}
		if a.opt.Store.Index() == before {
			return info, nil
		}
	}
	return nil, api.Errorf(api.CodeUnavailable, "hash of the state: it changes faster than it can be read; ask again")
}

func (a *API) peers(c *call) (any, error) {
	servers := a.opt.Members.Peers(c.ctx())
	if a.opt.Autopilot != nil {
		if seen, err := a.opt.Autopilot.Autopilot(); err == nil { // on the leader, once it has looked
			servers = seen.Servers
		}
	}
	return orEmpty(servers), nil
}

func (a *API) removePeer(c *call) (any, error) {
	var in api.PeerRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.ID == "" {
		return nil, api.Errorf(api.CodeInvalid, "request body: field id: want a server's ID")
	}
	return nil, a.opt.Members.RemovePeer(c.ctx(), in.ID)
}

func (a *API) transfer(c *call) (any, error) { return nil, a.opt.Members.Transfer(c.ctx()) }

func (a *API) snapshotSave(c *call) error {
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition",
		fmt.Sprintf("attachment; filename=\"oakum-%s.snap\"", time.Now().UTC().Format("20060102T150405Z")))
	return a.opt.Snapshots.Snapshot(c.ctx(), c.w)
}

// snapshotMax bounds a restore: far above the state of the largest cluster
// that is planned for, far below a disk.
const snapshotMax = 4 << 30

func (a *API) snapshotRestore(c *call) (any, error) {
	return nil, a.opt.Snapshots.Restore(c.ctx(), http.MaxBytesReader(c.w, c.r.Body, snapshotMax))
}
