package probe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// liar answers a request as a reflector would, after change has had its way.
func liar(t *testing.T, raw []byte, over byte, key []byte, change func(*answer)) []byte {
	q, err := readRequest(bytes.NewReader(raw), over, [][]byte{key})
	if err != nil {
		t.Errorf("the prober sends %v", err)
		return nil
	}
	a := answer{over: over, nonce: q.nonce, size: q.want, received: q.size,
		source: netip.MustParseAddrPort("127.0.0.1:9"), from: reflectorSelf}
	change(&a)
	return encoded(t, a, key)
}

// lies are what no answer may say, all signed with the right key.
var lies = map[string]func(*answer){
	"another nonce":          func(a *answer) { a.nonce[0] ^= 1 },
	"no source":              func(a *answer) { a.source = netip.MustParseAddrPort("0.0.0.0:0") },
	"source of other family": func(a *answer) { a.source = netip.MustParseAddrPort("[fd00::1]:9") },
	"other number of bytes":  func(a *answer) { a.received++ },
	"made for another way":   func(a *answer) { a.over = overReport },
	"another target":         func(a *answer) { a.from.Target = "guarded" },
	"no longer than it says": func(a *answer) { a.received = 0 },
	"nobody":                 func(a *answer) { a.from = Identity{Namespace: "remediate-probe", Pod: "remediate-probe-b"} },
}

func TestLyingReflector(t *testing.T) {
	noLeaks(t)
	key := testKey(1)
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Prober{Keys: testRing(t, key), Timeout: 5 * time.Second}
			tcp := serveConn(t, func(conn net.Conn) {
				buf := make([]byte, 4096)
				n, _ := conn.Read(buf)
				_, _ = conn.Write(liar(t, buf[:n], overTCP, key, lie))
			})
			udp := servePacket(t, func(b []byte) [][]byte { return often(liar(t, b, overUDP, key, lie)) })
			for _, c := range []mesh.Check{checkAt(tcp, "TCP"), checkAt(udp, "UDP")} {
				o := p.Do(t.Context(), c)
				if o.Outcome != v1alpha1.OutcomeError || o.Reason == "" || o.SourceSeen != "" {
					t.Errorf("%s: %+v", c.Protocol, o)
				}
			}
		})
	}
}

