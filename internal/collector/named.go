package collector

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Schemes of places that documents come from, beside http and https.
const (
	SchemeFile = "file"      // of the servers
	SchemeKV   = "consul-kv" // a key of Consul's
)

const (
	// namedEvery is how often a document is fetched anew while its job stays: a scan may
	// have written it anew.
	namedEvery = 24 * time.Hour
	// namedWithin bounds one fetch.
	namedWithin = 2 * time.Minute
)

// KV reads keys of Consul.
type KV interface {
	// KV returns the value of a key. The error has code not_found when there is none.
	KV(ctx context.Context, key string) ([]byte, error)
}

// Named reads the documents that jobs name in their meta. Whoever registers a job would
// have the servers fetch whatever they can reach, so a document counts only below a place
// that the agent's configuration allows.
type Named struct {
	Allowed []*url.URL // http, https, file or consul-kv
	Client  *http.Client
	KV      KV // nil without Consul
}

var _ Source = Named{}

// ParsePlace reads the place of documents, or of one: a URL of http, https, file or
// consul-kv, or an absolute path. One with a user, a query or a fragment, or that climbs
// (..), is none.
func ParsePlace(text string) (*url.URL, error) {
	full := text
	if strings.HasPrefix(text, "/") {
		full = SchemeFile + "://" + text
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || u.Opaque != "" || strings.ContainsAny(text, "\x00\n"):
		return nil, api.Errorf(api.CodeInvalid, "%q is no URL and no absolute path", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, api.Errorf(api.CodeInvalid, "%q: want no user, query or fragment", text)
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		return nil, api.Errorf(api.CodeInvalid, "%q climbs out of its folder", text)
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, api.Errorf(api.CodeInvalid, "%q names no host", text)
		}
		u.Path = "/" + u.Path
	case SchemeFile:
		if u.Host != "" || !path.IsAbs(u.Path) {
			return nil, api.Errorf(api.CodeInvalid, "%q: want an absolute path, file:///...", text)
		}
	case SchemeKV:
		u.Host, u.Path = "", strings.TrimPrefix(path.Join(u.Host, u.Path), "/")
	default:
		return nil, api.Errorf(api.CodeInvalid, "%q: want http, https, file or consul-kv", text)
	}
	u.Path, u.RawPath = path.Clean(u.Path), ""
	return u, nil
}

// allow returns the place that a document lies below, or an error.
func (s Named) allow(u *url.URL) (*url.URL, error) {
	for _, a := range s.Allowed {
		if a.Scheme == u.Scheme && strings.EqualFold(a.Host, u.Host) && (a.Path == "." || strings.HasPrefix(u.Path, strings.TrimSuffix(a.Path, "/")+"/")) {
			return a, nil
		}
	}
	return nil, api.Errorf(api.CodeInvalid, "%s is below no place that documents may come from (inventory.sources)", u)
}

// Wants is a document that the job names: on first sight, when the job is registered anew,
// and once a day.
func (s Named) Wants(t api.Target, found api.TargetInventory, last func(string) *api.InventoryReading, now time.Time) (Want, bool) {
	of := cmp.Or(found.Digest, found.Image)
	if inventory.NameIn(t, found.Task) == "" || (found.Digest == "" && !inventory.NamesContent(t, found.Task)) {
		return Want{}, false
	}
	w := Want{Key: fmt.Sprintf("named:%s/%s", t.TargetRef, found.Task), Of: of, Digest: found.Digest, Origin: api.InventoryNamed, Target: t, Task: found.Task}
	r := last(w.Key)
	done := r != nil && !r.Ended.IsZero() && r.Error == "" && r.Of == of && r.JobModifyIndex == t.JobModifyIndex && now.Sub(r.Ended) < namedEvery
	return w, !done
}

// Read fetches the document.
func (s Named) Read(ctx context.Context, w Want, _ string) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, namedWithin, api.Errorf(api.CodeTimeout, "it took longer than %s", namedWithin))
	defer cancel()
	name := inventory.NameIn(w.Target, w.Task)
	wrong := func(err error) (Result, error) {
		return Result{}, api.Errorf(api.AsError(err).Code, "read what meta %s of the job names, %.200q: %v", inventory.Meta, name, err)
	}
	u, err := ParsePlace(name)
	if err != nil {
		return wrong(err)
	}
	text, err := s.fetch(ctx, u)
	if err != nil {
		return wrong(err)
	}
	inv, err := inventory.Parse(name, text)
	if err != nil {
		return wrong(err)
	}
	if w.Digest != "" && inv.Digest != "" && inv.Digest != w.Digest {
		return wrong(api.Errorf(api.CodeConflict, "it describes %s, and the task runs %s", inv.Digest, w.Digest))
	}
	return Result{Inventory: inv}, nil
}

// fetch reads a document, at most as large as one may be.
func (s Named) fetch(ctx context.Context, u *url.URL) ([]byte, error) {
	below, err := s.allow(u)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case SchemeFile:
		return readBelow(below.Path, strings.TrimPrefix(strings.TrimPrefix(u.Path, below.Path), "/"))
	case SchemeKV:
		if s.KV == nil {
			return nil, api.Errorf(api.CodeInvalid, "this server has no Consul (consul)")
		}
		return s.KV.KV(ctx, u.Path)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	client := *s.Client
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return api.Errorf(api.CodeInvalid, "it leads from one place to another without an end")
		}
		_, err := s.allow(&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: path.Clean(r.URL.Path)})
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, api.Errorf(api.CodeUnavailable, "the answer is %s", answer.Status)
	}
	return bounded(answer.Body)
}

// readBelow reads a file below a folder. A link that leads out of it is an error.
func readBelow(folder, name string) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // a FIFO would be waited for
		return nil, api.Errorf(api.CodeInvalid, "it is no regular file")
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return bounded(file)
}

// bounded reads a text that is not larger than a document may be.
func bounded(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, inventory.DocumentMax+1))
	if err == nil && len(text) > inventory.DocumentMax {
		err = api.Errorf(api.CodeInvalid, "it is larger than %d MiB", inventory.DocumentMax>>20)
	}
	return text, err
}
