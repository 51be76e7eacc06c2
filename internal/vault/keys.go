package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/oakumhq/oakum/api"
)

// Limits of the key set.
const (
	// keysFresh is how long keys are used before they are fetched again. A key
	// that Vault has withdrawn is forgotten then.
	keysFresh = 5 * time.Minute
	// keysPause is the least time between two fetches, so that a caller with
	// invented key IDs does not load Vault.
	keysPause   = 5 * time.Second
	keysTimeout = 5 * time.Second
	keysMax     = 1 << 20
)

// keySet holds the keys that Vault publishes. While Vault does not answer, the
// known keys stay in use.
type keySet struct {
	url  string
	http *http.Client
	log  *slog.Logger

	fetching sync.Mutex // held while somebody fetches
	mu       sync.Mutex
	keys     jose.JSONWebKeySet
	fetched  time.Time // last good answer
	tried    time.Time // last attempt
	err      error     // of the last attempt
}

// find returns the public keys with an ID.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	found, fresh := k.known(kid)
	if len(found) > 0 && fresh {
		return found, nil
	}
	if len(found) > 0 {
		// The keys are old. They are still used while another caller fetches new
		// ones.
		if k.fetching.TryLock() {
			k.fetch(ctx)
			k.fetching.Unlock()
			found, _ = k.known(kid)
		}
		if len(found) > 0 {
			return found, nil
		}
		return nil, errUnknownKey()
	}
	// The key is unknown, so Vault may have rotated its keys. A caller that waits
	// here uses the keys that the caller before it fetched: the pause between two
	// fetches is longer than a fetch.
	k.fetching.Lock()
	k.fetch(ctx)
	k.fetching.Unlock()
	if found, _ = k.known(kid); len(found) > 0 {
		return found, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetched.IsZero() {
		return nil, api.Errorf(api.CodeUnavailable, "the keys of Vault are not known yet: %v", k.err)
	}
	return nil, errUnknownKey()
}

func errUnknownKey() *api.Error {
	return api.Errorf(api.CodeUnauthenticated, "the identity token is signed with a key that Vault does not publish")
}

// known returns the known keys with an ID, and whether they are fresh.
func (k *keySet) known(kid string) ([]jose.JSONWebKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys.Key(kid), time.Since(k.fetched) < keysFresh
}

// fetch reads the keys from Vault, unless it did so less than keysPause ago. The
// caller holds fetching.
func (k *keySet) fetch(ctx context.Context) {
	k.mu.Lock()
	recent := !k.tried.IsZero() && time.Since(k.tried) < keysPause
	k.mu.Unlock()
	if recent {
		return
	}
	// All callers wait for this fetch, so it goes on when the caller that began
	// it leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	keys, err := k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.err = time.Now(), err
	if err != nil {
		k.log.Warn("keys of vault not fetched", "url", k.url, "error", err, "known", len(k.keys.Keys))
		return
	}
	k.keys, k.fetched = keys, k.tried
}

func (k *keySet) get(ctx context.Context) (jose.JSONWebKeySet, error) {
	var keys jose.JSONWebKeySet
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return keys, err
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return keys, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return keys, fmt.Errorf("%s answered %s", k.url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, keysMax)).Decode(&keys); err != nil {
		return keys, fmt.Errorf("decode key set: %w", err)
	}
	return keys, nil
}
