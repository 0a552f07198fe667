package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// goodLine is what a probe writes; change may change it.
func goodLine(change func(*probe.Line)) probe.Line {
	l := probe.Line{
		Version: 1, Boot: "b1", Seq: 1, At: start,
		From: v1alpha1.Endpoint{Namespace: "ns", Pod: "p-1", Node: "n-1", IP: "10.1.0.1"},
	}
	if change != nil {
		change(&l)
	}
	return l
}

var start = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

// lost is an observation of a time-out from p-1 to an address.
func lost(to string, change func(*v1alpha1.Observation)) v1alpha1.Observation {
	o := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: "ns", Pod: "p-1", Node: "n-1", IP: "10.1.0.1"},
		To:   v1alpha1.Endpoint{Namespace: "ns", Pod: "p-2", Node: "n-2", IP: to, Port: 9971},
		Via:  "PodIP", Family: "IPv4", Protocol: "TCP", Target: "open",
		Outcome: "Timeout", Sent: 1, Bytes: 64, At: stamp(start),
	}
	if change != nil {
		change(&o)
	}
	return o
}

func encode(t testing.TB, l probe.Line) []byte {
	t.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		text string
		want string
	}{
		"nothing":        {"", "unexpected end"},
		"no JSON":        {"probe: starting", "invalid character"},
		"a list":         {"[]", "cannot unmarshal"},
		"half a line":    {`{"v":1,"boot":"b","seq":`, "unexpected end"},
		"version":        {`{"v":2,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z"}`, "version 2"},
		"no boot":        {`{"v":1,"seq":1,"at":"2026-02-12T10:00:00Z"}`, "boot"},
		"boot's name":    {`{"v":1,"boot":"\u001b[31m","seq":1,"at":"2026-02-12T10:00:00Z"}`, "boot"},
		"long boot":      {`{"v":1,"boot":"` + strings.Repeat("b", 65) + `","seq":1,"at":"2026-02-12T10:00:00Z"}`, "boot"},
		"no number":      {`{"v":1,"boot":"b","at":"2026-02-12T10:00:00Z"}`, "sequence"},
		"negative":       {`{"v":1,"boot":"b","seq":-1,"at":"2026-02-12T10:00:00Z"}`, "cannot unmarshal"},
		"no time":        {`{"v":1,"boot":"b","seq":1}`, "time"},
		"members' hash":  {`{"v":1,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z","members":"a b"}`, "hash"},
		"node with line": {`{"v":1,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z","from":{"node":"a\nb"}}`, "from"},
		"address":        {`{"v":1,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z","from":{"ip":"10.0.0"}}`, "from"},
		"address's zone": {`{"v":1,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z","from":{"ip":"fe80::1%eth0"}}`, "from"},
		"port":           {`{"v":1,"boot":"b","seq":1,"at":"2026-02-12T10:00:00Z","from":{"port":70000}}`, "from"},
		"too long":       {`{"v":1,"boot":"` + strings.Repeat("b", probe.MaxLine) + `"}`, "bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse([]byte(tt.text))
			if !errors.Is(err, errNotALine) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseLeavesOutWhatMakesNoSense(t *testing.T) {
	tests := map[string]func(*v1alpha1.Observation){
		"via":          func(o *v1alpha1.Observation) { o.Via = "Pigeon" },
		"family":       func(o *v1alpha1.Observation) { o.Family = "IPv5" },
		"protocol":     func(o *v1alpha1.Observation) { o.Protocol = "SCTP" },
		"target":       func(o *v1alpha1.Observation) { o.Target = "secret" },
		"outcome":      func(o *v1alpha1.Observation) { o.Outcome = "Great" },
		"no address":   func(o *v1alpha1.Observation) { o.To.IP = "" },
		"address":      func(o *v1alpha1.Observation) { o.To.IP = "x" },
		"source":       func(o *v1alpha1.Observation) { o.SourceSeen = "\x1b[2J" },
		"node's name":  func(o *v1alpha1.Observation) { o.To.Node = "a\u202eb" },
		"time":         func(o *v1alpha1.Observation) { o.At = "yesterday" },
		"negative":     func(o *v1alpha1.Observation) { o.Sent = -1 },
		"huge":         func(o *v1alpha1.Observation) { o.Bytes = 1 << 20 },
		"name's bytes": func(o *v1alpha1.Observation) { o.To.Pod = strings.Repeat("x", 254) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			l := goodLine(func(l *probe.Line) {
				l.Observations = []v1alpha1.Observation{lost("10.1.0.2", change), lost("10.1.0.3", nil)}
			})
			got, dropped, err := Parse(encode(t, l))
			if err != nil || dropped != 1 || len(got.Observations) != 1 || got.Observations[0].To.IP != "10.1.0.3" {
				t.Errorf("got %+v, %d dropped, %v", got.Observations, dropped, err)
			}
		})
	}
}

func TestParseTidies(t *testing.T) {
	l := goodLine(func(l *probe.Line) {
		l.Notes = []string{"a\x1b[31m\nb", "2", "3", "4", "5"}
		l.Nodes, l.Delay = -1, -5
		l.Tallies = []probe.Tally{{Via: "Pigeon\x1b[2J"}, {Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "open", OK: -7, Lost: 1 << 60}}
		l.Observations = []v1alpha1.Observation{lost("::ffff:10.1.0.2", func(o *v1alpha1.Observation) {
			o.Reason = "\x07ring\u202e" + strings.Repeat("x", 1000)
			o.DropReason, o.SourceIdentity = "Policy denied", "remote-node"
			o.SourceSeen = "10.1.0.1"
		})}
	})
	got, _, err := Parse(append(encode(t, l), '\r'))
	if err != nil {
		t.Fatal(err)
	}
	o := got.Observations[0]
	if o.To.IP != "10.1.0.2" || !strings.HasPrefix(o.Reason, "?ring?x") || len(o.Reason) > maxReason {
		t.Errorf("observation %+v", o)
	}
	if o.DropReason+o.SourceIdentity != "" {
		t.Error("a probe speaks for the agent")
	}
	if o.SourceSeen != "" {
		t.Error("a probe knows what a target saw that did not answer")
	}
	want := []probe.Tally{{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "open", Lost: 1<<16 - 1}}
	if !slices.Equal(got.Tallies, want) {
		t.Errorf("tallies %+v, want %+v", got.Tallies, want)
	}
	if len(got.Notes) != maxNotes || got.Notes[0] != "a?[31m?b" || got.Nodes != 0 || got.Delay != 0 {
		t.Errorf("line %+v", got)
	}
}

func TestPeekAgreesWithParse(t *testing.T) {
	text := encode(t, goodLine(func(l *probe.Line) { l.Boot, l.Seq = "abc", 77 }))
	if boot, seq, ok := peek(text); !ok || boot != "abc" || seq != 77 {
		t.Errorf("got %q %d %t from %s", boot, seq, ok, text)
	}
	for _, other := range []string{"", `{"v":1}`, `{"v":1,"boot":"x`, `{"v":1,"boot":"x","seq":`, `{"v":1,"boot":"x","seq":0,`, `{"v":1,"boot":"x","seq":-1,`} {
		if _, _, ok := peek([]byte(other)); ok {
			t.Errorf("%q has a number", other)
		}
	}
}

func TestLinesAreCut(t *testing.T) {
	long := strings.Repeat("x", 100)
	r := newLineReader(strings.NewReader("one\n\n"+long+"\ntwo\n"+long+long+long+"\nthree\nhalf"), 32)
	var got []string
	for {
		line, err := r.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		got = append(got, string(line))
	}
	if want := []string{"one", "", "two", "three"}; fmt.Sprint(got) != fmt.Sprint(want) || r.cut != 2 {
		t.Errorf("got %q, %d cut; want %q", got, r.cut, want)
	}
}

// endless is a line without an end.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return n, nil
}

func TestALineOfAGigabyteTakesNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := newLineReader(&endless{left: 1 << 30}, probe.MaxLine)
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 || r.cut != 1 {
		t.Errorf("took %d bytes, %d cut", grown, r.cut)
	}
}

func TestSeen(t *testing.T) {
	var s seen
	steps := []struct {
		seq     uint64
		fresh   bool
		skipped uint64
	}{
		{100, true, 0}, {100, false, 0}, {101, true, 0}, {104, true, 2}, {102, true, 0}, {102, false, 0}, {103, true, 0},
		{99, true, 0}, {41, true, 0}, {40, false, 0}, {300, true, 195}, {237, true, 0}, {236, false, 0}, {1 << 63, true, 1<<63 - 301},
	}
	for _, step := range steps {
		if fresh, skipped := s.add(step.seq); fresh != step.fresh || skipped != step.skipped {
			t.Errorf("%d: fresh %t, skipped %d; want %+v", step.seq, fresh, skipped, step)
		}
	}
}

// FuzzParse: whatever is written, what comes out can be shown and told on.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, goodLine(func(l *probe.Line) {
		l.Observations = []v1alpha1.Observation{lost("10.1.0.2", nil)}
		l.Tallies = []probe.Tally{{Via: "PodIP", Family: "IPv6", Protocol: "UDP", OK: 3}}
		l.Notes = []string{"a note"}
	})))
	f.Add([]byte(`{"v":1,"boot":"b","seq":18446744073709551615,"at":"9999-12-31T23:59:59Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		line, dropped, err := Parse(text)
		if err != nil {
			if !errors.Is(err, errNotALine) {
				t.Errorf("error %v", err)
			}
			return
		}
		if dropped < 0 || len(line.Tallies) > maxTally || len(line.Notes) > maxNotes {
			t.Errorf("not bounded: %+v", line)
		}
		out := encode(t, line)
		if bytes.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) }) || len(line.Boot) > maxBoot {
			t.Errorf("control characters: %q", out)
		}
		m := NewMatrix(Limits{})
		target := Target{Key: Key{line.From.Namespace, line.From.Pod}, UID: "u", Node: line.From.Node, HostNetwork: line.HostNetwork}
		m.Put(target, start)
		if m.Add(target.Key, line, PathFollow, start) == nil || m.Add(target.Key, line, PathFollow, start) != nil {
			t.Error("a line does not count once")
		}
		if _, seq, ok := peek(text); ok && json.Valid(text) && seq != line.Seq && !bytes.Contains(text[1:], []byte(`"seq"`)) {
			t.Errorf("peek has %d, the line %d", seq, line.Seq)
		}
	})
}
