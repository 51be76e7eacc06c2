package httpapi

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strconv"
	"time"

	bexpr "github.com/hashicorp/go-bexpr"

	"github.com/oakumhq/oakum/api"
)

// Limits of queries.
const (
	waitDefault   = 5 * time.Minute  // as Nomad and Consul have it
	waitMax       = 10 * time.Minute // the same
	perPageMax    = 10000
	filterMax     = 4096 // bytes; a filter is typed by a person
	filterStepMax = 1e6  // of the parser: some milliseconds
)

// await blocks until the answer is newer than ?index, and puts the answer's index
// into the header. ?consistent has the leader prove that it leads.
func (a *API) await(rt route, c *call) error {
	query := c.r.URL.Query()
	if c.flag("consistent") && !c.flag("stale") {
		if err := a.opt.Cluster.VerifyLeader(c.ctx()); err != nil {
			return err
		}
	}
	if len(rt.topics) == 0 {
		return nil
	}
	after, err := number(query.Get("index"), "index")
	if err != nil {
		return err
	}
	wait, err := waitOf(query.Get("wait"))
	if err != nil {
		return err
	}
	if after > 0 {
		ctx, stop := a.whileTaken(c)
		err := a.block(ctx, rt.topics, after, wait)
		stop()
		if err != nil {
			return err
		}
	}
	// At least 1: a client that sends the index back must block.
	c.w.Header().Set(headerIndex, strconv.FormatUint(max(a.opt.Store.IndexOf(rt.topics...), 1), 10))
	return nil
}

// block returns when a topic's index exceeds after, when wait is over or when
// the server stops. It is an error only when ctx ends, as it does with the caller's token.
func (a *API) block(ctx context.Context, topics []api.Topic, after uint64, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		// Asked for before the index is read: a change meanwhile closes the channel.
		changed := a.opt.Store.Watch(topics...)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if a.opt.Store.IndexOf(topics...) > after {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-a.closing:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func number(text, name string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, api.Errorf(api.CodeInvalid, "query parameter %s: want a whole number, not %q", name, text)
	}
	return n, nil
}

func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return waitDefault, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, api.Errorf(api.CodeInvalid, "query parameter wait: want a duration such as 30s, not %q", text)
	}
	return min(wait, waitMax), nil
}

// list filters, sorts and cuts the entries of a list as the query asks.
func list[T any](c *call, items []T, key func(T) string) (any, error) {
	query := c.r.URL.Query()
	items, err := filter(items, query.Get("filter"))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(items, func(x, y T) int { return cmp.Compare(key(x), key(y)) })
	if token := query.Get("next_token"); token != "" {
		at, _ := slices.BinarySearchFunc(items, token, func(item T, want string) int { return cmp.Compare(key(item), want) })
		items = items[at:]
	}
	perPage, err := number(query.Get("per_page"), "per_page")
	if err != nil {
		return nil, err
	}
	if perPage > perPageMax {
		return nil, api.Errorf(api.CodeInvalid, "query parameter per_page: at most %d", perPageMax)
	}
	if perPage > 0 && uint64(len(items)) > perPage {
		c.w.Header().Set(headerNextToken, key(items[perPage]))
		items = items[:perPage]
	}
	return items, nil
}

// filter keeps the items for which the expression is true. The expression uses
// the names of the JSON. The result is never nil, so that JSON has [].
func filter[T any](items []T, expression string) ([]T, error) {
	kept := make([]T, 0, len(items))
	if expression == "" {
		return append(kept, items...), nil
	}
	if len(expression) > filterMax {
		return nil, api.Errorf(api.CodeInvalid, "query parameter filter: longer than %d bytes", filterMax)
	}
	eval, err := bexpr.CreateEvaluator(expression, bexpr.WithTagName("json"), bexpr.WithMaxExpressions(filterStepMax))
	if err != nil {
		// The parser names no rule that a person knows.
		return nil, api.Errorf(api.CodeInvalid, "query parameter filter: %v; want such as %s: a text with other characters than letters, digits, _ and / stands in double quotes",
			err, `namespace == "prod-eu" and status != failed`)
	}
	// The zero value is tried first, so that an unknown name is an error of an empty
	// list too.
	var zero T
	if _, err := eval.Evaluate(filled(zero)); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "query parameter filter: %v", err)
	}
	for _, item := range items {
		yes, err := eval.Evaluate(filled(item))
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "query parameter filter: %v", err)
		}
		if yes {
			kept = append(kept, item)
		}
	}
	return kept, nil
}

// filled returns a copy whose nil pointers to structs point to empty structs, so
// that a filter may name a field of a part that an entry does not have yet.
func filled[T any](item T) T {
	fill(reflect.ValueOf(&item).Elem())
	return item
}

func fill(v reflect.Value) {
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		return
	}
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct {
			if f.IsNil() {
				f.Set(reflect.New(f.Type().Elem()))
			} else {
				own := reflect.New(f.Type().Elem()) // the original is not ours to change
				own.Elem().Set(f.Elem())
				f.Set(own)
			}
			f = f.Elem()
		}
		fill(f)
	}
}
