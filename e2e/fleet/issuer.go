package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// KeysPath is where an issuer serves the keys that its tokens are verified with.
	KeysPath = "/.well-known/keys"
	// keyID names the one key that an issuer has.
	keyID = "fleet"
	// validity reaches this far to both sides of now: it outlives any story that is
	// told on the model, and tests make clocks jump.
	validity = 12 * time.Hour
)

// Issuer signs identity tokens, where there is no Vault to do so. It serves its
// keys at KeysPath, as the handler of its URL.
type Issuer struct {
	url      string
	audience string
	key      *ecdsa.PrivateKey
}

// NewIssuer returns an issuer whose tokens name url and are made for audience.
func NewIssuer(url, audience string) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	return &Issuer{url: url, audience: audience, key: key}, nil
}

// Token says that its holder is name and belongs to groups.
func (i *Issuer) Token(name string, groups ...string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: keyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign a token for %s: %w", name, err)
	}
	now := time.Now()
	claims := jwt.Claims{
		Issuer: i.url, Audience: jwt.Audience{i.audience}, Subject: name,
		IssuedAt: jwt.NewNumericDate(now.Add(-validity)), NotBefore: jwt.NewNumericDate(now.Add(-validity)), Expiry: jwt.NewNumericDate(now.Add(validity)),
	}
	more := map[string]any{"username": name, "groups": groups}
	token, err := jwt.Signed(signer).Claims(claims).Claims(more).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token for %s: %w", name, err)
	}
	return token, nil
}

// ServeHTTP answers with the keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != KeysPath {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}}}
	if err := json.NewEncoder(w).Encode(keys); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
