package probe

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// nameserver answers one query after change has had its way.
func nameserver(t *testing.T, raw []byte, change func(*dnsmessage.Message)) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		t.Errorf("the prober's query: %v", err)
		return nil
	}
	m.Response = true
	change(&m)
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestResolve(t *testing.T) {
	noLeaks(t)
	tests := []struct {
		name    string
		change  func(*dnsmessage.Message)
		outcome string
		reason  string
	}{
		{"answered", func(*dnsmessage.Message) {}, "OK", ""},
		{"no such name", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }, "OK", "NameError"},
		{"server failure", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, "OK", "ServerFailure"},
		{"name in capitals", func(m *dnsmessage.Message) {
			m.Questions[0].Name = dnsmessage.MustNewName(strings.ToUpper(m.Questions[0].Name.String()))
		}, "OK", ""},
		{"another id", func(m *dnsmessage.Message) { m.ID++ }, "Error", "no answer"},
		{"no response", func(m *dnsmessage.Message) { m.Response = false }, "Error", "no answer"},
		{"another name", func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("example.com.") }, "Error", "another"},
		{"another type", func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeTXT }, "Error", "another"},
		{"no question", func(m *dnsmessage.Message) { m.Questions = nil }, "Error", "another"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			udp := servePacket(t, func(b []byte) [][]byte { return often(nameserver(t, b, tt.change)) })
			tcp := serveConn(t, func(conn net.Conn) {
				var length [2]byte
				_, _ = io.ReadFull(conn, length[:])
				raw := make([]byte, binary.BigEndian.Uint16(length[:]))
				_, _ = io.ReadFull(conn, raw)
				b := nameserver(t, raw, tt.change)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			})
			udpCheck, tcpCheck := checkAt(udp, "UDP"), checkAt(tcp, "TCP")
			for _, c := range []mesh.Check{udpCheck, tcpCheck} {
				c.Via, c.To.Pod, c.Target = "DNS", "", ""
				o := (&Prober{Timeout: 5 * time.Second}).Do(t.Context(), c)
				if o.Outcome != tt.outcome || !strings.Contains(o.Reason, tt.reason) || (tt.reason == "" && o.Reason != "") {
					t.Errorf("%s: %s %q", c.Protocol, o.Outcome, o.Reason)
				}
			}
		})
	}
}

func TestResolveHostile(t *testing.T) {
	noLeaks(t)
	tests := []struct {
		name    string
		serve   func(net.Conn)
		outcome string
	}{
		{"nothing", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, "Timeout"},
		{"garbage", func(conn net.Conn) { _, _ = conn.Write([]byte("\x00\x04abcd")); _, _ = io.Copy(io.Discard, conn) }, "Error"},
		{"empty", func(conn net.Conn) { _, _ = conn.Write([]byte{0, 0}); _, _ = io.Copy(io.Discard, conn) }, "Error"},
		{"shorter than announced", func(conn net.Conn) {
			_, _ = conn.Write([]byte("\xff\xffabc"))
			_, _ = io.Copy(io.Discard, conn)
		}, "Timeout"},
	}
	for _, tt := range tests {
		c := checkAt(serveConn(t, tt.serve), "TCP")
		c.Via, c.To.Pod = "DNS", ""
		p := &Prober{Timeout: 5 * time.Second}
		if tt.outcome == "Timeout" {
			p.Timeout = 200 * time.Millisecond
		}
		if o := p.Do(t.Context(), c); o.Outcome != tt.outcome {
			t.Errorf("%s: %s %q", tt.name, o.Outcome, o.Reason)
		}
	}
	silent := servePacket(t, func([]byte) [][]byte { return often([]byte("garbage")) })
	c := checkAt(silent, "UDP")
	c.Via, c.To.Pod = "DNS", ""
	if o := (&Prober{Timeout: 5 * time.Second}).Do(t.Context(), c); o.Outcome != "Error" {
		t.Errorf("garbage over UDP: %s %q", o.Outcome, o.Reason)
	}
}

// Each query has an identifier and, with the family, a type of its own.
func TestQuestions(t *testing.T) {
	seen := map[uint16]bool{}
	for range 16 {
		q, err := newQuestion(mesh.Check{Family: "IPv6"})
		if err != nil {
			t.Fatal(err)
		}
		seen[q.id] = true
		if q.q.Type != dnsmessage.TypeAAAA || q.q.Name.String() != defaultName {
			t.Errorf("asks for %v", q.q)
		}
	}
	if len(seen) < 2 {
		t.Error("the identifiers can be guessed")
	}
}
