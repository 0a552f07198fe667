package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/access"
)

// serve starts a TLS server; ca is what a client must trust.
func serve(t *testing.T, h http.Handler) (srv *httptest.Server, ca string) {
	t.Helper()
	srv = httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return srv, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

func mustNew(t *testing.T, o access.Options) *access.Access {
	t.Helper()
	a, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(t *testing.T, a *access.Access, url string, header http.Header) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := a.HTTP().Do(req)
	if resp != nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

func TestHTTPTrustsTheSecretsCA(t *testing.T) {
	var agent atomic.Value
	srv, ca := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were added")
		}
	}))
	for name, opts := range map[string]access.Options{
		"Git's ca.crt":   {Git: secret("username", "b", "password", "t0ken", "ca.crt", ca)},
		"Git's caFile":   {Git: secret("username", "b", "password", "t0ken", "caFile", ca)},
		"forge's ca.crt": {Forge: secret("token", "t0ken", "ca.crt", ca)},
	} {
		opts.URL, opts.UserAgent = httpsURL, "remediate/1.2.3"
		if _, err := get(t, mustNew(t, opts), srv.URL, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if agent.Load() != "remediate/1.2.3" {
			t.Errorf("User-Agent %v", agent.Load())
		}
	}
	var unknown x509.UnknownAuthorityError
	if _, err := get(t, mustNew(t, access.Options{URL: httpsURL}), srv.URL, nil); !errors.As(err, &unknown) {
		t.Errorf("without the CA: %v", err)
	}
}

func TestHTTPFollowsNoRedirect(t *testing.T) {
	other, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	srv, ca := serve(t, http.RedirectHandler(other.URL, http.StatusMovedPermanently))
	resp, err := get(t, mustNew(t, access.Options{URL: httpsURL, Forge: secret("token", "t0ken", "ca.crt", ca)}), srv.URL, nil)
	if err != nil || resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != other.URL {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestHTTPSendsNoCredentialsInTheClear(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer srv.Close()
	a := mustNew(t, access.Options{URL: httpsURL})
	for _, h := range []string{"Authorization", "Private-Token", "Cookie"} {
		_, err := get(t, a, srv.URL, http.Header{h: {"Bearer s3cr3t"}})
		if err == nil || !strings.Contains(err.Error(), "plain http") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", h, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("the request was sent")
	}
	if _, err := get(t, a, srv.URL, nil); err != nil || asked.Load() != 1 {
		t.Errorf("without credentials: %v", err)
	}
}

func TestHTTPBoundsAnswers(t *testing.T) {
	var size atomic.Int64
	srv, ca := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for left := size.Load(); left > 0; left -= int64(len(block)) {
			if _, err := w.Write(block[:min(left, int64(len(block)))]); err != nil {
				return
			}
		}
	}))
	a := mustNew(t, access.Options{URL: httpsURL, Git: secret("ca.crt", ca)})
	for _, tt := range []struct {
		size int64
		ok   bool
	}{{access.MaxAnswer, true}, {access.MaxAnswer + 1, false}} {
		size.Store(tt.size)
		resp, err := get(t, a, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if tt.ok && (err != nil || n != tt.size) || !tt.ok && (err == nil || !strings.Contains(err.Error(), "longer than")) {
			t.Errorf("%d bytes: read %d, %v", tt.size, n, err)
		}
	}
}

func TestHTTPGivesUpOnSilence(t *testing.T) {
	release := make(chan struct{})
	srv, ca := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	a := mustNew(t, access.Options{URL: httpsURL, Git: secret("ca.crt", ca), ResponseTimeout: 20 * time.Millisecond})
	_, err := get(t, a, srv.URL, nil)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v", err)
	}
}

func TestHTTPGoesThroughTheProxy(t *testing.T) {
	var auth atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Store(r.Header.Get("Proxy-Authorization"))
		_, _ = io.WriteString(w, "from the proxy for "+r.URL.Host)
	}))
	defer proxy.Close()
	a := mustNew(t, access.Options{URL: httpsURL, Proxy: secret("address", proxy.URL, "username", "u", "password", "p4ss")})
	resp, err := get(t, a, "http://forge.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p4ss")); string(b) != "from the proxy for forge.example.com" || auth.Load() != want {
		t.Errorf("%s, %v", b, auth.Load())
	}
}

// pair is a certificate that signed itself.
type pair struct{ pem, key []byte }

func certificate(t *testing.T) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})}
}

func TestHTTPShowsTheClientCertificate(t *testing.T) {
	p := certificate(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.pem)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	srv.StartTLS()
	defer srv.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	resp, err := get(t, mustNew(t, access.Options{URL: httpsURL, Git: secret("ca.crt", ca, "tls.crt", string(p.pem), "tls.key", string(p.key))}), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "client" {
		t.Errorf("the server saw %q", b)
	}
	g, err := mustNew(t, access.Options{URL: httpsURL, Git: secret("ca.crt", ca, "tls.crt", string(p.pem), "tls.key", string(p.key))}).Git(context.Background())
	if err != nil || len(g.CAFile) == 0 || len(g.ClientCert) == 0 || len(g.ClientKey) == 0 {
		t.Errorf("Git has no TLS: %v", err)
	}
}
