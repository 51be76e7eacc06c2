package prometheus_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/prometheus"
)

func TestCredentials_AreOnEveryRequest(t *testing.T) {
	t.Parallel()
	secret := "one"
	text := func() string { return secret }
	for name, c := range map[string]struct {
		cfg  prometheus.Config
		want map[string]string
	}{
		"none":   {prometheus.Config{}, map[string]string{"Authorization": "", "X-Scope-Orgid": ""}},
		"bearer": {prometheus.Config{Token: text}, map[string]string{"Authorization": "Bearer one"}},
		"basic":  {prometheus.Config{Username: "oakum", Password: text}, map[string]string{"Authorization": "Basic b2FrdW06b25l"}},
		"tenant": {prometheus.Config{Tenant: "team-a", Token: text}, map[string]string{"Authorization": "Bearer one", "X-Scope-Orgid": "team-a"}},
	} {
		var seen http.Header
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header
			_, _ = w.Write([]byte(vector()))
		}))
		t.Cleanup(s.Close)
		c.cfg.Address = s.URL
		client, err := prometheus.New(c.cfg)
		must.NoError(t, err)
		_, err = client.Query(t.Context(), "up", time.Time{})
		must.NoError(t, err)
		for header, want := range c.want {
			must.Eq(t, want, seen.Get(header), must.Sprint(name))
		}
	}
}

// TestCredentials_StayWithTheServerTheyAreFor has Prometheus, or who answers for it, send
// the client elsewhere.
func TestCredentials_StayWithTheServerTheyAreFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(vector()))
	}))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/moved") {
			http.Redirect(w, r, r.URL.Query().Get("to")+"/moved"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		must.EqOp(t, "Bearer one", r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(vector()))
	}))
	t.Cleanup(s.Close)
	ask := func(to string) error {
		client, err := prometheus.New(prometheus.Config{Address: s.URL + "?to=" + to, Token: func() string { return "one" }})
		must.NoError(t, err)
		_, err = client.Query(t.Context(), "up", time.Time{})
		return err
	}
	must.ErrorContains(t, ask(other.URL), "redirected to "+other.URL+", and the credentials are for "+s.URL+" only")
	must.EqOp(t, 0, asked.Load())
	must.NoError(t, ask(""), must.Sprint("on one server they go along"))
}

// TestCertificates has a server of a CA of its own.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(vector())) }))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	ask := func(cfg prometheus.Config) error {
		cfg.Address = s.URL
		client, err := prometheus.New(cfg)
		if err != nil {
			return err
		}
		_, err = client.Query(t.Context(), "up", time.Time{})
		return err
	}
	must.NoError(t, ask(prometheus.Config{CACert: ca}))
	must.ErrorContains(t, ask(prometheus.Config{}), "certificate")
	must.ErrorContains(t, ask(prometheus.Config{CACert: ca + ".not"}), "read CA certificate of prometheus")
	must.ErrorContains(t, ask(prometheus.Config{CACert: ca, ClientCert: ca, ClientKey: ca}), "read client certificate for prometheus")
}

// TestCertificates_OfTheClient has a server that lets in whom it knows. The server's own
// certificate is the client's as well.
func TestCertificates_OfTheClient(t *testing.T) {
	t.Parallel()
	who := make(chan int, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who <- len(r.TLS.PeerCertificates)
		_, _ = w.Write([]byte(vector()))
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	must.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))

	client, err := prometheus.New(prometheus.Config{Address: s.URL, CACert: cert, ClientCert: cert, ClientKey: key})
	must.NoError(t, err)
	_, err = client.Query(t.Context(), "up", time.Time{})
	must.NoError(t, err)
	must.Eq(t, 1, <-who)

	client, err = prometheus.New(prometheus.Config{Address: s.URL, CACert: cert})
	must.NoError(t, err)
	_, err = client.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, "certificate")
}

// TestQuery_RefusesWhatIsPartial takes no sum that lacks series.
func TestQuery_RefusesWhatIsPartial(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) {
		return 200, `{"status":"success","warnings":["store b did not answer"],"data":{"resultType":"vector","result":[{"metric":{"alloc_id":"a"},"value":[1,"7"]}]}}`
	})
	_, err := c.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, `prometheus: query "up": the answer is partial: store b did not answer`)
	c = server(t, func(string) (int, string) {
		return 200, `{"status":"success","infos":["metric might not be a counter"],"data":{"resultType":"vector","result":[{"metric":{"alloc_id":"a"},"value":[1,"7"]}]}}`
	})
	found, err := c.Query(t.Context(), "up", time.Time{})
	must.NoError(t, err, must.Sprint("a remark is no lack"))
	must.Len(t, 1, found)
	c = server(t, func(string) (int, string) {
		return 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`
	})
	_, err = c.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, "too many samples")
}
