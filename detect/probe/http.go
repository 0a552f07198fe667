package probe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
)

const (
	// headerRequest carries the request's message in base64, headerMAC a report's
	// signature.
	headerRequest = "Remediate-Probe"
	headerMAC     = "Remediate-Probe-Mac"
	// maxHTTPMessage is the longest request over HTTP: what fits in the header.
	maxHTTPMessage = 16 << 10
)

// incoming reads the request of an HTTP request and answers those that have none.
func (r *Reflector) incoming(w http.ResponseWriter, hr *http.Request, over byte) (request, bool) {
	text := hr.Header.Get(headerRequest)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || text == "" {
		http.Error(w, "no request of a probe", http.StatusBadRequest)
		return request{}, false
	}
	in := bytes.NewReader(raw)
	q, err := readRequest(in, over, r.Keys.all())
	switch {
	case errors.Is(err, errMAC):
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(refusal(over, codeKey))
		return request{}, false
	case err != nil || in.Len() > 0:
		http.Error(w, "no request of a probe", http.StatusBadRequest)
		return request{}, false
	}
	return q, true
}

func (r *Reflector) serveReflect(w http.ResponseWriter, hr *http.Request) {
	q, ok := r.incoming(w, hr, overHTTP)
	if !ok {
		return
	}
	source, err := netip.ParseAddrPort(hr.RemoteAddr)
	if err != nil {
		http.Error(w, "no source address", http.StatusInternalServerError)
		return
	}
	b, err := r.answer(q, plain(source))
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

func (r *Reflector) serveReport(w http.ResponseWriter, hr *http.Request) {
	q, ok := r.incoming(w, hr, overReport)
	if !ok {
		return
	}
	if r.Report == nil {
		http.NotFound(w, hr)
		return
	}
	body := r.Report()
	w.Header().Set(headerMAC, base64.StdEncoding.EncodeToString(reportMAC(q.key, q.nonce, body)))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func reportMAC(key []byte, nonce Nonce, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("remediate report\x00"))
	mac.Write(nonce[:])
	mac.Write(body)
	return mac.Sum(nil)
}

// FetchReport gets a probe's present state directly from its HTTP port: at most
// limit bytes, signed with a key of the ring. client brings dialer and time limit;
// http.DefaultClient when nil.
func FetchReport(ctx context.Context, client *http.Client, addr netip.AddrPort, keys *Keyring, limit int) ([]byte, error) {
	body, err := fetchReport(ctx, client, addr, keys, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot get the report of the probe at %s: %w", addr, err)
	}
	return body, nil
}

func fetchReport(ctx context.Context, client *http.Client, addr netip.AddrPort, keys *Keyring, limit int) ([]byte, error) {
	if client == nil {
		client = http.DefaultClient
	}
	q := request{over: overReport, nonce: newNonce()}
	raw, err := q.encode(keys.signing())
	if err != nil {
		return nil, err
	}
	hr, err := get(ctx, addr, "/report", raw)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(hr)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp, overReport)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, fmt.Errorf("it is longer than %d bytes", limit)
	}
	sum, err := base64.StdEncoding.DecodeString(resp.Header.Get(headerMAC))
	if err != nil {
		return nil, errMAC
	}
	for _, key := range keys.all() {
		if hmac.Equal(sum, reportMAC(key, q.nonce, body)) {
			return body, nil
		}
	}
	return nil, errMAC
}

func get(ctx context.Context, addr netip.AddrPort, path string, raw []byte) (*http.Request, error) {
	hr, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		return nil, err
	}
	hr.Header.Set(headerRequest, base64.StdEncoding.EncodeToString(raw))
	hr.Header.Set("User-Agent", "remediate-probe")
	return hr, nil
}

// statusError is what a status other than 200 means.
func statusError(resp *http.Response, over byte) error {
	switch resp.StatusCode {
	case http.StatusForbidden:
		if _, err := readAnswer(resp.Body, over, nil); errors.Is(err, errKey) {
			return errKey
		}
	case http.StatusServiceUnavailable:
		return errBusy
	}
	return fmt.Errorf("%w: HTTP status %d", errNotOurs, resp.StatusCode)
}
