package httpapi

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Limits of requests that outlive their authentication: blocking queries and streams.
const (
	// retakeInterval is how often a token is looked at again. Vault is asked for its tokens
	// more rarely: what it said is remembered for a while.
	retakeInterval = 10 * time.Second
	// doubtMax is how long a token may go unconfirmed while Vault does not answer. A restart
	// of Vault is shorter.
	doubtMax = 2 * time.Minute
)

// whileTaken returns a context that ends when the caller's token does: it expires, it is
// revoked, it has other rights than before, or nobody could confirm it for long. Its cause
// is then the error to answer with. stop ends the looking, and waits for it.
func (a *API) whileTaken(c *call) (ctx context.Context, stop func()) {
	if a.opt.Auth == nil || c.by.Name == "" {
		return c.ctx(), func() {} // nobody was recognised, so there is nothing to lose
	}
	ctx, end := context.WithCancelCause(c.ctx())
	var looking sync.WaitGroup
	looking.Go(func() {
		if ended := a.retake(ctx, c.token(), c.by); ended != nil {
			end(ended)
		}
	})
	return ctx, func() {
		end(nil)
		looking.Wait()
	}
}

// taken is why a context of whileTaken ended, when that was the token's doing.
func taken(ctx context.Context) *api.Error {
	ended, _ := errors.AsType[*api.Error](context.Cause(ctx))
	return ended
}

// retake looks at a token until it may not be taken any more, and says why. It returns nil
// when ctx ends first.
func (a *API) retake(ctx context.Context, token string, by api.Identity) *api.Error {
	expired, stop := after(by.Expires)
	defer stop()
	look := time.NewTicker(retakeInterval)
	defer look.Stop()
	confirmed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-expired:
			return api.Errorf(api.CodeUnauthenticated, "the token of %s expired at %s", by.Name, by.Expires.UTC().Format(time.RFC3339))
		case <-look.C:
		}
		now, err := a.opt.Auth.Authenticate(ctx, token)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !reflect.DeepEqual(now.Grants, by.Grants):
			return api.Errorf(api.CodePermissionDenied, "the rights of %s have changed: ask again", by.Name)
		case err == nil:
			confirmed = time.Now()
		case api.IsCode(err, api.CodeUnauthenticated) || time.Since(confirmed) >= doubtMax:
			known := api.AsError(err)
			return &api.Error{Code: known.Code, Message: "the token of " + by.Name + " is not taken any more: " + known.Message, Details: known.Details}
		}
	}
}

// after returns a channel that gets a value at a time, and never for the zero time.
func after(at time.Time) (came <-chan time.Time, stop func()) {
	if at.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(at))
	return timer.C, func() { timer.Stop() }
}
