package certs_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/internal/certs"
)

func written(t *testing.T, names ...string) certs.Files {
	t.Helper()
	ca, err := authority.New()
	must.NoError(t, err)
	files, err := ca.Write(t.TempDir(), names...)
	must.NoError(t, err)
	return files
}

func TestFilesMakeABundle(t *testing.T) {
	t.Parallel()
	b, err := written(t, "a.example").Load()
	must.NoError(t, err)
	must.NotNil(t, b.CAs)
	must.NoError(t, b.Verify("a.example", time.Now()))
	must.EqOp(t, b.Certificate.Leaf.NotAfter, b.Expires())
}

func TestACAIsOptional(t *testing.T) {
	t.Parallel()
	files := written(t)
	files.CA = ""
	b, err := files.Load()
	must.NoError(t, err)
	must.Nil(t, b.CAs)
	must.NoError(t, b.Verify("", time.Now()))
	must.ErrorContains(t, b.Verify("a.example", time.Now()), "want the DNS name a.example in it, have no name")
}

func TestBadFilesAreNamed(t *testing.T) {
	t.Parallel()
	good, other := written(t, "a"), written(t, "b")
	empty := filepath.Join(t.TempDir(), "empty")
	must.NoError(t, os.WriteFile(empty, nil, 0o600))
	text := filepath.Join(t.TempDir(), "text")
	must.NoError(t, os.WriteFile(text, []byte("nothing"), 0o600))
	for want, files := range map[string]certs.Files{
		"no such file":                 {Cert: good.Cert, Key: good.Key + "x", CA: good.CA},
		"private key does not match":   {Cert: good.Cert, Key: other.Key, CA: good.CA},
		"failed to find any PEM data":  {Cert: empty, Key: good.Key, CA: good.CA},
		"CA: no PEM certificate in it": {Cert: good.Cert, Key: good.Key, CA: text},
	} {
		_, err := files.Load()
		must.ErrorContains(t, err, want)
	}
}

func TestAKeeperKeepsTheFormer(t *testing.T) {
	t.Parallel()
	first, err := written(t, "a").Load()
	must.NoError(t, err)
	second, err := written(t, "b").Load()
	must.NoError(t, err)
	k := certs.NewKeeper(func(b *certs.Bundle) error { return b.Verify("a", time.Now()) })
	_, err = k.Bundle()
	must.ErrorContains(t, err, "no certificate yet")
	must.True(t, k.Expires().IsZero())
	must.NoError(t, k.Put(first))
	must.ErrorContains(t, k.Put(second), "want the DNS name a in it, have b")
	b, err := k.Bundle()
	must.NoError(t, err)
	must.True(t, b == first)
	must.EqOp(t, first.Expires(), k.Expires())
}
