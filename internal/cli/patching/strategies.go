package patching

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/policies"
)

// strategies returns the schemas of the built-in strategies and of plugins, and
// what stops them.
func strategies(ctx context.Context, paths []string) (policies.Schemas, func(), error) {
	further := map[string]api.ConfigSchema{}
	for _, path := range paths {
		info, _, err := host.Verify(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		further[info.Name] = info.Schema
	}
	h, err := host.New(ctx, host.Options{})
	if err != nil {
		return nil, nil, err
	}
	schemas := func(name string) (api.ConfigSchema, bool) {
		if schema, ok := further[name]; ok {
			return schema, true
		}
		return h.Schema(name)
	}
	return schemas, func() { _ = h.Close() }, nil // only built-ins: nothing to report
}

// asked starts the strategies of plugins beside those that are built in.
func asked(ctx context.Context, paths []string) (*host.Host, error) {
	var configs []host.Config
	for _, path := range paths {
		info, _, err := host.Verify(ctx, path)
		if err != nil {
			return nil, err
		}
		configs = append(configs, host.Config{Name: info.Name, Path: info.Path, SHA256: info.SHA256})
	}
	return host.New(ctx, host.Options{Plugins: configs})
}
