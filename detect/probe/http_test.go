package probe

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func httpGet(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func reporting(body string) func(*Reflector) {
	return func(r *Reflector) { r.Report = func() []byte { return []byte(body) } }
}

func TestHTTPStrangers(t *testing.T) {
	r := reflectHere(t, testRing(t, testKey(1)), reporting("secret"))
	base := "http://" + r.HTTPAddrs()[0].String()
	with := func(raw []byte) http.Header {
		return http.Header{headerRequest: {base64.StdEncoding.EncodeToString(raw)}}
	}
	tests := []struct {
		name, path string
		header     http.Header
		status     int
	}{
		{"alive", "/healthz", nil, 200},
		{"unknown path", "/", nil, 404},
		{"reflect without request", "/reflect", nil, 400},
		{"reflect with text", "/reflect", http.Header{headerRequest: {"hello"}}, 400},
		{"reflect with garbage", "/reflect", with([]byte("hello")), 400},
		{"reflect with another key", "/reflect", with(encoded(t, request{over: overHTTP}, testKey(2))), 403},
		{"report without request", "/report", nil, 400},
		{"report with another key", "/report", with(encoded(t, request{over: overReport}, testKey(2))), 403},
		{"report with a request to reflect", "/report", with(encoded(t, request{over: overHTTP}, testKey(1))), 400},
		{"report", "/report", with(encoded(t, request{over: overReport}, testKey(1))), 200},
	}
	for _, tt := range tests {
		status, body := httpGet(t, base+tt.path, tt.header)
		if status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, status, tt.status)
		}
		if (body == "secret") != (tt.name == "report") {
			t.Errorf("%s: body %q", tt.name, body)
		}
	}
}

func TestFetchReport(t *testing.T) {
	ring := testRing(t, testKey(1))
	body := `{"v":1}`
	r := reflectHere(t, ring, reporting(body))
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	at := r.HTTPAddrs()[1]
	got, err := FetchReport(t.Context(), client, at, ring, 100)
	if err != nil || string(got) != body {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := FetchReport(t.Context(), client, at, ring, len(body)-1); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := FetchReport(t.Context(), client, at, testRing(t, testKey(2)), 100); !errors.Is(err, errKey) {
		t.Errorf("another key: %v", err)
	}
	at = reflectHere(t, ring).HTTPAddrs()[0]
	if _, err := FetchReport(t.Context(), client, at, ring, 100); err == nil || !strings.Contains(err.Error(), at.String()) {
		t.Errorf("without a report: %v", err)
	}
}

// A report that somebody else wrote, or that answers another request, is refused.
func TestFetchReportFeigned(t *testing.T) {
	noLeaks(t)
	ring := testRing(t, testKey(1))
	for name, mac := range map[string]string{
		"unsigned":        "",
		"no base64":       "~~",
		"another request": base64.StdEncoding.EncodeToString(reportMAC(testKey(1), Nonce{}, []byte("feigned"))),
	} {
		addr := serveConn(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(newReader(conn))
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: 7\r\nConnection: close\r\n\r\nfeigned", headerMAC, mac)
		})
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		if _, err := FetchReport(t.Context(), client, addr, ring, 100); !errors.Is(err, errMAC) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
