package access

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/fluxcd/pkg/runtime/secrets"
	corev1 "k8s.io/api/core/v1"
)

// MaxAnswer is how many bytes of an answer are read, after decompression: a
// hundred pull requests with bodies of 65,536 characters of four bytes each, and
// room for what stands around them.
const MaxAnswer = 32 << 20

func responseTimeout(o Options) time.Duration {
	return cmp.Or(o.ResponseTimeout, 30*time.Second)
}

// tlsConfig trusts the system's CAs and those of both Secrets; a client
// certificate is the forge's own, else Git's.
func (a *Access) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, n := range a.named()[:2] {
		if err := addCA(config, n); err != nil {
			return nil, err
		}
		cert, key := n.data[secrets.KeyTLSCert], n.data[secrets.KeyTLSPrivateKey]
		if len(cert)+len(key) == 0 {
			continue
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, failf("give both, in PEM, made for each other", "%s: keys %s and %s are no certificate with its key", n.name, secrets.KeyTLSCert, secrets.KeyTLSPrivateKey)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func addCA(config *tls.Config, n named) error {
	key := secrets.KeyCACert
	if !n.has(key) {
		key = secrets.LegacyKeyCACert
	}
	if !n.has(key) {
		return nil
	}
	if config.RootCAs == nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return fmt.Errorf("read the system's certificates: %w", err)
		}
		config.RootCAs = pool
	}
	if !config.RootCAs.AppendCertsFromPEM(n.data[key]) {
		return failf("it must be the CA's certificate in PEM", "%s: key %s holds no certificate", n.name, key)
	}
	return nil
}

// proxyURL reads proxySecretRef. Its errors can quote the address, and with it a
// password, so they are not passed on.
func proxyURL(data map[string][]byte) (*url.URL, error) {
	if data == nil {
		return nil, nil
	}
	u, err := secrets.ProxyURLFromSecret(context.Background(), &corev1.Secret{Data: data})
	if err != nil || u.Host == "" {
		return nil, fail("Secret for the proxy: key address is no URL of http, https or socks5", "give it as http://HOST:PORT, with username and password as keys of their own")
	}
	return u, nil
}

func newClient(o Options, tlsConfig *tls.Config, proxy *url.URL) *http.Client {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: responseTimeout(o),
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
		// Headers of forges are below 16 KiB; GitHub's pages of links the longest.
		MaxResponseHeaderBytes: 256 << 10,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{
		Transport: &guarded{next: t, agent: cmp.Or(o.UserAgent, "remediate")},
		Timeout:   4 * responseTimeout(o),
		// A redirect would carry the token elsewhere, and says that the repository
		// moved, which the reader must know.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guarded holds requests and answers to the rules of [Access.HTTP].
type guarded struct {
	next  http.RoundTripper
	agent string
}

// credentials are the headers that forges take a token in.
var credentials = []string{"Authorization", "Private-Token", "Job-Token", "Cookie"}

func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		for _, h := range credentials {
			if r.Header.Get(h) != "" {
				if r.Body != nil {
					_ = r.Body.Close()
				}
				return nil, failf("use the https address of the API (--forge-url https://…)", "credentials would be sent to %s over plain http, readable on the way", r.URL.Host)
			}
		}
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", g.agent)
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &bounded{ReadCloser: resp.Body, host: r.URL.Host, left: MaxAnswer}
	return resp, nil
}

// bounded is an answer that ends in an error when it is too long.
type bounded struct {
	io.ReadCloser
	host string
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer of %s is longer than %d bytes", b.host, MaxAnswer)
	}
	return n, err
}