func TestHostileTCP(t *testing.T) {
	noLeaks(t)
	drip := func(conn net.Conn) {
		raw := encoded(t, testAnswer(overTCP), testKey(1))
		for _, b := range raw {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	flood := func(conn net.Conn) {
		chunk := bytes.Repeat([]byte("a"), 1<<16)
		for range 1 << 14 {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}
	announced := encoded(t, testAnswer(overTCP), testKey(1))
	binary.BigEndian.PutUint32(announced[8:], 1<<30)
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  []string
	}{
		{"nothing", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, []string{"Timeout"}},
		{"garbage", func(conn net.Conn) {
			_, _ = conn.Write(bytes.Repeat([]byte{0xfe}, 100))
			_, _ = io.Copy(io.Discard, conn)
		}, []string{"Error"}},
		{"control characters", func(conn net.Conn) {
			_, _ = conn.Write([]byte("\x1b[2J\x1b]0;owned\x07 and more"))
			_, _ = io.Copy(io.Discard, conn)
		}, []string{"Error"}},
		{"1 GB", flood, []string{"Error"}},
		{"1 GB announced", func(conn net.Conn) { _, _ = conn.Write(announced); flood(conn) }, []string{"Error"}},
		{"slow drip", drip, []string{"Timeout"}},
		{"closes", func(conn net.Conn) { _, _ = io.CopyN(io.Discard, conn, 50) }, []string{"Error", "Reset"}},
		{"closes half", func(conn net.Conn) {
			if c, ok := conn.(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
			_, _ = io.Copy(io.Discard, conn)
		}, []string{"Error"}},
		{"resets", func(conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, 10)
			if c, ok := conn.(*net.TCPConn); ok {
				_ = c.SetLinger(0)
			}
		}, []string{"Reset"}},
		{"echoes", func(conn net.Conn) { _, _ = io.Copy(conn, conn) }, []string{"Error"}},
		{"half an answer", func(conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, 20)
			_, _ = conn.Write(announced[:60])
			_, _ = io.Copy(io.Discard, conn)
		}, []string{"Error"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := heap()
			at := serveConn(t, tt.serve)
			for _, protocol := range []string{"TCP", "HTTP"} {
				p := &Prober{Keys: testRing(t, testKey(1)), Timeout: 5 * time.Second}
				if protocol == "HTTP" || tt.want[0] == "Timeout" {
					p.Timeout = 300 * time.Millisecond
				}
				o := p.Do(t.Context(), checkAt(at, protocol))
				good := strings.Contains(strings.Join(tt.want, " "), o.Outcome)
				if protocol == "HTTP" {
					good = o.Outcome == "Error" || o.Outcome == "Timeout" || o.Outcome == "Reset"
				}
				if !good || o.SourceSeen != "" || strings.ContainsAny(o.Reason, "\x1b\n\x07") {
					t.Errorf("%s: %s %q", protocol, o.Outcome, o.Reason)
				}
			}
			if used := heap() - before; used > 8<<20 {
				t.Errorf("it cost %d KiB", used>>10)
			}
		})
	}
}

func TestHostileHTTP(t *testing.T) {
	noLeaks(t)
	reply := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			fmt.Fprint(conn, text)
		}
	}
	tests := []struct {
		name    string
		serve   func(net.Conn)
		outcome string
	}{
		{"wrong status", reply("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "Error"},
		{"redirect", reply("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "Error"},
		{"endless header", reply("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20)), "Error"},
		{"text", reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "Error"},
		{"empty", reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "Error"},
		{"busy", reply("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "NotChecked"},
		{"forbidden by somebody else", reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnope!"), "Error"},
	}
	for _, tt := range tests {
		p := &Prober{Keys: testRing(t, testKey(1)), Timeout: 5 * time.Second}
		if o := p.Do(t.Context(), checkAt(serveConn(t, tt.serve), "HTTP")); o.Outcome != tt.outcome || o.Reason == "" {
			t.Errorf("%s: %s %q, want %s", tt.name, o.Outcome, o.Reason, tt.outcome)
		}
	}
}

// Garbage does not hide the answer that comes after it, and is no answer itself.
func TestHostileUDP(t *testing.T) {
	noLeaks(t)
	key := testKey(1)
	honest := func(b []byte) []byte { return liar(t, b, overUDP, key, func(*answer) {}) }
	tests := []struct {
		name  string
		serve func([]byte) [][]byte
		want  string
	}{
		{"nothing", func([]byte) [][]byte { return nil }, "Timeout"},
		{"garbage", func([]byte) [][]byte { return append([][]byte{nil}, often([]byte("hello"))...) }, "Error"},
		{"echo", func(b []byte) [][]byte { return often(bytes.Clone(b)) }, "Error"},
		{"unsigned", func(b []byte) [][]byte { x := honest(b); x[40] ^= 1; return often(x) }, "Error"},
		{"refusal", func([]byte) [][]byte { return often(refusal(overUDP, codeKey)) }, "Error"},
		{"too long", func(b []byte) [][]byte { return often(append(honest(b), make([]byte, 2000)...)) }, "Error"},
		{"garbage, then the answer", func(b []byte) [][]byte { return [][]byte{[]byte("x"), refusal(overUDP, codeKey), honest(b)} }, "OK"},
		{"a flood of garbage", func(b []byte) [][]byte {
			return append(bytes.SplitN(bytes.Repeat([]byte("x "), 40), []byte(" "), 40), honest(b))
		}, "Error"},
		{"honest", func(b []byte) [][]byte { return [][]byte{honest(b)} }, "OK"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Prober{Keys: testRing(t, key), Timeout: 5 * time.Second}
			if tt.want == "Timeout" {
				p.Timeout = 200 * time.Millisecond
			}
			if o := p.Do(t.Context(), checkAt(servePacket(t, tt.serve), "UDP")); o.Outcome != tt.want {
				t.Errorf("%s %q, want %s", o.Outcome, o.Reason, tt.want)
			}
		})
	}
}
