package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// audience is whom the tokens are for.
const audience = "oakum"

// issuer signs callers' tokens and publishes the keys, as Vault does.
type issuer struct {
	URL    string
	server *http.Server
	signer jose.Signer
}

// newIssuer serves its keys at an address that the members reach.
func newIssuer(address string) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0")) //nolint:noctx // an address is bound at once or not at all
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	i := &issuer{URL: "http://" + listener.Addr().String(), signer: signer}
	i.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(public) // the caller has gone, then
	})}
	go func() { _ = i.server.Serve(listener) }() // until close
	return i, nil
}

// token says who somebody is. It holds for a day before and after now, because
// clocks are made to jump.
func (i *issuer) token(name string) (string, error) {
	now := time.Now()
	text, err := jwt.Signed(i.signer).Claims(map[string]any{
		"iss": i.URL, "aud": audience, "sub": name, "username": name,
		"iat": now.AddDate(0, 0, -1).Unix(), "nbf": now.AddDate(0, 0, -1).Unix(), "exp": now.AddDate(0, 0, 1).Unix(),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text, nil
}

func (i *issuer) close() error { return i.server.Close() }
