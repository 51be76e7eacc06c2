package httpapi

import "github.com/oakumhq/oakum/api"

// kpiDiscover looks at the metrics of ?target=, or of every target. Each ?kpi= names a KPI
// of its own that the block to paste shall have.
func (a *API) kpiDiscover(c *call) (any, error) {
	var target *api.TargetRef
	query := c.r.URL.Query()
	if text := query.Get("target"); text != "" {
		ref, err := api.ParseTargetRef(text)
		if err != nil {
			return nil, err
		}
		target = &ref
	}
	return a.opt.Control.DiscoverKPIs(c.ctx(), target, query["kpi"])
}

// kpiCheck asks the queries in force, or those of each ?kpi=.
func (a *API) kpiCheck(c *call) (any, error) {
	return a.opt.Control.CheckKPIs(c.ctx(), c.r.URL.Query()["kpi"])
}
