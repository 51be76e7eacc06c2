package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/oakumhq/oakum/api"
)

const (
	pathServer = "/internal/server"
	pathJoin   = "/internal/join"
	pathLeave  = "/internal/leave"

	// maxMessage bounds what the servers send each other about themselves, in bytes.
	maxMessage = 1 << 20
	// maxName is what a DNS name can have at most.
	maxName = 253
	// askTimeout bounds one question to another server.
	askTimeout = 2 * time.Second
)

// status is what a server says of itself. It is the answer to pathServer, and older
// and newer servers read it.
type status struct {
	ID           string   `json:"id"`
	Address      string   `json:"address"`
	Cluster      string   `json:"cluster"`
	Version      string   `json:"version"`
	Nonce        string   `json:"nonce"`
	Bootstrapped bool     `json:"bootstrapped"`
	Expect       int      `json:"bootstrap_expect"`
	Proposal     []member `json:"proposal,omitempty"` // that it would bootstrap a cluster with

	NonVoter    bool         `json:"non_voter,omitempty"`
	Level       int          `json:"level"` // newest cluster level that it supports; 0 is an old server of level 1
	LastIndex   uint64       `json:"last_index"`
	LastTerm    uint64       `json:"last_term"`
	LastContact api.Duration `json:"last_contact"`    // how long ago the leader last contacted it; negative means never
	Marks       []mark       `json:"marks,omitempty"` // of its state, oldest first
}

// supports is the newest cluster level that the server supports.
func (s status) supports() int { return max(s.Level, 1) }

// member is one server of a proposal, and the body of a join and a leave.
type member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Cluster string `json:"cluster,omitempty"`
}

// check refuses what can't be a server: it would stay in the membership.
func (m member) check() error {
	host, port, err := net.SplitHostPort(m.Address)
	switch {
	case m.ID == "" || m.Address == "":
		return api.Errorf(api.CodeInvalid, "join: want the name and address of the server")
	case len(m.ID) > maxName || strings.ContainsFunc(m.ID, func(r rune) bool { return !unicode.IsPrint(r) }):
		return api.Errorf(api.CodeInvalid, "join: want a name of at most %d printable characters, have %q", maxName, m.ID[:min(len(m.ID), maxName)])
	case err != nil || host == "" || port == "" || len(m.Address) > maxName+len(":65535"):
		return api.Errorf(api.CodeInvalid, "join: want host:port that server %s is reached at, have %q", m.ID, m.Address[:min(len(m.Address), maxName)])
	}
	return nil
}

// askStatus asks the server at an address about itself.
func askStatus(ctx context.Context, via http.RoundTripper, address string) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+pathServer, nil)
	if err != nil {
		return status{}, err
	}
	var s status
	if err := exchange(via, request, &s); err != nil {
		return status{}, err
	}
	return s, nil
}

// requestChange asks a server for a change of membership: pathJoin or pathLeave.
func requestChange(ctx context.Context, via http.RoundTripper, address, path string, m member) error {
	ctx, cancel := context.WithTimeout(ctx, configTimeout+askTimeout)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return exchange(via, request, &status{})
}

// exchange sends a request and decodes the answer into out, or into an error.
func exchange(via http.RoundTripper, request *http.Request, out any) (err error) {
	response, err := via.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", request.URL.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		var refused api.Error
		if json.Unmarshal(body, &refused) == nil && refused.Code != "" && refused.Message != "" {
			return &refused
		}
		return fmt.Errorf("%s answers %s", request.URL.Host, response.Status)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", request.URL.Host, err)
	}
	return nil
}
