//go:build linux

package cilium

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Event is a line of a node's cilium-dbg monitor.
type Event struct {
	At   time.Time
	Text string
	// Kind is drop, verdict or trace.
	Kind string
	// Reason of a drop, "Policy denied".
	Reason string
	// Identity is the source's, of a verdict the other side's: a number or a reserved
	// name.
	Identity string
	// Direction (ingress, egress) and Action (allow, deny, audit, redirect) of a
	// verdict.
	Direction, Action string
	// Point is where a trace was taken: "-> endpoint", "<- network" and so on.
	Point string
	// Protocol is ICMP (of echo requests), TCP or UDP, empty for others.
	Protocol string
	From, To netip.AddrPort
}

// monitor reads a node's events as long as its agent runs.
type monitor struct {
	job *job

	mu     sync.Mutex
	began  bool
	rest   []byte
	events []Event
}

const keepEvents = 20000

// openMonitor starts the node's monitor, or says whether it listens.
func (n *Node) openMonitor() error {
	if n.monitor == nil || n.monitor.job.ended() {
		m := &monitor{}
		cmd := n.command(context.Background(), n.cluster.dbg, "monitor")
		cmd.Stdout = m
		j, err := startJob(n.Space, cmd, filepath.Join(n.dir, "monitor.log"))
		if err != nil {
			return err
		}
		m.job, n.monitor = j, m
	}
	n.monitor.mu.Lock()
	defer n.monitor.mu.Unlock()
	if !n.monitor.began {
		return errors.New("it says nothing yet")
	}
	return nil
}

func (m *monitor) stop() { m.job.stop(0) }

// Write takes what the monitor prints.
func (m *monitor) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began = true
	m.rest = append(m.rest, p...)
	for {
		line, rest, found := bytes.Cut(m.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		if e, ok := parseEvent(string(line)); ok {
			e.At = time.Now()
			m.keep(e)
		}
		m.rest = append([]byte(nil), rest...)
	}
}

func (m *monitor) keep(e Event) {
	if len(m.events) == keepEvents {
		m.events = append(m.events[:0], m.events[keepEvents/2:]...)
	}
	m.events = append(m.events, e)
}

// Events are those that the node's monitor has printed since a time.
func (n *Node) Events(since time.Time) (out []Event) {
	if n.monitor == nil {
		return nil
	}
	n.monitor.mu.Lock()
	defer n.monitor.mu.Unlock()
	for _, e := range n.monitor.events {
		if !e.At.Before(since) {
			out = append(out, e)
		}
	}
	return out
}

// The lines as pkg/monitor/datapath_{drop,policy,trace}.go print them (DumpInfo,
// 1.18.6).
var (
	ends       = regexp.MustCompile(`(\S+) -> (\S+)(?: (tcp|udp|icmp EchoRequest|icmp)\b.*| \S+)?$`)
	dropLine   = regexp.MustCompile(`^xx drop \(([^)]+)\)`)
	traceLine  = regexp.MustCompile(`^(<-|->) (\S+)`)
	identities = regexp.MustCompile(`identity ([^\s>]+?)->`)
	verdictOf  = regexp.MustCompile(`^Policy verdict log: .*remote ID ([^,]+), proto \d+, (ingress|egress), action (\w+)`)
)

func parseEvent(line string) (e Event, ok bool) {
	e.Text = line
	if m := dropLine.FindStringSubmatch(line); m != nil {
		e.Kind, e.Reason = "drop", m[1]
	} else if m := verdictOf.FindStringSubmatch(line); m != nil {
		e.Kind, e.Identity, e.Direction, e.Action = "verdict", m[1], m[2], m[3]
	} else if m := traceLine.FindStringSubmatch(line); m != nil {
		e.Kind, e.Point = "trace", m[1]+" "+m[2]
	} else {
		return e, false
	}
	if m := identities.FindStringSubmatch(line); m != nil {
		e.Identity = m[1]
	}
	m := ends.FindStringSubmatch(line)
	if m == nil {
		return e, false
	}
	var fromOK, toOK bool
	e.From, fromOK = parseEnd(m[1])
	e.To, toOK = parseEnd(m[2])
	e.Protocol = map[string]string{"icmp EchoRequest": "ICMP", "tcp": "TCP", "udp": "UDP"}[m[3]]
	return e, fromOK && toOK
}

// parseEnd reads an address with or without a port.
func parseEnd(text string) (netip.AddrPort, bool) {
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p, true
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 0), true
	}
	// Older versions print IPv6 addresses with a port but without brackets.
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(text[:i])
	port, portErr := strconv.ParseUint(text[i+1:], 10, 16)
	return netip.AddrPortFrom(a, uint16(port)), err == nil && portErr == nil
}
