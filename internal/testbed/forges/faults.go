package forges

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults stands in front of a server and spoils some of its answers. It sees
// every request, those of Git too.
type Faults struct {
	mu            sync.Mutex
	plans         []*faultPlan
	before, after []func(*http.Request)
}

// Cut says when a connection is cut instead of answered.
type Cut int

const (
	// CutNever answers.
	CutNever Cut = iota
	// CutBefore closes the connection and handles nothing.
	CutBefore
	// CutAfter handles the request and closes the connection without an answer.
	CutAfter
)

// Fault is what happens to a request instead of, or before, its answer.
type Fault struct {
	// Status, Header and Body are the answer; status 0 leaves the answer to the server.
	Status int
	Header http.Header
	Body   string
	Cut    Cut
	// Delay is how long the server is silent first.
	Delay time.Duration
}

type faultPlan struct {
	match func(*http.Request) bool
	left  int
	fault Fault
}

// Fail spoils the next n requests that match; n below 0 spoils all, match nil
// takes any. The fault that was asked for first goes first.
func (f *Faults) Fail(match func(*http.Request) bool, n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans = append(f.plans, &faultPlan{match, n, fault})
}

// Heal forgets all faults, and what Before and After were given.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans, f.before, f.after = nil, nil, nil
}

// Before calls do before each request is handled.
func (f *Faults) Before(do func(*http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = append(f.before, do)
}

// After calls do when a request was handled, before the client has the whole answer.
func (f *Faults) After(do func(*http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = append(f.after, do)
}

// Path matches a method, "" for any, and a part of the path with query, as the
// client wrote it.
func Path(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && strings.Contains(r.URL.RequestURI(), part)
	}
}

func (f *Faults) hooks(which func(*Faults) []func(*http.Request)) []func(*http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return which(f)
}

// next is the fault for a request, which is used up by it.
func (f *Faults) next(r *http.Request) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.plans {
		if p.left != 0 && (p.match == nil || p.match(r)) {
			p.left--
			return p.fault, true
		}
	}
	return Fault{}, false
}

// Wrap puts the faults in front of a handler.
func (f *Faults) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, do := range f.hooks(func(f *Faults) []func(*http.Request) { return f.before }) {
			do(r)
		}
		// A buffered answer lets hooks run before the client sees any of it.
		answer := httptest.NewRecorder()
		fault, spoilt := f.next(r)
		if spoilt && !fault.wait(r) {
			return
		}
		if spoilt && (fault.Status != 0 || fault.Cut == CutBefore) {
			fault.answer(w)
			return
		}
		handler.ServeHTTP(answer, r)
		for _, do := range f.hooks(func(f *Faults) []func(*http.Request) { return f.after }) {
			do(r)
		}
		if spoilt && fault.Cut == CutAfter {
			fault.answer(w)
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client may be gone
	})
}

// wait is silent for the delay; false says that the client went away.
func (f Fault) wait(r *http.Request) bool {
	if f.Delay == 0 {
		return true
	}
	// The server notices that the client is gone only when it has read the body.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (f Fault) answer(w http.ResponseWriter) {
	if f.Cut != CutNever {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close() // what it says is of no use to a connection that is to be cut
		}
		return
	}
	if f.Header.Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	maps.Copy(w.Header(), f.Header)
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
}

// Proxied is a server behind a proxy that can spoil answers.
type Proxied struct {
	Server
	*Faults
	base, upstream string
	ca             []byte
}

// Proxy puts [Faults] in front of a server that has none of its own.
func Proxy(t testing.TB, upstream Server) *Proxied {
	t.Helper()
	to, err := url.Parse(upstream.CloneURL())
	if err != nil {
		t.Fatal(err)
	}
	to.Path, to.User = "", nil
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(upstream.Secret()["ca.crt"])
	p := &Proxied{Server: upstream, Faults: &Faults{}, upstream: to.String()}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			if at := r.Header.Get("Location"); at != "" {
				r.Header.Set("Location", strings.Replace(at, p.upstream, p.base, 1))
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			// Clients that go away are part of the tests.
			if !errors.Is(err, r.Context().Err()) || r.Context().Err() == nil {
				t.Errorf("proxy: %s %s: %v", r.Method, r.URL.Path, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	p.base, p.ca = serveTLS(t, p.Wrap(proxy))
	t.Cleanup(transport.CloseIdleConnections)
	return p
}

// CloneURL goes through the proxy.
func (p *Proxied) CloneURL() string {
	return strings.Replace(p.Server.CloneURL(), p.upstream, p.base, 1)
}

// API goes through the proxy.
func (p *Proxied) API() string { return strings.Replace(p.Server.API(), p.upstream, p.base, 1) }

// Secret has the CA of the proxy.
func (p *Proxied) Secret() map[string][]byte {
	secret := maps.Clone(p.Server.Secret())
	secret["ca.crt"] = p.ca
	return secret
}

// serveTLS serves on a port of 127.0.0.1 until the test ends. It returns the
// base URL and the certificate to trust, in PEM.
func serveTLS(t testing.TB, h http.Handler) (base string, ca []byte) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients cut connections on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
