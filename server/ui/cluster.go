package ui

import (
	"net/url"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// house is the cluster as its page shows it.
type house struct {
	Servers    []api.ServerInfo
	Leader     string // its name; empty when the servers are not shown
	NotServers error  // why the servers are not shown
	Plugins    []api.PluginInfo
	Brake      api.Brake
	MayBrake   bool
	Config     map[string]string
}

func cluster(v *visit) (screen, error) {
	h := house{Config: v.self.Config, MayBrake: access.Everywhere(v.self.Identity, api.CapRollout)}
	if err := v.ask.get("/v1/brake", nil, &h.Brake); err != nil {
		return screen{}, err
	}
	if err := v.ask.get("/v1/plugins", nil, &h.Plugins); err != nil {
		return screen{}, err
	}
	h.NotServers = v.ask.get("/v1/operator/raft/configuration", nil, &h.Servers)
	for _, s := range h.Servers {
		if s.Leader {
			h.Leader = s.ID
		}
	}
	return screen{page: "cluster", title: "Cluster", nav: "cluster", body: h}, nil
}

// lever is the page that puts the brake on or takes it off.
type lever struct {
	Brake  api.Brake
	Open   []api.Rollout // what it holds, or would hold
	Reason string
	Seen   string // the brake that the person looks at; the form that takes it off gives it back
}

// put sums up who put a brake on, when and why.
func put(b api.Brake) string { return digest([]byte(b.String() + b.Since.String())) }

func brakePage(v *visit) (screen, error) { return pull(v, nil) }

func pull(v *visit, refused error) (screen, error) {
	l := lever{Reason: v.r.PostForm.Get("reason")}
	if err := v.ask.get("/v1/brake", nil, &l.Brake); err != nil {
		return screen{}, err
	}
	l.Seen = put(l.Brake)
	var all []api.Rollout
	if err := v.ask.get("/v1/rollouts", url.Values{}, &all); err != nil {
		return screen{}, err
	}
	for _, r := range all {
		if !r.Status.Ended() && r.Status != api.RolloutRollingBack {
			l.Open = append(l.Open, r)
		}
	}
	out := screen{page: "brake", title: "Brake", nav: "cluster", body: l, err: refused}
	if refused != nil {
		out.status = known(refused).Code.HTTPStatus()
	}
	return out, nil
}

func setBrake(v *visit) (screen, error) {
	if on := v.r.PostForm.Get("on"); on != "true" && on != "false" {
		return screen{}, api.Errorf(api.CodeInvalid, "field on: want true or false, not %q", on)
	}
	want := api.BrakeRequest{On: v.r.PostForm.Get("on") == "true", Reason: strings.TrimSpace(v.r.PostForm.Get("reason"))}
	if !want.On {
		want.Reason = ""
		var now api.Brake
		if err := v.ask.get("/v1/brake", nil, &now); err != nil {
			return screen{}, err
		}
		if put(now) != v.r.PostForm.Get("seen") {
			return pull(v, api.Errorf(api.CodeConflict, "the brake is another one than this page showed; look again, and decide anew"))
		}
	}
	err := v.ask.post("/v1/brake", want)
	switch {
	case api.IsCode(err, api.CodeUnauthenticated):
		return screen{}, err
	case err != nil && v.meet() != nil:
		return screen{}, err
	case err != nil:
		return pull(v, err)
	}
	return screen{goTo: "/ui/cluster"}, nil
}
