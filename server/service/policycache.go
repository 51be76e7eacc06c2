package service

import (
	"slices"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// PolicyCache is the policies in force, compiled once for each change of them.
// Its methods may be called at any time from any goroutine.
type PolicyCache struct {
	store   PolicyStore
	schemas policies.Schemas

	mu      sync.Mutex
	library *policies.Library // nil until somebody asks
	index   uint64            // of the last change that is in library
}

// NewPolicyCache returns the policies of a store. The schemas say which
// configuration each strategy takes.
func NewPolicyCache(store PolicyStore, schemas policies.Schemas) *PolicyCache {
	return &PolicyCache{store: store, schemas: schemas}
}

// Library returns the policies in force. The error names file, line and column
// of what does not compile, such as a strategy that this server has no plugin for.
func (c *PolicyCache) Library() (*policies.Library, error) {
	index := c.store.IndexOf(api.TopicPolicy) // before the policies: those may be newer, never older
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.library != nil && c.index == index {
		return c.library, nil
	}
	library, err := c.compile(c.store.Policies())
	if err != nil {
		return nil, err
	}
	c.library, c.index = library, index
	return library, nil
}

// Check compiles a policy file, first by itself and then with all others that
// are in force, and returns it as a policy. Others that this version refuses by themselves
// are left out: two of them could never be mended, each for the sake of the other.
func (c *PolicyCache) Check(file api.SourceFile) (api.Policy, error) {
	p, err := c.parse(file)
	if err != nil {
		return api.Policy{}, err
	}
	others := slices.DeleteFunc(c.store.Policies(), func(o api.Policy) bool {
		if o.Name == p.Name {
			return true
		}
		_, wrong := c.parse(o.File)
		return wrong != nil
	})
	if _, err := c.compile(append(others, p)); err != nil {
		return api.Policy{}, err
	}
	return p, nil
}

// parse reads a policy file by itself.
func (c *PolicyCache) parse(file api.SourceFile) (api.Policy, error) {
	parsed, diags := policies.ParsePolicy(file, c.schemas)
	if diags.HasErrors() {
		return api.Policy{}, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	return api.Policy{Name: policies.PolicyName(file.Name), File: file, Blocks: parsed.Blocks()}, nil
}

func (c *PolicyCache) compile(list []api.Policy) (*policies.Library, error) {
	files := make([]api.SourceFile, len(list))
	for i, p := range list {
		files[i] = p.File
	}
	library, diags := policies.Load(files, c.schemas)
	if diags.HasErrors() {
		return nil, policies.DiagnosticsError(diags, files)
	}
	return library, nil
}
