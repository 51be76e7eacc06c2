package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/conformance"
)

// Verify starts the plugin at path, whatever its checksum, and runs the
// conformance suite on it with the defaults of its schema. The answer's SHA256
// is what a configuration has to pin. An error means that it doesn't serve at
// all.
func Verify(ctx context.Context, path string) (_ api.PluginInfo, _ []conformance.Result, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return api.PluginInfo{}, nil, fmt.Errorf("verify plugin: %w", err)
	}
	sum, err := digest(path)
	if err != nil {
		return api.PluginInfo{}, nil, fmt.Errorf("verify plugin: %w", err)
	}
	o := Options{StartTimeout: startTimeout}
	p, info, err := launch(ctx, path, sum, o, slog.New(slog.DiscardHandler))
	if err != nil {
		return api.PluginInfo{}, nil, fmt.Errorf("verify plugin: %w", err)
	}
	defer func() { err = errors.Join(err, p.kill()) }()
	info.Path, info.SHA256, info.Healthy = path, hex.EncodeToString(sum), true

	config, missing := defaults(info.Schema)
	if missing != "" {
		return info, []conformance.Result{{
			Check:  "has defaults",
			Detail: fmt.Sprintf("attribute %q is required and has no default: nothing else was checked", missing),
		}}, nil
	}
	results := conformance.Run(ctx, func(ctx context.Context, view api.StrategyView) (api.Advice, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, adviseTimeout, errHung)
		defer cancel()
		return advise(ctx, p.client, view)
	}, config)
	return info, results, nil
}

// digest is the SHA-256 of a file.
func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return h.Sum(nil), nil
}

// defaults is the configuration of an empty policy block, or the attribute that
// forbids one.
func defaults(schema api.ConfigSchema) (config json.RawMessage, missing string) {
	values := make(map[string]json.RawMessage)
	for _, a := range schema.Attributes {
		switch {
		case len(a.Default) > 0:
			values[a.Name] = a.Default
		case a.Required:
			return nil, a.Name
		}
	}
	config, err := json.Marshal(values)
	if err != nil { // a default that is no JSON is refused with the schema
		return nil, ""
	}
	return config, ""
}
