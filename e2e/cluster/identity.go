package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/oakumhq/oakum/e2e/fleet"
)

// Audience is whom the callers' tokens are for.
const Audience = "oakum"

// Issuer signs the callers' tokens, and publishes the keys to the members.
type Issuer struct {
	URL   string
	Token string // of somebody who may do everything

	server *http.Server
}

// NewIssuer serves the keys at the address of this process that the members reach.
func (n *Network) NewIssuer() (*Issuer, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(n.Host(), "0")) //nolint:noctx // an address is bound at once or not at all
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	i := &Issuer{URL: "http://" + listener.Addr().String()}
	signer, err := fleet.NewIssuer(i.URL, Audience)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if i.Token, err = signer.Token("tester", "deployers", "release-managers"); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	i.server = &http.Server{Handler: signer, ReadHeaderTimeout: time.Second}
	go func() { _ = i.server.Serve(listener) }() // until Close
	return i, nil
}

// Close ends the server of the keys.
func (i *Issuer) Close() error { return i.server.Close() }
