package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
)

func (s *Stack) vault() endpoint {
	return endpoint{"http://" + loopback(s.ports().VaultHTTP), "X-Vault-Token", s.described.Secrets.VaultRoot}
}

func (s *Stack) startVault(ctx context.Context) error {
	if err := os.MkdirAll(s.path(dataDir, "vault"), 0o700); err != nil { // Vault does not make it
		return fmt.Errorf("make directory: %w", err)
	}
	path, err := s.configure("vault.hcl.tmpl", "vault.hcl", nomadClient{})
	if err != nil {
		return err
	}
	if err := s.add(ctx, component{Vault, []string{s.binary("vault"), "server", "-config=" + path}}); err != nil {
		return err
	}
	s.say("vault answers at %s", s.vault().base)
	return s.identities(ctx)
}

// vaultReady waits for the listener, makes a new Vault's keys, unseals and
// waits until it is active.
func (s *Stack) vaultReady(ctx context.Context) error {
	var status struct{ Initialized, Sealed bool }
	if err := s.await(ctx, Vault, func(ctx context.Context) error {
		return s.vault().call(ctx, http.MethodGet, "/v1/sys/seal-status", nil, &status)
	}); err != nil {
		return err
	}
	if !status.Initialized {
		if err := s.initVault(ctx); err != nil {
			return err
		}
	}
	key := map[string]string{"key": s.described.Secrets.VaultUnseal}
	if err := s.vault().call(ctx, http.MethodPut, "/v1/sys/unseal", key, nil); err != nil {
		return fmt.Errorf("unseal vault: %w", err)
	}
	return s.await(ctx, Vault, func(ctx context.Context) error {
		return s.vault().call(ctx, http.MethodGet, "/v1/sys/health", nil, nil)
	})
}

func (s *Stack) initVault(ctx context.Context) error {
	var made struct {
		Keys      []string `json:"keys"`
		RootToken string   `json:"root_token"`
	}
	shares := map[string]int{"secret_shares": 1, "secret_threshold": 1}
	if err := s.vault().call(ctx, http.MethodPut, "/v1/sys/init", shares, &made); err != nil {
		return fmt.Errorf("initialize vault: %w", err)
	}
	if len(made.Keys) != 1 {
		return errors.New("initialize vault: want one key")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.described.Secrets.VaultUnseal, s.described.Secrets.VaultRoot = made.Keys[0], made.RootToken
	return s.save()
}
