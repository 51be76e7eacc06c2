package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const callTimeout = 30 * time.Second

// endpoint is one vendor's HTTP API.
type endpoint struct {
	address, header, token string
}

func (e Env) nomad() endpoint  { return endpoint{e.NomadAddr, "X-Nomad-Token", e.NomadToken} }
func (e Env) consul() endpoint { return endpoint{e.ConsulAddr, "X-Consul-Token", e.ConsulToken} }

// call sends body as JSON when there is one, and reads the answer into out
// when that is wanted. A 404 to a DELETE is the wish fulfilled.
func (e endpoint) call(ctx context.Context, method, path string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var encoded bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&encoded).Encode(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	address := strings.TrimSuffix(e.address, "/") + path
	req, err := http.NewRequestWithContext(ctx, method, address, &encoded)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	if e.token != "" {
		req.Header.Set(e.header, e.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer resp.Body.Close()
	if method == http.MethodDelete && resp.StatusCode == http.StatusNotFound {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s %s: status %d: %s", method, address, resp.StatusCode, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s %s: %w", method, address, err)
	}
	return nil
}
